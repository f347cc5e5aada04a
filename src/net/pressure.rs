//! Pressure: who waits for a seat of the pool. Written by the scheduler, read by idle sessions and by the watchdog, which
//! then has less patience with hosts that say nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Standing;

/// How many destinations wait for a seat.
#[derive(Debug, Default)]
pub struct Pressure {
    /// For any seat: the pool is full.
    pool: AtomicUsize,
    /// For a seat that new destinations may hold.
    new: AtomicUsize,
}

impl Pressure {
    /// What the scheduler has found: destinations that wait because the pool is full, and new ones that wait because the
    /// share of new ones is used up.
    pub fn set(&self, pool: usize, new: usize) {
        self.pool.store(pool, Ordering::Relaxed);
        self.new.store(new, Ordering::Relaxed);
    }

    /// Whether anybody waits.
    pub fn is_on(&self) -> bool {
        self.pool.load(Ordering::Relaxed) > 0 || self.new.load(Ordering::Relaxed) > 0
    }

    /// How many wait for a seat such as a session of this standing holds. Suspects keep theirs: they have few, and full
    /// patience is what they were promised.
    pub fn on(&self, standing: Standing) -> usize {
        let pool = self.pool.load(Ordering::Relaxed);
        match standing {
            Standing::Proven => pool,
            Standing::New => pool + self.new.load(Ordering::Relaxed),
            Standing::Suspect => 0,
        }
    }
}
