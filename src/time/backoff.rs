//! Back-off: when to try again. Pure; the jitter is an argument.
//!
//! Two shapes. A message follows a [`Schedule`] (5, 10, 20, 40 minutes, then hourly). A destination that failed as a site
//! rests by [`Doubling`] (1 minute doubling to an hour), because one success should wake everything that waits for it.

use std::time::Duration;

/// A number in 0..=1 that spreads retries; drawn by the caller, so that decisions stay functions of their arguments.
#[derive(Clone, Copy, Debug)]
pub struct Jitter(f64);

impl Jitter {
    /// From any 32 random bits.
    pub fn from_bits(bits: u32) -> Jitter {
        Jitter(f64::from(bits) / f64::from(u32::MAX))
    }

    /// No spread: the shortest wait. For tests and for `retry.jitter = 0`.
    pub const NONE: Jitter = Jitter(0.0);

    /// `wait`, lengthened by up to `percent` per cent. Never shortened: a promise "not before" stays true.
    fn spread(self, wait: Duration, percent: u8) -> Duration {
        wait + wait.mul_f64(self.0 * f64::from(percent) / 100.0)
    }
}

/// The waits between the attempts of a message; the last one repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The waits after the first, second, ... attempt. Empty reads as one hour.
    pub delays: Vec<Duration>,
    /// How much longer than its wait a retry may come, in per cent.
    pub jitter: u8,
}

impl Schedule {
    /// The wait after the `attempts`th attempt has failed (counted from 1; 0 reads as 1).
    pub fn wait(&self, attempts: u32, jitter: Jitter) -> Duration {
        let index = (attempts.max(1) as usize - 1).min(self.delays.len().saturating_sub(1));
        let wait = self.delays.get(index).copied().unwrap_or(Duration::from_secs(3600));
        jitter.spread(wait, self.jitter)
    }
}

/// A wait that doubles from `first` to `most`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubling {
    /// The wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// How much longer than its wait a retry may come, in per cent.
    pub jitter: u8,
}

impl Doubling {
    /// The wait after `failures` failures in a row (counted from 1; 0 reads as 1).
    pub fn wait(&self, failures: u32, jitter: Jitter) -> Duration {
        let doublings = failures.max(1) - 1;
        let factor = 1u32.checked_shl(doublings.min(31)).unwrap_or(u32::MAX);
        let wait = self.first.checked_mul(factor).unwrap_or(self.most).min(self.most);
        jitter.spread(wait, self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(n * 60)
    }

    #[test]
    fn a_message_follows_its_schedule_then_repeats_the_last() {
        let schedule = Schedule { delays: [5, 10, 20, 40, 60].map(minutes).to_vec(), jitter: 20 };
        let waits: Vec<_> = (1..=7).map(|n| schedule.wait(n, Jitter::NONE)).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60].map(minutes));
    }

    #[test]
    fn jitter_only_lengthens_and_within_its_bound() {
        let schedule = Schedule { delays: vec![minutes(10)], jitter: 20 };
        for bits in [0, 1, u32::MAX / 2, u32::MAX] {
            let wait = schedule.wait(1, Jitter::from_bits(bits));
            assert!(wait >= minutes(10) && wait <= minutes(12), "{wait:?}");
        }
    }

    #[test]
    fn a_site_doubles_to_its_bound_and_never_overflows() {
        let rest = Doubling { first: minutes(1), most: minutes(60), jitter: 0 };
        let waits: Vec<_> = (1..=8).map(|n| rest.wait(n, Jitter::NONE)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60].map(minutes));
        assert_eq!(rest.wait(u32::MAX, Jitter::NONE), minutes(60));
    }
}
