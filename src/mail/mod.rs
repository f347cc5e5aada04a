//! Mail as values (floor 1): the envelope, the queue id, and what became of a recipient.

mod body;
mod destination;
mod envelope;
mod outcome;
mod queue_id;

pub use body::{Body, BodyReader, MemoryBudget};
pub use destination::Destination;
pub use envelope::{BodyType, Envelope};
pub use outcome::{Blame, Diagnostic, Failure, Outcome, Remote};
pub use queue_id::{QueueId, QueueIds};
