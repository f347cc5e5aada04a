//! The session table: who stands in it, and who is cut.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sessions::{Session, Sessions};
use super::{Pressure, Slot, Standing};
use crate::mail::Destination;
use crate::net::{Caps, Ledger};
use crate::time::{Deadline, Limit, Phase, clock};

fn session(table: &Arc<Sessions>, now: Instant, limit: Duration) -> Session {
    table.enter(&slot(Standing::New), now, &Deadline::within(now, limit))
}

fn slot(standing: Standing) -> Slot {
    let (freed, _) = crossbeam_channel::bounded(1);
    let caps = Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 };
    Ledger::new(caps, freed).try_acquire(&Destination::parse("example.org").unwrap(), standing, 1).unwrap()
}

#[test]
fn patience_ends_for_as_many_as_others_wait_for_and_never_for_suspects() {
    let (table, now, second) = (Sessions::new(), clock::now(), Duration::from_secs(1));
    let deadline = Deadline::within(now, 300 * second);
    let enter = |standing| {
        let session = table.enter(&slot(standing), now, &deadline);
        session.phase(Phase::Banner, now, &deadline);
        session
    };
    let suspect = enter(Standing::Suspect);
    let (first, second_one) = (enter(Standing::New), enter(Standing::New));
    let greeted = enter(Standing::New);
    greeted.phase(Phase::FinalDot, now, &deadline);
    let pressure = Pressure::default();
    let cut = |after| table.cut_impatient(now + after * second, 10 * second, &pressure, 1).len();
    assert_eq!(cut(60), 0, "nobody waits");
    pressure.set(0, 1);
    assert_eq!((cut(9), cut(10)), (0, 1));
    let another = enter(Standing::New);
    pressure.set(5, 5);
    assert_eq!((cut(11), another.cut()), (1, None), "not all at once");
    let ends = [&suspect, &first, &second_one, &greeted].map(|session| session.cut());
    assert_eq!(ends, [None, Some(Limit::Patience), Some(Limit::Patience), None]);
}

#[test]
fn a_session_stands_in_the_table_while_it_lives() {
    let (table, now) = (Sessions::new(), clock::now());
    let limit = Duration::from_secs(10);
    let first = session(&table, now, limit);
    let second = session(&table, now, limit);
    second.phase(Phase::Banner, now, &Deadline::within(now, 3 * limit));
    let rows = table.view(now + limit / 2);
    assert_eq!((rows.len(), rows[0].phase, rows[1].phase), (2, Phase::Dns, Phase::Banner));
    assert_eq!((rows[0].left, rows[0].age), (limit / 2, limit / 2));
    drop((first, second));
    assert!(table.is_empty());
}

/// A disk that took a second longer than the session's idle time had a healthy session cut, and its host blamed.
#[test]
fn a_session_that_waits_for_our_disk_is_not_cut() {
    let (table, now, second) = (Sessions::new(), clock::now(), Duration::from_secs(1));
    let idle = session(&table, now, 2 * second);
    idle.phase(Phase::Idle, now, &Deadline::within(now, 2 * second));
    assert_eq!(table.cut_overdue(now + 10 * second, second).len(), 0);
    idle.phase(Phase::Mail, now, &Deadline::within(now, 2 * second));
    assert_eq!(table.cut_overdue(now + 10 * second, second).len(), 1);
}

#[test]
fn what_is_overdue_is_cut_once() {
    let (table, now) = (Sessions::new(), clock::now());
    let second = Duration::from_secs(1);
    let late = session(&table, now, second);
    let fine = session(&table, now, 9 * second);
    assert_eq!(table.cut_overdue(now + second, second).len(), 0);
    assert_eq!(table.cut_overdue(now + 3 * second, second).len(), 1);
    assert_eq!(table.cut_overdue(now + 4 * second, second).len(), 0);
    assert_eq!((late.cut(), fine.cut()), (Some(Limit::Phase), None));
    assert_eq!(table.cut_all(Limit::Shutdown), 1);
    assert_eq!(fine.cut(), Some(Limit::Shutdown));
}
