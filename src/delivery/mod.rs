//! Delivery (floor 4): a worker takes a job, makes the attempt, settles the outcome, and reports.

mod attempt;
mod claim;
mod feed;
mod job;
mod letter;
mod pool;
mod settle;
mod verdict;
mod visit;
mod workshop;

pub use feed::Feed;
pub use job::{Arrival, DestinationId, Job, Report, Resting, Ticket, Visit};
pub use pool::Pool;
pub use settle::late;
pub use workshop::{Workshop, announce, random};
