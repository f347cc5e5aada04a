//! The daemon (floor 7): puts the house together, keeps it while it runs, and takes it down in order.

mod reload;
mod signals;
mod start;

pub use start::{Began, Daemon, StartError};
