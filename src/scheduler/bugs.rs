//! One test per bug that was found in the scheduler, for ever.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::tests::{CAPS, DAY, Desk, SECOND, destination, names};
use super::{Orders, Scheduler, Terms, Widths, Wires};
use crate::delivery::{Arrival, Job, Report, Resting, Visit};
use crate::mail::QueueId;
use crate::net::{Caps, Ledger, Standing};
use crate::time::{Unix, clock};

const MX: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn fails(desk: &mut Desk, visit: Visit, session: u64, began: Instant, rest: Duration) {
    let (destination, words, ticket) = (visit.id, String::new(), visit.feed.take());
    drop(visit.slot);
    desk.queue.report(Report::SiteFailed { destination, session, began, rest, words }, desk.now);
    drop(ticket);
}

/// With more messages in the feeds than reports fit into their channel, the end of the scheduler waited half a minute for
/// each, and the pool for the scheduler.
#[test]
fn the_end_does_not_wait_for_reports_that_nobody_reads() {
    let (freed_in, freed) = bounded(64);
    let caps = Caps { pool: 300, new: 300, suspect: 1, destination: 1, address: 1 };
    let ledger = Ledger::new(caps, freed_in);
    let (jobs, work) = bounded(1000);
    let wires = Wires { arrivals: bounded(1), jobs, reports: bounded(64), freed, pressure: Arc::default() };
    let widths = Widths { new: 1, suspect: 1 };
    let terms = Terms { expire_after: DAY, delay_notice: None, longest_wait: DAY, widths };
    let accepted = clock::unix();
    let arrival = |n: u64| Arrival {
        id: QueueId::from_row(n),
        destination: destination(&format!("d{}.example", n % 10)),
        fresh: None,
        next: Unix(0),
        accepted,
    };
    let mut beginning = Scheduler::begin(ledger, terms, wires, Vec::new(), Orders::default());
    (1..1000).for_each(|n| beginning.arrive(arrival(n)));
    let (scheduler, thread) = beginning.start().unwrap();
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

/// A host that allows few connections at once answered one too many with 421, and the whole destination rested for it,
/// under the hands of sessions that delivered.
#[test]
fn a_connection_too_many_does_not_stop_those_that_deliver() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.add("a.example");
    }
    let good = desk.only(Duration::ZERO);
    desk.reached(&good, 1);
    desk.after(Duration::ZERO);
    let extra = desk.only(30 * Duration::from_millis(1));
    let began = desk.now;
    fails(&mut desk, extra, 2, began, 60 * SECOND);
    assert!(desk.after(SECOND).is_empty(), "no further session for a while");
    assert!(good.feed.len() >= 10, "the good session goes on: {}", good.feed.len());
    let site = &desk.queue.sites[&good.id];
    assert_eq!((site.standing, site.failures), (Standing::Proven, 0));
    // When the good one is gone as well, the next failure is the site's.
    fails(&mut desk, good, 1, began, 60 * SECOND);
    assert!(desk.after(SECOND).is_empty());
}

/// A second connection, to an address that was full, put the whole destination into the line for that address: the session
/// it had got no further messages.
#[test]
fn a_full_address_does_not_stop_the_session_that_is_there() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.add("a.example");
    }
    let good = desk.only(Duration::ZERO);
    let holds = [good.slot.reach(MX).unwrap(), good.slot.reach(MX).unwrap()];
    desk.reached(&good, 1);
    desk.after(Duration::ZERO);
    let second = desk.only(30 * Duration::from_millis(1));
    let (destination, ticket) = (second.id, second.feed.take().unwrap());
    drop(second);
    desk.queue.report(Report::Blocked { destination, address: MX, silent: None }, desk.now);
    ticket.settle(Resting::WithSite);
    assert!(desk.after(SECOND).is_empty());
    assert!(good.feed.len() >= 10, "it goes on: {}", good.feed.len());
    assert!(!desk.queue.pressure.wants(MX), "it would end for the sake of its own destination");
    drop(holds);
}

/// Twenty sessions that met the same outage counted as twenty failures: the second rest was an hour, not two minutes.
#[test]
fn one_outage_is_one_failure_however_many_sessions_it_met() {
    let mut desk = Desk::new();
    for _ in 0..20 {
        desk.add("a.example");
    }
    let began = desk.now;
    let mut visits = desk.after(Duration::ZERO);
    visits.extend(desk.after(30 * Duration::from_millis(1)));
    assert_eq!(visits.len(), 2);
    desk.now += 30 * SECOND;
    for (n, visit) in visits.into_iter().enumerate() {
        fails(&mut desk, visit, n as u64, began, 60 * SECOND);
    }
    let probe = desk.only(61 * SECOND);
    assert_eq!(probe.failures, 1);
    let began = desk.now;
    fails(&mut desk, probe, 9, began, 120 * SECOND);
    assert_eq!(desk.only(121 * SECOND).failures, 2);
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

/// Messages that came with a longer patience stood in front of the sweep, and those behind them outlived their own.
#[test]
fn a_message_that_may_wait_longer_does_not_hide_one_that_may_not() {
    let mut desk = Desk::new();
    let address = destination("a.example");
    desk.queue.recall(&address, 3, 9 * DAY, desk.now);
    let [long, short] = [1, 2].map(QueueId::from_row);
    desk.queue.add(long, &address, None, (Duration::ZERO, false), desk.now + 5 * DAY, desk.now);
    desk.queue.add(short, &address, None, (Duration::ZERO, false), desk.now + DAY, desk.now);
    assert!(desk.after(2 * DAY).is_empty());
    assert_eq!(desk.overdue(None), [short]);
}

/// The worker, by the wall clock or by newer settings, found that it had not expired after all; it was handed out again
/// twice a second, with a write to the disk each time.
#[test]
fn what_came_back_unexpired_is_not_handed_out_again_at_once() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    desk.only(Duration::ZERO).feed.take().unwrap().settle(Resting::For(9 * DAY));
    desk.after(6 * DAY);
    let mut rounds = 0;
    for _ in 0..60 {
        desk.queue.overdue(desk.now, None, 100, &mut |job| match job {
            Job::Overdue(ticket, _, wait) => {
                rounds += 1;
                assert_eq!(ticket.id(), id);
                ticket.settle(Resting::For(wait));
            }
            Job::Visit(_) => panic!("no slot is needed"),
        });
        desk.after(Duration::from_millis(500));
    }
    assert_eq!(rounds, 1);
    desk.after(3600 * SECOND);
    assert_eq!(desk.overdue(None), [id], "it is not forgotten");
}

/// Each time a site was let go by the clock and came back to the line of an address, it stood in it once more.
#[test]
fn a_site_stands_once_in_the_line_for_an_address() {
    let mut desk = Desk::new();
    desk.add("a.example");
    for _ in 0..100 {
        let visit = desk.only(61 * SECOND);
        let (destination, ticket) = (visit.id, visit.feed.take().unwrap());
        drop(visit);
        let silent = Some((60 * SECOND, "silent".to_owned()));
        desk.queue.report(Report::Blocked { destination, address: MX, silent }, desk.now);
        ticket.settle(Resting::WithSite);
    }
    assert_eq!(desk.queue.waiting_for[&MX].sites.len(), 1);
}

/// A clock that was a year ahead wrote times a year ahead; after it had been put right, and a restart, mail rested for them.
#[test]
fn a_clock_that_has_gone_back_delays_no_mail() {
    let (freed_in, freed) = bounded(64);
    let caps = Caps { pool: 4, new: 4, suspect: 1, destination: 1, address: 1 };
    let (jobs, work) = bounded(16);
    let wires = Wires { arrivals: bounded(1), jobs, reports: bounded(64), freed, pressure: Arc::default() };
    let (longest_wait, widths) = (Duration::from_millis(200), Widths { new: 1, suspect: 1 });
    let terms = Terms { expire_after: DAY, delay_notice: None, longest_wait, widths };
    let ahead = clock::unix().after(365 * DAY);
    let [rests, waits] = ["rests.example", "waits.example"].map(destination);
    let arrival = |id, destination, next| Arrival {
        id: QueueId::from_row(id),
        destination,
        fresh: None,
        next,
        accepted: ahead,
    };
    let known = vec![super::Known { destination: rests.clone(), failures: 1, until: ahead }];
    let ledger = Ledger::new(caps, freed_in);
    let mut beginning = Scheduler::begin(ledger, terms, wires, known, Orders::default());
    beginning.arrive(arrival(1, rests, Unix(0)));
    beginning.arrive(arrival(2, waits, ahead));
    let (scheduler, _) = beginning.start().unwrap();
    for _ in 0..2 {
        assert!(matches!(work.recv_timeout(10 * SECOND).unwrap(), Job::Visit(_)));
    }
    scheduler.stop();
}

/// The clock let go one site in half a minute of those that waited for a silent address, and always the same: of two
/// hundred two found out again and again, and the others, who may have had another address by then, waited for ever.
#[test]
fn everybody_in_the_line_for_an_address_finds_out_in_turn() {
    let mut desk = Desk::new();
    let mut seen = std::collections::HashMap::<_, u32>::new();
    for n in 0..200 {
        desk.add(&format!("d{n}.example"));
    }
    for _ in 0..7200 {
        for visit in desk.after(SECOND) {
            *seen.entry(visit.destination().to_string()).or_default() += 1;
            let (destination, ticket) = (visit.id, visit.feed.take().unwrap());
            drop(visit);
            let silent = Some((60 * SECOND, "silent".to_owned()));
            desk.queue.report(Report::Blocked { destination, address: MX, silent }, desk.now);
            ticket.settle(Resting::WithSite);
        }
    }
    let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
    assert!(*least >= 3 && *most <= 8, "{least} to {most} times in two hours");
}

/// After a restart, mail that had been tried before stood in the queue of new mail, and new mail behind all of it.
#[test]
fn new_mail_does_not_stand_behind_what_came_due_while_we_were_away() {
    let mut desk = Desk::new();
    let (address, expires) = (destination("a.example"), desk.now + 5 * DAY);
    for n in 1..=50 {
        desk.queue.add(QueueId::from_row(n), &address, None, (Duration::ZERO, true), expires, desk.now);
    }
    let new = QueueId::from_row(51);
    desk.queue.add(new, &address, None, (Duration::ZERO, false), expires, desk.now);
    let visit = desk.only(Duration::ZERO);
    let fed: Vec<_> = std::iter::from_fn(|| visit.feed.take()).map(|ticket| ticket.take_back().0).collect();
    assert!(fed.iter().position(|id| *id == new).is_some_and(|place| place < 2), "{fed:?}");
}

/// Whoever had been forgotten kept its place in the line for an address that stayed silent, and the line grew for ever.
#[test]
fn the_line_for_an_address_keeps_nobody_who_is_gone() {
    let mut desk = Desk::new();
    let address = [192, 0, 2, 1].into();
    for n in 0..50 {
        desk.add(&format!("d{n}.example"));
    }
    let block = |desk: &mut Desk, visit: crate::delivery::Visit, gone: bool| {
        let (destination, ticket) = (visit.id, visit.feed.take().unwrap());
        drop(visit);
        let silent = Some((60 * SECOND, "no banner".to_owned()));
        desk.queue.report(Report::Blocked { destination, address, silent }, desk.now);
        ticket.settle(if gone { Resting::Gone } else { Resting::WithSite });
    };
    let mut met = 0;
    for _ in 0..1000 {
        for visit in desk.after(SECOND) {
            met += 1;
            // Half of them have no mail any more, and are forgotten.
            let gone = met % 2 == 0;
            let id = visit.id;
            block(&mut desk, visit, gone);
            if gone {
                desk.after(Duration::ZERO);
                desk.queue.sites.remove(&id);
            }
        }
    }
    for _ in 0..10_000 {
        for visit in desk.after(SECOND) {
            block(&mut desk, visit, false);
        }
    }
    let line = &desk.queue.waiting_for[&address].sites;
    assert!(line.iter().all(|id| desk.queue.sites.contains_key(id)), "{} in the line", line.len());
}
