//! What the server needs of whoever keeps the mail: the spool's interface, as seen from here.

use std::time::Duration;

use crate::mail::{Envelope, QueueId};
use crate::smtp::Refusal;

/// Proof that a message is durable. Implemented by the one type that only a finished commit makes (`spool::Accepted`), and
/// by nothing else: the reply `250 queued` is made from it.
pub trait Proof {
    /// The id under which the message is kept.
    fn id(&self) -> QueueId;
}

/// A message that is being written down. Dropped, it leaves nothing behind.
pub trait Draft {
    /// What a commit gives.
    type Accepted: Proof;

    /// The id the message will have.
    fn id(&self) -> QueueId;

    /// Adds octets. Nobody says how large the pieces are.
    ///
    /// # Errors
    /// The reply to the client, mostly 452 4.3.1 when the disk is full and 451 4.3.0 otherwise.
    fn write(&mut self, octets: &[u8]) -> Result<(), Refusal>;

    /// Makes the message durable with its envelope, and takes responsibility for it. Waits no longer than `limit`.
    ///
    /// # Errors
    /// The reply to the client; the message is not kept then.
    fn commit(self, envelope: Envelope, limit: Duration) -> Result<Self::Accepted, Refusal>;
}

/// Where mail is taken in. Routes are its affair: the server knows recipients, no destinations.
pub trait Reception: Send + Sync + 'static {
    /// A message that is being written down.
    type Draft: Draft;

    /// Whether there is room for a message of so many octets, as far as its client has said (RFC 1870).
    ///
    /// # Errors
    /// The reply to MAIL: 452 4.3.1.
    fn room(&self, octets: u64) -> Result<(), Refusal>;

    /// Begins a message.
    ///
    /// # Errors
    /// The reply to the client: 452 4.3.1 when there is no room, 451 4.3.0 otherwise.
    fn draft(&self) -> Result<Self::Draft, Refusal>;
}
