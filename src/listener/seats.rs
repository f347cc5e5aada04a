//! The seats: how many clients are served, and how many may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::metrics::METRICS;

/// As many seats as there are threads.
#[derive(Debug)]
pub struct Seats {
    most: usize,
    now: AtomicUsize,
    served: AtomicU64,
    turned_away: AtomicU64,
}

/// The numbers, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCounts {
    /// Clients that hold a seat.
    pub now: usize,
    /// Seats.
    pub most: usize,
    /// Clients that ever got one.
    pub served: u64,
    /// Clients that got none.
    pub turned_away: u64,
}

impl Seats {
    /// So many seats, all free.
    pub fn new(most: usize) -> Arc<Seats> {
        Arc::new(Seats { most, now: 0.into(), served: 0.into(), turned_away: 0.into() })
    }

    /// A seat, or `None` when all are taken. Never waits.
    pub fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let more = |now| (now < self.most).then_some(now + 1);
        if self.now.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            METRICS.turned_away.one();
            return None;
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        METRICS.clients.one();
        Some(Seat(Arc::clone(self)))
    }

    /// The numbers now.
    pub fn counts(&self) -> ClientCounts {
        ClientCounts {
            now: self.now.load(Ordering::Acquire),
            most: self.most,
            served: self.served.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }
}

/// One client's seat; given back only by Drop.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        METRICS.clients_gone.one();
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn seats_come_back_by_drop_also_in_a_panic() {
        let seats = Seats::new(1);
        let seat = seats.try_take().unwrap();
        assert!(seats.try_take().is_none());
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _seat = seat;
            panic!("a defect");
        }));
        assert!(panicked.is_err());
        assert_eq!(seats.counts(), ClientCounts { now: 0, most: 1, served: 1, turned_away: 1 });
        assert!(seats.try_take().is_some());
    }
}
