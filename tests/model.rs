//! The ledger under every interleaving: no count is lost, none goes below zero, no cap is exceeded, with panics as well.
//!
//! The file under test is the product's own, `src/net/ledger.rs`, on primitives that the model checker schedules. Random
//! schedules go deep; the exhaustive ones go through all there are of a smaller scene.

#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::{Receiver, bounded};
use shuttle::scheduler::DfsScheduler;
use shuttle::sync::Arc;
use shuttle::{Config, Runner, thread};

use mail::Destination;
use net::ledger::{Blocked, Caps, Freed, Ledger, Standing};

mod mail {
    pub use sendoff::mail::Destination;
}

#[path = "../src/net"]
mod net {
    /// The model checker's primitives, with the interface of those they stand for.
    pub mod sync {
        pub use shuttle::sync::atomic::{AtomicBool, Ordering};
        pub use shuttle::sync::{Arc, MutexGuard};

        #[derive(Debug, Default)]
        pub struct Mutex<T>(shuttle::sync::Mutex<T>);

        impl<T> Mutex<T> {
            pub fn new(value: T) -> Mutex<T> {
                Mutex(shuttle::sync::Mutex::new(value))
            }

            pub fn lock(&self) -> MutexGuard<'_, T> {
                // parking_lot has no poison.
                self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        }
    }

    pub mod ledger;
}

const CAPS: Caps = Caps { pool: 3, new: 2, suspect: 1, destination: 2, address: 1 };
const STANDINGS: [Standing; 3] = [Standing::Proven, Standing::New, Standing::Suspect];

fn to(name: &str) -> Destination {
    Destination::parse(name).unwrap()
}

/// What must hold at every moment anybody looks.
fn look(ledger: &Arc<Ledger>) {
    let counts = ledger.counts();
    let [proven, new, suspect] = STANDINGS.map(|standing| counts.seats(standing));
    assert!(proven + new + suspect <= CAPS.pool, "the pool: {counts:?}");
    assert!(new <= CAPS.new && suspect <= CAPS.suspect, "the shares: {counts:?}");
    let by_destination: Vec<_> = counts.destinations().map(|(_, count)| count).collect();
    assert!(by_destination.iter().all(|count| (1..=CAPS.destination).contains(count)), "{counts:?}");
    assert_eq!(by_destination.iter().sum::<usize>(), counts.total(), "{counts:?}");
    assert!(counts.address(address()) <= CAPS.address, "the address: {counts:?}");
}

fn address() -> IpAddr {
    [192, 0, 2, 1].into()
}

/// A worker: it takes what it gets, reaches for the one address all share, and leaves, in a panic or not.
fn work(ledger: &Arc<Ledger>, standing: Standing, name: &str, panics: bool, looks: bool) {
    let look = |ledger| {
        if looks {
            look(ledger)
        }
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let Ok(mut slot) = ledger.try_acquire(&to(name), standing, 2) else { return };
        look(ledger);
        let hold = slot.reach(address());
        if looks {
            slot.promote();
        }
        look(ledger);
        if panics {
            std::panic::resume_unwind(Box::new("a worker's"));
        }
        drop(hold);
        drop(slot);
    }));
    assert!(result.is_ok() || panics);
    look(ledger);
}

fn scene(workers: &'static [(Standing, &'static str, bool)], room: usize, looks: bool) {
    let (freed, told): (_, Receiver<Freed>) = bounded(room);
    let ledger = Ledger::new(CAPS, freed);
    let threads: Vec<_> = workers
        .iter()
        .map(|(standing, name, panics)| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || work(&ledger, *standing, name, *panics, looks))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(ledger.counts(), net::ledger::Counts::default(), "every count is back");
    // Whatever was given back was told, or it is known that something was not.
    assert!(told.len() < room || ledger.missed() || told.len() <= 2 * workers.len());
    let whole = ledger.try_acquire(&to("after.example"), Standing::Proven, 1);
    assert!(!matches!(whole, Err(Blocked::Pool)), "no seat is lost");
}

const CROWD: &[(Standing, &str, bool)] = &[
    (Standing::Proven, "a.example", false),
    (Standing::New, "a.example", true),
    (Standing::New, "b.example", false),
    (Standing::Suspect, "c.example", true),
    (Standing::Suspect, "a.example", false),
];

#[test]
fn random_schedules_of_a_crowd() {
    shuttle::check_random(|| scene(CROWD, 2, true), 20_000);
}

#[test]
fn every_schedule_of_two() {
    const TWO: &[(Standing, &str, bool)] =
        &[(Standing::Suspect, "a.example", false), (Standing::Suspect, "a.example", true)];
    const MOST: usize = 300_000;
    let scheduler = DfsScheduler::new(Some(MOST), false);
    let schedules = Runner::new(scheduler, Config::default()).run(|| scene(TWO, 1, false));
    assert!((100..MOST).contains(&schedules), "not all of them: {schedules}");
    println!("{schedules} schedules, all there are");
}

/// The model can fail: a ledger that checked its caps outside the lock would be found out.
#[test]
fn a_check_outside_the_lock_is_found() {
    let found = std::panic::catch_unwind(|| {
        shuttle::check_random(
            || {
                let count = Arc::new(net::sync::Mutex::new(0));
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        let count = Arc::clone(&count);
                        thread::spawn(move || {
                            let free = *count.lock() < 1;
                            if free {
                                *count.lock() += 1;
                            }
                            assert!(*count.lock() <= 1);
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            },
            1_000,
        );
    });
    assert!(found.is_err());
}
