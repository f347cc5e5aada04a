//! The listener (floor 5): doors that clients come in by, and a fixed pool of threads that serve them.
//!
//! One thread stands at each [`Door`] and never waits for a client: it hands the connection to the pool, or turns the
//! client away when every seat of the [`Seats`] is taken. A defect met while serving one client ends that client's
//! connection, and nothing else.

mod clients;
mod door;
mod pool;
mod reception;
mod rules;
mod seats;

#[cfg(test)]
mod pool_tests;

pub use clients::{ClientEntry, Clients};
pub use door::{Door, DoorError};
pub use pool::Listener;
pub use reception::{Incoming, Queued, Reception};
pub use rules::Rules;
pub use seats::{ClientCounts, Seat, Seats};
