//! What came due while we were away does not go all at once: each destination begins at its own moment, by jitter, within a
//! window that grows with their number. Mail that has never been tried is not asked to wait.

use std::collections::HashMap;
use std::time::Duration;

use crate::mail::Destination;

/// The moments of a start, counted from it. Needed only until the queue has been taken up.
#[derive(Debug, Default)]
pub(super) struct Spread(HashMap<Destination, Duration>);

impl Spread {
    /// What each destination adds to the window: ten thousand of them begin within fifty seconds, three at once.
    const STEP: Duration = Duration::from_millis(5);
    /// The widest window.
    const MOST: Duration = Duration::from_secs(60);

    /// When this destination begins; all its mail at the same moment, since one session may take it all.
    pub(super) fn begins(&mut self, destination: &Destination, random: impl FnOnce() -> u32) -> Duration {
        if let Some(at) = self.0.get(destination) {
            return *at;
        }
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_add(1);
        let window = Spread::STEP.saturating_mul(count).min(Spread::MOST);
        let at = window.mul_f64(f64::from(random()) / f64::from(u32::MAX));
        self.0.insert(destination.clone(), at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_destinations_begin_at_once_and_many_are_spread() {
        let mut spread = Spread::default();
        let mut bits = 1_u32;
        let mut begins = |n: u32| {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let destination = Destination::parse(&format!("d{n}.example")).unwrap();
            let at = spread.begins(&destination, || bits);
            assert_eq!(spread.begins(&destination, || 0), at, "each has one moment");
            at
        };
        assert!((0..3).all(|n| begins(n) <= Duration::from_millis(15)));
        let mut all: Vec<_> = (3..20_000).map(begins).collect();
        all.sort_unstable();
        assert!(all.last().is_some_and(|last| *last <= Spread::MOST));
        let in_second = |s| all.iter().filter(|at| at.as_secs() == s).count();
        let most = (0..=60).map(in_second).max().unwrap();
        assert!(most < 1500, "{most} begin in one second");
    }
}
