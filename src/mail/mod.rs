//! Mail as values (floor 1): the envelope, the queue id, and what became of a recipient.

mod body;
mod channel;
mod date;
mod destination;
mod envelope;
mod field;
mod headers;
mod outcome;
mod queue_id;
mod trace;

pub use body::{Body, BodyReader, MemoryBudget};
pub use channel::Channel;
pub use date::rfc5322;
pub use destination::{Destination, Scheme};
pub use envelope::{BodyType, Envelope};
pub use field::{ascii, field};
pub use headers::Headers;
pub use outcome::{Blame, Diagnostic, Failure, Outcome, Remote, cut};
pub use queue_id::{QueueId, QueueIds};
pub use trace::{Protocol, Received};
