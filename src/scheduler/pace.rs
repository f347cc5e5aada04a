//! The pace: how many sessions with hosts that are not proven begin at one moment.
//!
//! A session costs most of its processor time when it begins: a thread wakes, asks for the route, connects. When thousands
//! of destinations may begin at once (a bad host has been found out, and all that share it are let go one after another), a
//! thousand threads want a processor at the same time, and healthy mail stands in that line. So they begin in small steps.
//! A session that only waits costs nothing and is not counted; that is what seats are for.

use std::time::{Duration, Instant};

/// Steps of time, each with its own number of beginnings.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    step: Option<(Instant, usize)>,
}

impl Pace {
    /// How long a step is.
    const STEP: Duration = Duration::from_millis(2);
    /// Beginnings in a step for each processor: about what one does in a tenth of that time.
    const EACH: usize = 1;

    /// The pace of a machine with so many processors.
    pub(super) fn of(processors: usize) -> Pace {
        Pace { most: Pace::EACH * processors.max(1), step: None }
    }

    /// Whether one more may begin at `now`; the moment of the next step if not.
    pub(super) fn next(&self, now: Instant) -> Result<(), Instant> {
        match self.step {
            Some((began, count)) if count >= self.most && now < began + Pace::STEP => Err(began + Pace::STEP),
            _ => Ok(()),
        }
    }

    /// One has begun at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        match &mut self.step {
            Some((began, count)) if now < *began + Pace::STEP => *count += 1,
            step => *step = Some((now, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    #[test]
    fn a_step_has_its_number_and_the_next_one_too() {
        let (mut pace, now) = (Pace::of(2), clock::now());
        for _ in 0..2 * Pace::EACH {
            assert_eq!(pace.next(now), Ok(()));
            pace.begin(now);
        }
        let next = now + Pace::STEP;
        assert_eq!(pace.next(now), Err(next));
        assert_eq!(pace.next(next), Ok(()));
        pace.begin(next);
        assert_eq!(pace.next(next), Ok(()));
    }
}
