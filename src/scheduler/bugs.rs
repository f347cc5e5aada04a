//! One test per bug that was found in the scheduler, for ever.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::tests::{CAPS, DAY, Desk, SECOND, destination, names};
use super::{Scheduler, Terms, Widths, Wires};
use crate::delivery::{Arrival, Job};
use crate::mail::QueueId;
use crate::net::{Caps, Ledger};
use crate::time::{Unix, clock};

/// Tickets in the feeds reported, at the end, into a channel that nobody read: up to 30 s each, and the pool waited for
/// the scheduler.
#[test]
fn the_end_does_not_wait_for_reports_that_nobody_reads() {
    let (freed_in, freed) = bounded(64);
    let caps = Caps { pool: 300, new: 300, suspect: 1, destination: 1, address: 1 };
    let ledger = Ledger::new(caps, freed_in);
    let (jobs, work) = bounded(1000);
    let wires = Wires { arrivals: bounded(1), jobs, reports: bounded(64), freed, pressure: Arc::default() };
    let terms = Terms { expire_after: DAY, delay_notice: None, widths: Widths { new: 1, suspect: 1 } };
    let accepted = clock::unix();
    let arrival = |n: u64| Arrival {
        id: QueueId::from_row(n),
        destination: destination(&format!("d{}.example", n % 10)),
        fresh: None,
        next: Unix(0),
        accepted,
    };
    let queued = (1..1000).map(arrival).collect();
    let (scheduler, thread) = Scheduler::start(ledger, terms, wires, Vec::new(), queued).unwrap();
    let mut slots = Vec::new();
    for _ in 0..10 {
        let Job::Visit(visit) = work.recv_timeout(10 * SECOND).unwrap() else { panic!("a visit") };
        // The worker knows of the end already, and has let go of the feed.
        slots.push(visit.slot);
    }
    scheduler.stop();
    let end = clock::now() + 10 * SECOND;
    while !thread.is_finished() && clock::now() < end {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(thread.is_finished(), "the scheduler has not ended");
}

/// A site in turn that could get no seat was woken every 5 ms, each of a thousand.
#[test]
fn a_site_that_waits_for_a_seat_is_not_woken_by_the_clock() {
    let mut desk = Desk::new();
    for n in 0..8 {
        desk.add(&format!("n{n}.example"));
        desk.add(&format!("n{n}.example"));
    }
    let held = desk.after(Duration::ZERO);
    assert_eq!(held.len(), 6);
    assert!(desk.after(SECOND).is_empty());
    let next = desk.queue.next_wake().map(|at| at - desk.now);
    assert!(next.is_none_or(|wait| wait > SECOND), "{next:?}");
}

/// Proven destinations with more mail than the pool can take got every seat that came free; a new one got none, for ever.
#[test]
fn a_full_pool_of_proven_destinations_lets_a_new_one_have_its_turn() {
    let mut desk = Desk::new();
    for n in 0..CAPS.pool {
        let name = format!("p{n}.example");
        desk.queue.recall(&destination(&name), 0, Duration::ZERO, desk.now);
        for _ in 0..100 {
            desk.add(&name);
        }
    }
    let mut visits = desk.after(Duration::ZERO);
    assert_eq!(visits.len(), CAPS.pool);
    desk.after(SECOND);
    desk.add("new.example");
    desk.queue.recall(&destination("suspect.example"), 1, Duration::ZERO, desk.now);
    desk.add("suspect.example");
    let mut served = Vec::new();
    for _ in 0..20 {
        visits.remove(0);
        let next = desk.after(SECOND);
        served.extend(names(&next));
        visits.extend(next);
    }
    assert!(served.contains(&"new.example".to_owned()), "{served:?}");
    assert!(served.contains(&"suspect.example".to_owned()), "{served:?}");
}
