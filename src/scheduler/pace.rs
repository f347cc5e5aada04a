//! The pace: how many sessions with hosts that are not proven begin at one moment.
//!
//! A session costs most of its processor time when it begins: a thread wakes, asks for the route, connects. When thousands
//! of destinations may begin at once (a bad host has been found out, and all that share it are let go one after another), a
//! thousand threads want a processor at the same time, and healthy mail stands in that line. So they begin in small
//! steps, and in smaller ones while there is mail for destinations that are proven. A session that only waits costs nothing and is not counted; that is what seats are for.

use std::time::{Duration, Instant};

/// Steps of time, each with its own number of beginnings.
#[derive(Debug)]
pub(super) struct Pace {
    processors: usize,
    step: Option<(Instant, usize)>,
    /// When mail last went to a proven destination.
    healthy: Option<Instant>,
}

impl Pace {
    /// How long a step is.
    const STEP: Duration = Duration::from_millis(2);
    /// Beginnings in a step for each processor: about what one does in half of that time.
    const EACH: usize = 4;
    /// The same while there is mail for proven destinations: a quarter, and one by one, or there would be moments at which no
    /// processor is left for it.
    const EACH_BESIDE: usize = 1;
    /// There is, for so long after the last of it.
    const LATELY: Duration = Duration::from_secs(1);

    /// The pace of a machine with so many processors.
    pub(super) fn of(processors: usize) -> Pace {
        Pace { processors: processors.max(1), step: None, healthy: None }
    }

    /// Whether one more may begin at `now`; the moment of the next step if not.
    pub(super) fn next(&self, now: Instant) -> Result<(), Instant> {
        let (step, most) = self.step_at(now);
        match self.step {
            Some((began, count)) if count >= most && now < began + step => Err(began + step),
            _ => Ok(()),
        }
    }

    /// One has begun at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        let (step, _) = self.step_at(now);
        match &mut self.step {
            Some((began, count)) if now < *began + step => *count += 1,
            step => *step = Some((now, 1)),
        }
    }

    /// How long a step is at `now`, and how many may begin in it.
    fn step_at(&self, now: Instant) -> (Duration, usize) {
        if self.healthy.is_some_and(|at| now.saturating_duration_since(at) < Pace::LATELY) {
            let processors = u32::try_from(self.processors).unwrap_or(u32::MAX);
            return (Pace::STEP / processors, Pace::EACH_BESIDE);
        }
        (Pace::STEP, self.processors * Pace::EACH)
    }

    /// Mail goes to a proven destination at `now`.
    pub(super) fn healthy(&mut self, now: Instant) {
        self.healthy = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    fn in_a_step(pace: &mut Pace, now: Instant) -> usize {
        (0..1000).take_while(|_| pace.next(now).map(|()| pace.begin(now)).is_ok()).count()
    }

    #[test]
    fn a_step_has_its_number_and_the_next_one_too() {
        let (mut pace, now) = (Pace::of(2), clock::now());
        assert_eq!(in_a_step(&mut pace, now), 2 * Pace::EACH);
        let next = now + Pace::STEP;
        assert_eq!(pace.next(now), Err(next));
        assert_eq!(in_a_step(&mut pace, next), 2 * Pace::EACH);
    }

    #[test]
    fn beside_healthy_mail_the_steps_are_small() {
        let (mut pace, now) = (Pace::of(2), clock::now());
        pace.healthy(now);
        assert_eq!(in_a_step(&mut pace, now), 1);
        assert_eq!(pace.next(now), Err(now + Pace::STEP / 2));
        assert_eq!(in_a_step(&mut pace, now + Pace::LATELY), 2 * Pace::EACH);
    }
}
