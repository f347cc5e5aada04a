//! The envelope: what SMTP says about a message, as against what stands in it.

use crate::smtp::{Mailbox, ReversePath};
use crate::time::Unix;

/// BODY= of MAIL FROM (RFC 6152).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// 7BIT, also when nothing was said.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
}

/// An envelope. Its recipients keep the order in which they were accepted; there is at least one once it is in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where trouble is reported to.
    pub reverse_path: ReversePath,
    /// What the client said the body is.
    pub body_type: BodyType,
    /// The forward-paths.
    pub recipients: Vec<Mailbox>,
    /// When the message was accepted.
    pub accepted: Unix,
}
