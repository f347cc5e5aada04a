//! Random numbers from a seed that is printed, so that a run can be told from another. Not for secrets.

/// xorshift64*.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // A state of zero would stay zero, and near seeds would begin alike.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    /// Below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A number whose logarithm is even between those of `least` and `most`: as often short as long.
    pub fn spread(&mut self, least: u64, most: u64) -> u64 {
        let mut end = least;
        let doublings = (most / least).max(1).ilog2() + 1;
        for _ in 0..self.below(u64::from(doublings)) {
            end *= 2;
        }
        (end + self.below(end)).min(most)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
