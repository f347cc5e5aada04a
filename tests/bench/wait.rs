//! Waiting for a fact, with a limit: the only place of the bench that sleeps, but for the pace of the source.
//!
//! Unlike the tests' waits this one does not panic: a relay that does not deliver is a result.

use std::time::{Duration, Instant};

/// Looks until the fact holds or the limit is over; whether it held.
pub fn until(limit: Duration, mut fact: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if fact() {
            return true;
        }
        if Instant::now() >= end {
            return fact();
        }
        pause(Duration::from_millis(10));
    }
}

/// Waits until a number has not grown for `quiet`, or the limit is over.
pub fn until_steady(quiet: Duration, limit: Duration, mut number: impl FnMut() -> usize) {
    let (mut most, mut since) = (number(), Instant::now());
    until(limit, || {
        let now = number();
        if now > most {
            (most, since) = (now, Instant::now());
        }
        since.elapsed() >= quiet
    });
}

/// Sleeps.
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
