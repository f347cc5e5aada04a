//! Delivery (floor 4): a worker takes a job, makes the attempt, settles the outcome, and reports.

mod attempt;
mod claim;
mod job;
mod letter;
mod pool;
mod recent;
mod settle;
mod verdict;
mod visit;
mod workshop;

pub use job::{Arrival, DestinationId, Feed, Job, Report, Resting, Ticket, Visit};
pub use pool::Pool;
pub use recent::{RECENT, Recent, RecentFailure};
pub use settle::late;
pub use workshop::{Workshop, announce};
