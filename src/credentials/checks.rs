//! How many passwords are checked at once: a check is milliseconds of a processor, and strangers may ask for as many as they
//! like. So they wait in line for a while, and are sent away then; mail goes on.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::time::{Deadline, clock};

/// The counts.
#[derive(Debug)]
pub(super) struct Checks {
    most: usize,
    now: Mutex<usize>,
    freed: Condvar,
}

/// The right to one check; given back only by Drop.
#[derive(Debug)]
pub(super) struct Check<'a>(&'a Checks);

impl Checks {
    /// So many at once.
    pub(super) fn new(most: usize) -> Checks {
        Checks { most, now: Mutex::new(0), freed: Condvar::new() }
    }

    /// Half of the processors, at least one.
    pub(super) fn fitting() -> Checks {
        Checks::new(std::thread::available_parallelism().map_or(1, |count| count.get().div_ceil(2)))
    }

    /// The right to a check, or `None` after `limit`.
    pub(super) fn enter(&self, limit: Duration) -> Option<Check<'_>> {
        let end = Deadline::within(clock::now(), limit);
        let mut now = self.now.lock();
        while *now >= self.most {
            let left = end.remaining(clock::now()).ok()?;
            self.freed.wait_for(&mut now, left.get());
        }
        *now += 1;
        Some(Check(self))
    }
}

impl Drop for Check<'_> {
    fn drop(&mut self) {
        *self.0.now.lock() -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_gets_in_or_is_sent_away() {
        let checks = Checks::new(1);
        let check = checks.enter(Duration::ZERO);
        assert!(check.is_some() && checks.enter(Duration::from_millis(20)).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| checks.enter(Duration::from_secs(600)).is_some());
            drop(check);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(*checks.now.lock(), 0);
    }
}
