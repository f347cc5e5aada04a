//! The documents of the answers, which are those of `--json`. Keys are added, never changed. Durations are seconds, times are
//! Unix seconds.

use serde::{Deserialize, Serialize};

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
    /// The mark because of which new mail is refused at present; null when it is taken.
    pub low: Option<String>,
    /// How many messages, or recipients of them, cannot be read and are in quarantine. They are not among the others.
    pub quarantined: u64,
    /// The first hundred of these; on the first page only, and not where a filter means others.
    pub quarantine: Vec<Quarantined>,
}

/// What cannot be read, and is out of the way until a person has mended it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// The queue id of the message.
    pub id: String,
    /// The place of the recipient in the envelope; null for the message as a whole.
    pub recipient: Option<u32>,
    /// `quarantined`.
    pub state: String,
    /// Since when.
    pub at: i64,
    /// What is wrong.
    pub reason: String,
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
    /// When it expires; it does not while it is held.
    pub expires: i64,
    /// Since when it is held; null when it is not.
    pub held: Option<i64>,
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
    /// An operator has chosen its destination: the routes do not.
    pub redirected: bool,
    /// `active`, `ready`, `waiting`, `resting` (with its destination), `blocked`, `held` or `suspended` (its destination).
    /// Never empty.
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
    /// Whether TLS protects it, in the words of the log, once that is decided.
    pub tls: Option<String>,
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

/// A message, with its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// The message.
    pub message: QueuedMessage,
    /// Every attempt, oldest first; the newest fifty.
    pub attempts: Vec<Attempt>,
    /// What was asked for of the message itself; octets that are no UTF-8 are replaced.
    pub text: Option<String>,
    /// There is more of it than is shown.
    pub cut: bool,
}

/// An attempt at one recipient.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// When.
    pub at: i64,
    /// The recipient.
    pub to: String,
    /// `delivered`, `deferred`, `failed` or `removed`.
    pub outcome: String,
    /// In which phase, unless it was delivered.
    pub phase: Option<String>,
    /// The enhanced status code, unless it was delivered.
    pub status: Option<String>,
    /// Host, address, words and phase in one sentence.
    pub text: String,
}

/// A destination's part of the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shape {
    /// The destination.
    pub destination: String,
    /// Recipients.
    pub recipients: u64,
    /// Of them, held.
    pub held: u64,
    /// The age of the oldest.
    pub oldest: u64,
    /// Recipients younger than 5, 10, 20, 40, 80, 160, 320, 640, 1,280 minutes and not counted before; the rest.
    pub ages: Vec<u64>,
}

/// What was done to a page of messages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Acted {
    /// Messages that were meant.
    pub messages: u64,
    /// Recipients that it was done for.
    pub recipients: u64,
    /// Messages in delivery: for a hold, it takes effect when they come back; the rest was not done for them.
    pub in_delivery: Vec<InDelivery>,
    /// Bounces that nobody gets, since the reverse-path is null.
    pub untold: u64,
    /// What was not done, and why.
    pub failed: Vec<NotDone>,
    /// Where the next page begins; null when this was the last.
    pub next: Option<String>,
    /// No message above this id is meant.
    pub up_to: String,
}

/// A message in delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InDelivery {
    /// The message.
    pub id: String,
    /// The session that has it; null when it takes it next.
    pub session: Option<u64>,
}

/// A message to which something was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotDone {
    /// What was asked for.
    pub id: String,
    /// Why not.
    pub reason: String,
}

/// Why not now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked.
    pub what: String,
    /// The message, if one was asked about.
    pub message: Option<QueuedMessage>,
    /// One for each destination.
    pub destinations: Vec<Explained>,
}

/// Why not now, for one destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explained {
    /// The destination; `-` for a message that is in quarantine, which has none.
    pub destination: String,
    /// The recipients it is about; of a domain, those of its oldest message.
    pub to: Vec<String>,
    /// As in the queue; `idle` when nothing is queued for it.
    pub state: String,
    /// In words.
    pub why: String,
    /// In how many seconds it is tried next; null when that does not depend on a clock.
    pub next: Option<u64>,
    /// What set that time; null without one.
    pub set_by: Option<String>,
    /// The limit that is in the way; null when none is.
    pub limit: Option<InTheWay>,
    /// What the last host said; null before the first failure.
    pub last: Option<Last>,
    /// What is known of the destination; null when nothing is.
    pub site: Option<DestinationRow>,
    /// What the operator can do.
    pub advice: Vec<String>,
}

/// A limit, and who holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InTheWay {
    /// The setting.
    pub setting: String,
    /// How much it allows.
    pub most: usize,
    /// How much is in use.
    pub in_use: usize,
    /// The sessions that hold it, oldest first; at most twenty.
    pub held_by: Vec<SessionRow>,
}

/// What is known of destinations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Destinations {
    /// How many are known.
    pub known: usize,
    /// Those with the most messages first.
    pub destinations: Vec<DestinationRow>,
}

/// What is known of a destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DestinationRow {
    /// The destination.
    pub destination: String,
    /// `proven`, `new` or `suspect`.
    pub standing: String,
    /// Messages in all.
    pub messages: usize,
    /// Messages that could go now.
    pub ready: usize,
    /// Messages that wait for a time of their own.
    pub waiting: usize,
    /// Messages that are held.
    pub held: usize,
    /// Connections in use.
    pub connections: usize,
    /// How many it may have now.
    pub allowance: usize,
    /// How many it may ever have: `delivery.connections_per_destination`.
    pub cap: usize,
    /// Failures as a site, in a row.
    pub failures: u32,
    /// How long it rests yet; null when it does not.
    pub rests: Option<u64>,
    /// Since when it is suspended; null when it is not.
    pub suspended: Option<i64>,
    /// Why it is suspended.
    pub reason: Option<String>,
    /// An address that is in its way.
    pub blocked_on: Option<String>,
    /// Its last failure as a site.
    pub last_failure: Option<String>,
    /// How long ago something was last delivered, since the start.
    pub delivered_ago: Option<u64>,
    /// How long ago something was last deferred or refused, since the start.
    pub failed_ago: Option<u64>,
    /// Recipients since the start.
    pub total: Counts,
    /// Recipients in the last minute.
    pub minute: Counts,
}

/// What became of recipients.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Delivered.
    pub delivered: u64,
    /// Deferred.
    pub deferred: u64,
    /// Failed for good.
    pub failed: u64,
}

/// A line of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceLine {
    /// When, in microseconds of Unix time.
    pub at: u64,
    /// The session; 0 for what the relay itself says.
    pub session: u64,
    /// Its destination.
    pub destination: String,
    /// Its host and address, once one is chosen.
    pub host: String,
    /// `>` what we say, `<` what the host says, `*` what happens.
    pub way: String,
    /// The line. Never a secret, and never the octets of a message.
    pub text: String,
}
