//! A count, and a row of counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// What only grows. Adding to it is one relaxed atomic instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Nothing yet.
    pub const fn new() -> Count {
        Count(AtomicU64::new(0))
    }

    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// `N` counts, by the number of a variant.
#[derive(Debug)]
pub struct Counts<const N: usize>([Count; N]);

impl<const N: usize> Counts<N> {
    /// Nothing yet.
    pub const fn new() -> Counts<N> {
        Counts([const { Count::new() }; N])
    }

    /// The count of a variant. One beyond the last counts as the last: to count wrong is better than to panic.
    pub fn of(&self, variant: usize) -> &Count {
        &self.0[variant.min(N - 1)]
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(Count::get).sum()
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Counts<N> {
        Counts::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variant_has_its_count() {
        let counts = Counts::<3>::new();
        counts.of(0).one();
        counts.of(2).add(4);
        counts.of(9).one();
        assert_eq!([0, 1, 2].map(|n| counts.of(n).get()), [1, 0, 5]);
        assert_eq!(counts.sum(), 6);
    }
}
