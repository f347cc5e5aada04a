//! The one place that reads the clock.
//!
//! `Instant` is monotonic and serves waiting; [`Unix`] is the wall clock in whole seconds and serves the disk, the log and
//! the letters we write. A clock that jumps moves what is *written*, never what is *waited for*.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 00:00:00 UTC, as the wall clock has them. Before 1970 reads as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unix(pub i64);

impl Unix {
    /// This time plus `by`, in whole seconds, rounded up so that a deadline is never early; saturates.
    pub fn after(self, by: Duration) -> Unix {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        let rounded = seconds.saturating_add(i64::from(by.subsec_nanos() > 0));
        Unix(self.0.saturating_add(rounded))
    }

    /// How long after `earlier` this time is; zero when it is not after.
    pub fn since(self, earlier: Unix) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The monotonic clock.
#[allow(clippy::disallowed_methods)] // The one reader of the clock.
pub fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in whole seconds.
pub fn unix() -> Unix {
    Unix(i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX))
}

/// The wall clock in microseconds since 1970: queue ids are born from it.
pub fn unix_micros() -> u64 {
    u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX)
}

#[allow(clippy::disallowed_methods)] // The one reader of the clock.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_on_disk_is_never_early() {
        assert_eq!(Unix(10).after(Duration::from_millis(1)), Unix(11));
        assert_eq!(Unix(10).after(Duration::from_secs(2)), Unix(12));
        assert_eq!(Unix(i64::MAX).after(Duration::from_secs(2)), Unix(i64::MAX));
    }

    #[test]
    fn a_clock_that_went_back_is_no_negative_age() {
        assert_eq!(Unix(5).since(Unix(9)), Duration::ZERO);
        assert_eq!(Unix(9).since(Unix(5)), Duration::from_secs(4));
    }
}
