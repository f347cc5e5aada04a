//! Pressure: who waits for a seat of the pool, or for a connection to an address. Written by the scheduler, read by idle
//! sessions and by the watchdog, which then has less patience with hosts that say nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::Standing;

/// How many destinations wait for a seat, and for which addresses some wait.
#[derive(Debug, Default)]
pub struct Pressure {
    /// For any seat: the pool is full.
    pool: AtomicUsize,
    /// For a seat that new destinations may hold.
    new: AtomicUsize,
    /// Addresses with as many connections as they may have, and more wanted.
    wanted: RwLock<HashSet<IpAddr>>,
}

impl Pressure {
    /// What the scheduler has found: destinations that wait because the pool is full, and new ones that wait because the
    /// share of new ones is used up.
    pub fn set(&self, pool: usize, new: usize) {
        self.pool.store(pool, Ordering::Relaxed);
        self.new.store(new, Ordering::Relaxed);
    }

    /// Somebody waits for a connection to `address`.
    pub fn want(&self, address: IpAddr) {
        self.wanted.write().insert(address);
    }

    /// Nobody waits for `address` any more.
    pub fn unwant(&self, address: IpAddr) {
        self.wanted.write().remove(&address);
    }

    /// Nobody waits for any address.
    pub fn unwant_all(&self) {
        self.wanted.write().clear();
    }

    /// Whether somebody waits for a connection to `address`: an idle session there is in the way.
    pub fn wants(&self, address: IpAddr) -> bool {
        self.wanted.read().contains(&address)
    }

    /// Whether anybody waits for a seat.
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
