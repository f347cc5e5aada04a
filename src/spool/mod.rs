//! The spool: where mail is safe (floor 2).
//!
//! What [`Draft::commit`] has accepted survives a crash of the process, of the machine and of the disk's cache; what a
//! [`Lease`] has settled is never worked twice. Many callers share one sync: one thread writes, in transactions of whatever
//! has gathered. Nothing outside this folder knows that SQLite is underneath, except operators, whose interface is the
//! documented schema (`schema.rs`).
//!
//! ```text
//! draft --commit--> Accepted --> (scheduler) --claim--> Lease --settle--> gone | queued again | a bounce, Accepted
//! ```

mod accepted;
mod alarm;
mod checkpointer;
mod claims;
mod draft;
mod error;
mod files;
mod lease;
mod listing;
mod lock;
mod operation;
mod orders;
mod quarantine;
mod queue;
mod readers;
mod records;
mod renewal;
mod room;
mod rows;
mod schema;
mod sign;
mod statements;
mod store;
mod take_up;
#[cfg(test)]
mod tests;
mod ticket;
mod writer;

pub use accepted::{Accepted, Fresh, NewMessage};
pub use alarm::Alarm;
pub use draft::Draft;
pub use error::SpoolError;
pub use lease::{Lease, LeasedRecipient, Settled, Settling, Verdict};
pub use quarantine::Quarantined;
pub use records::{
    AttemptRecord, DestinationRecord, Filter, Last, Listed, ListedRecipient, Page, Shape, Suspended, Totals,
};
pub use room::Marks;
pub use store::Spool;
pub use take_up::{Entry, TakeUp};
