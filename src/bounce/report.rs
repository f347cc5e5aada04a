//! What a letter says, as values.

use crate::mail::{Envelope, Failure, QueueId};
use crate::smtp::{Domain, Mailbox};
use crate::time::Unix;

/// What a letter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was given up.
    Failed,
    /// It is late, and is tried until then.
    Delayed {
        /// When it will be given up.
        until: Unix,
    },
}

/// A recipient that a letter tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// The forward-path.
    pub address: Mailbox,
    /// What became of it.
    pub failure: Failure,
    /// When it was last tried, if that is known.
    pub last_attempt: Option<Unix>,
}

/// All that a letter says.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What it tells.
    pub kind: Kind,
    /// Our name.
    pub hostname: &'a Domain,
    /// The id of the message it is about.
    pub id: QueueId,
    /// When that message was accepted.
    pub accepted: Unix,
    /// The recipients it tells of, at least one.
    pub recipients: Vec<ReportedRecipient>,
    /// The start of that message: its header section, which may be cut. What follows the section is not used.
    pub headers: &'a [u8],
    /// The time of writing.
    pub now: Unix,
    /// A random token of letters and digits, 16 or more, for the boundary and the Message-ID.
    pub boundary: &'a str,
}

/// A letter, ready for the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// From the null reverse-path to the one recipient.
    pub envelope: Envelope,
    /// The message: CRLF line ends, no line over 998 octets, not stuffed.
    pub octets: Vec<u8>,
}
