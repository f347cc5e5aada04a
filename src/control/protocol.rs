//! What is said through the door. The same types are the documents of `--json`: an interface, so keys are added, never
//! changed. Durations are seconds, times are Unix seconds.

use serde::{Deserialize, Serialize};

use super::overview::Overview;

/// What the operator asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A page of the queue.
    Queue {
        /// Only messages after this queue id.
        after: Option<String>,
        /// The most messages on the page; the door has its own limit.
        limit: usize,
        /// Only messages for this destination.
        destination: Option<String>,
    },
    /// The session table.
    Connections,
    /// The relay at a glance.
    Overview,
    /// Every destination that rests is tried now.
    Flush,
    /// A message to be submitted; its octets follow.
    Submit {
        /// The reverse-path, without angle brackets; empty is the null path.
        from: String,
        /// The forward-paths.
        to: Vec<String>,
        /// How many octets follow.
        size: u64,
    },
}

/// What the relay answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A page of the queue.
    Queue(Queue),
    /// The session table.
    Connections(Connections),
    /// The relay at a glance.
    Overview(Box<Overview>),
    /// The destinations that rested are looked at.
    Flushed,
    /// The message is durable.
    Submitted(Submitted),
    /// It was not done, and why.
    Error {
        /// A code of sysexits(3).
        exit: u8,
        /// Why.
        reason: String,
    },
}

/// A page of the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// Messages in the whole queue.
    pub messages: u64,
    /// Recipients in the whole queue.
    pub recipients: u64,
    /// The page, oldest first.
    pub queue: Vec<QueuedMessage>,
    /// Where the next page starts (`after`); null on the last one.
    pub next: Option<String>,
}

/// A queued message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// Its queue id.
    pub id: String,
    /// The reverse-path; empty for a bounce.
    pub from: String,
    /// Octets.
    pub size: u64,
    /// When it was accepted.
    pub accepted: i64,
    /// How long ago that was.
    pub age: u64,
    /// When it expires.
    pub expires: i64,
    /// Who has not got it yet.
    pub recipients: Vec<QueuedRecipient>,
}

/// A recipient that has not got its message yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueuedRecipient {
    /// The forward-path.
    pub to: String,
    /// The next hop.
    pub destination: String,
    /// How often it has been tried.
    pub attempts: u32,
    /// `active`, `ready`, `waiting`, `resting` (with its destination) or `blocked`. Never empty.
    pub state: String,
    /// In words: why it has not left.
    pub why: String,
    /// In how many seconds it is tried next; null when that does not depend on a clock.
    pub next: Option<u64>,
    /// The last failure; null before the first.
    pub last: Option<Last>,
}

/// A failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Last {
    /// When.
    pub at: i64,
    /// In which phase.
    pub phase: String,
    /// The enhanced status code.
    pub status: String,
    /// Which host, and its address.
    pub host: Option<String>,
    /// One sentence with phase, host, address and words.
    pub text: String,
}

/// The session table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connections {
    /// Slots in use in the ledger.
    pub slots: usize,
    /// By standing, and the most there may be.
    pub seats: Seats,
    /// The sessions, oldest first.
    pub connections: Vec<SessionRow>,
}

/// Seats of the pool.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Seats {
    /// Held by proven destinations.
    pub proven: usize,
    /// Held by new ones.
    pub new: usize,
    /// Held by suspects.
    pub suspect: usize,
    /// In the whole pool.
    pub pool: usize,
}

/// A session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its number: `session=` in the log.
    pub session: u64,
    /// The destination whose slot it holds.
    pub destination: String,
    /// The host.
    pub mx: Option<String>,
    /// The address.
    pub address: Option<String>,
    /// Where the conversation stands.
    pub phase: String,
    /// The message in hand.
    pub message: Option<String>,
    /// Messages delivered over it.
    pub delivered: u32,
    /// How long it has lived.
    pub age: f64,
    /// How long it has been in this phase.
    pub in_phase: f64,
    /// What is left until its narrowest limit.
    pub left: f64,
    /// Which limit that is.
    pub limit: String,
}

/// A message that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submitted {
    /// Its queue id.
    pub id: String,
}
