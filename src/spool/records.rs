//! What the spool tells of itself: plain values, for the operator's queue and for the scheduler's start.

use crate::mail::{Destination, Failure, QueueId};
use crate::smtp::{EnhancedStatus, Mailbox, ReversePath};
use crate::time::{Phase, Unix};

/// The last failure of a recipient, as it was at that time. A reply of many lines has been put on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// When it was settled.
    pub at: Unix,
    /// The failure.
    pub failure: Failure,
}

/// A queued message, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its queue id.
    pub id: QueueId,
    /// Where trouble is reported to.
    pub reverse_path: ReversePath,
    /// Its size in octets.
    pub size: u64,
    /// When it was accepted.
    pub accepted: Unix,
    /// Whether the reverse-path has been told that it is late.
    pub delay_notified: bool,
    /// The recipients that are still queued, in the order of the envelope; only those for the destination asked for.
    pub recipients: Vec<ListedRecipient>,
}

/// A queued recipient, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecipient {
    /// Its place in the envelope, from 0.
    pub n: u32,
    /// The forward-path.
    pub address: Mailbox,
    /// The next hop.
    pub destination: Destination,
    /// How often it has been tried.
    pub attempts: u32,
    /// Not before this time; 0 for at once.
    pub next: Unix,
    /// Why it is still here, if it has been tried.
    pub last: Option<Last>,
}

/// One attempt at one recipient, from the history of a queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The recipient's place in the envelope, from 0.
    pub n: u32,
    /// The forward-path, as text: it may be delivered and gone.
    pub address: String,
    /// When it was settled.
    pub at: Unix,
    /// `delivered`, `deferred` or `failed`.
    pub outcome: String,
    /// Where the conversation stood, unless it was delivered.
    pub phase: Option<Phase>,
    /// The enhanced status code, unless it was delivered.
    pub status: Option<EnhancedStatus>,
    /// Host, words and phase in one sentence; empty when it was delivered.
    pub text: String,
}

/// The standing of a next hop, kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRecord {
    /// The next hop.
    pub destination: Destination,
    /// Failures as a site, in a row. With 0, and not `proven`, there is nothing to remember.
    pub failures: u32,
    /// It rests until then.
    pub until: Unix,
    /// Its last session reached a reply to EHLO.
    pub proven: bool,
    /// When its last session ended.
    pub last_at: Unix,
    /// How its last session ended, in one sentence.
    pub last_text: String,
}

/// How much is queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Recipients of these messages that are still queued.
    pub recipients: u64,
}
