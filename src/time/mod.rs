//! Time: the clock, deadlines, phases and back-off (floor 0).
//!
//! Decisions are functions of `now`. One file reads the clock, [`clock`]; all else takes `now` as an argument, so that a
//! week of retries is tested in a microsecond. `Instant` is for waiting, [`Unix`] seconds are for the disk; they are never
//! mixed.

mod backoff;
pub mod clock;
mod deadline;
mod phase;

pub use backoff::{Doubling, Jitter, Schedule};
pub use clock::Unix;
pub use deadline::{Deadline, Expired, Limit, Remaining};
pub use phase::Phase;
