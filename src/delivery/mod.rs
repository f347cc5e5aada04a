//! Delivery (floor 4): a worker takes a job, makes the attempt, settles the outcome, and reports.

mod attempt;
mod claim;
mod feed;
mod job;
mod letter;
mod orders;
mod pool;
mod recent;
mod settle;
mod verdict;
mod visit;
mod workshop;

pub use feed::Feed;
pub use job::{Arrival, DestinationId, Job, Report, Resting, Tally, Ticket, Visit};
pub use orders::{Carried, Order, Place, carry_out};
pub use pool::Pool;
pub use recent::{RECENT, Recent, RecentFailure};
pub use settle::late;
pub use workshop::{Workshop, announce, random};
