//! Counts (floor 0): what has happened since the start, as relaxed atomics; no locks, no I/O, no names of anything outside.
//!
//! One register for the process, like the log: what is counted is what the process did, and every floor may count. A handle
//! passed through every constructor was weighed; it would be one more argument of everything, and never another register.
//! No label is ever a destination's name: there are as many of those as there are domains.

mod count;
mod histogram;
mod register;

pub use count::{Count, Counts};
pub use histogram::Histogram;
pub use register::{Cut, Found, METRICS, Metrics, Source, Told};
