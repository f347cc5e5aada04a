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
    /// Since when an operator holds it.
    pub held: Option<Unix>,
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
    /// An operator has chosen its destination.
    pub redirected: bool,
}

/// Which messages of the queue are meant; the default is all. What is set must all be true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only recipients of this destination.
    pub destination: Option<Destination>,
    /// Only messages whose reverse-path, or a recipient, is like this: `*` and `?` are wild cards, `@example.org` is every address there.
    pub address: Option<String>,
    /// Only messages whose reverse-path is like this.
    pub from: Option<String>,
    /// Only recipients whose address is like this.
    pub to: Option<String>,
    /// Accepted at this time or before.
    pub accepted_by: Option<Unix>,
    /// Accepted at this time or after.
    pub accepted_since: Option<Unix>,
    /// Held, or not held.
    pub held: Option<bool>,
    /// No message above this id: what has come since is not meant.
    pub up_to: Option<QueueId>,
}

impl Filter {
    /// What SQLite's GLOB makes of an address as an operator types it: `*` and `?` are wild cards, `@example.org` is every
    /// address there, and the case does not matter.
    pub(super) fn pattern(text: &str) -> String {
        let any = if text.starts_with('@') { "*" } else { "" };
        // A bracket opens a set in GLOB, and an address literal in an address.
        format!("{any}{}", text.to_lowercase().replace('[', "[[]"))
    }
}

/// A page of the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The messages, oldest first. There may be fewer than were asked for though more follow.
    pub messages: Vec<Listed>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<QueueId>,
}

/// How many recipients of a destination are queued, and how old they are: a line of qshape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The destination.
    pub destination: Destination,
    /// Recipients by the age of their message: below 5, 10, 20, ... 1,280 minutes, and all that are older.
    pub ages: [u64; 10],
    /// When the oldest was accepted.
    pub oldest: Unix,
    /// How many of them are held.
    pub held: u64,
}

/// A destination that an operator has suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// The destination.
    pub destination: Destination,
    /// Since when.
    pub since: Unix,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
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
