//! Failed tries, counted per address: each makes the next answer slower, and after many nobody from there is heard for a
//! while. Each is forgiven after a minute, none by a success: who has one password may still be trying for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The table, bounded.
#[derive(Debug, Default)]
pub(super) struct Tries(Mutex<HashMap<IpAddr, Entry>>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    /// When the count was true.
    at: Instant,
}

impl Tries {
    /// What the first failure costs; each further one twice as much ...
    const FIRST: Duration = Duration::from_millis(500);
    /// ... up to here.
    const MOST: Duration = Duration::from_secs(8);
    /// With so many failures an address is not heard at all.
    const TOO_MANY: u32 = 30;
    /// One failure is forgiven in so long.
    const FORGIVEN: Duration = Duration::from_secs(60);
    /// The most addresses.
    const BOUND: usize = 10_000;

    /// Whether `client` has failed so often that it is not heard now.
    pub(super) fn is_too_much(&self, client: IpAddr, now: Instant) -> bool {
        self.0.lock().get(&home(client)).is_some_and(|entry| entry.failures_at(now) >= Self::TOO_MANY)
    }

    /// Counts a failure; how long its answer is to be held back.
    pub(super) fn failed(&self, client: IpAddr, now: Instant) -> Duration {
        let mut table = self.0.lock();
        let home = home(client);
        if !table.contains_key(&home) && table.len() >= Self::BOUND {
            make_room(&mut table, now);
        }
        let entry = table.entry(home).or_insert(Entry { failures: 0, at: now });
        let failures = entry.failures_at(now).saturating_add(1);
        *entry = Entry { failures, at: now };
        Self::FIRST.saturating_mul(1 << (failures - 1).min(16)).min(Self::MOST)
    }
}

impl Entry {
    fn failures_at(&self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.at).as_secs() / Tries::FORGIVEN.as_secs();
        self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }
}

/// Drops what is forgiven; if that is nobody, whoever has failed the least, and of those whoever did so first: a flood of
/// addresses does not wash out the one that goes on trying.
fn make_room(table: &mut HashMap<IpAddr, Entry>, now: Instant) {
    table.retain(|_, entry| entry.failures_at(now) > 0);
    if table.len() >= Tries::BOUND {
        let least = table.iter().min_by_key(|(_, entry)| (entry.failures_at(now), entry.at));
        if let Some(least) = least.map(|(address, _)| *address) {
            table.remove(&least);
        }
    }
}

/// What one customer of a provider has: an IPv4 address, or 64 bits of IPv6.
fn home(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn failures_slow_down_and_are_forgiven() {
        let (tries, now) = (Tries::default(), clock::now());
        let client = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2:1".parse().unwrap();
        let waits: Vec<_> = (0..6).map(|_| tries.failed(client, now).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 8000]);
        assert_eq!(tries.failed(neighbour, now + MINUTE * 5).as_millis(), 1000);
        assert_eq!(tries.failed("192.0.2.1".parse().unwrap(), now).as_millis(), 500);
        for _ in 0..30 {
            tries.failed(client, now + MINUTE * 5);
        }
        assert!(tries.is_too_much(client, now + MINUTE * 5));
        assert!(!tries.is_too_much(client, now + MINUTE * 10));
        assert_eq!(tries.failed(client, now + MINUTE * 1000).as_millis(), 500);
    }

    #[test]
    fn the_table_has_a_bound_and_keeps_the_worst() {
        let (tries, now) = (Tries::default(), clock::now());
        let worst: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..40 {
            tries.failed(worst, now);
        }
        for n in 0..12_000u32 {
            tries.failed(IpAddr::V4(n.into()), now + Duration::from_millis(u64::from(n)));
        }
        assert!(tries.0.lock().len() == Tries::BOUND && tries.is_too_much(worst, now + MINUTE));
    }
}
