//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Count;

/// How often a duration was at most each of `N` bounds, and above them all. To observe is two relaxed atomic additions; a
/// reader may see one of them before the other, which a scrape does not notice.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    /// In microseconds, rising.
    bounds: [u64; N],
    buckets: [Count; N],
    above: Count,
    /// Microseconds: half a million years of them.
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// An empty one, with bounds in microseconds, rising.
    pub const fn new(bounds: [u64; N]) -> Histogram<N> {
        Histogram {
            bounds,
            buckets: [const { Count::new() }; N],
            above: Count::new(),
            sum: AtomicU64::new(0),
        }
    }

    /// One more.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < micros);
        self.buckets.get(bucket).unwrap_or(&self.above).one();
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// Each bound in seconds with what fell between it and the one below; the last one is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| seconds(*bound));
        let below = bounds.zip(self.buckets.iter().map(Count::get));
        below.chain([(f64::INFINITY, self.above.get())]).collect()
    }

    /// All durations together, in seconds.
    pub fn sum(&self) -> f64 {
        seconds(self.sum.load(Ordering::Relaxed))
    }
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_under_the_first_bound_that_holds_it() {
        let histogram = Histogram::new([1_000, 1_000_000]);
        for millis in [0, 1, 2, 1000, 1001, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert_eq!(histogram.buckets(), [(0.001, 2), (1.0, 2), (f64::INFINITY, 2)]);
        assert!((histogram.sum() - 7.004).abs() < 1e-9);
    }
}
