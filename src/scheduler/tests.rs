//! The queue, as tables of reports and times: no thread, no sleep, a week in a microsecond.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, unbounded};

use super::pace::Pace;
use super::queue::Queue;
use super::site::Widths;
use super::view::WhyNot;
use crate::delivery::{Job, Report, Resting, Ticket, Visit};
use crate::mail::{Destination, QueueId};
use crate::net::{Caps, Freed, Ledger, Standing};
use crate::time::clock;

pub(super) const CAPS: Caps = Caps { pool: 10, new: 6, suspect: 2, destination: 4, address: 2 };
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) struct Desk {
    pub(super) queue: Queue,
    pub(super) ledger: Arc<Ledger>,
    freed: Receiver<Freed>,
    reports: Receiver<Report>,
    pub(super) now: Instant,
    last: u64,
}

impl Desk {
    pub(super) fn new() -> Desk {
        let (freed_in, freed) = bounded(64);
        let (reports_in, reports) = unbounded();
        let ledger = Ledger::new(CAPS, freed_in);
        let mut queue =
            Queue::new(Arc::clone(&ledger), reports_in, Arc::default(), Widths { new: 2, suspect: 1 });
        // The pace has its own test.
        queue.pace = Pace::of(100);
        Desk { queue, ledger, freed, reports, now: clock::now(), last: 0 }
    }

    pub(super) fn add(&mut self, to: &str) -> QueueId {
        self.last += 1;
        let id = QueueId::from_row(self.last);
        self.queue.add(id, &destination(to), None, (Duration::ZERO, false), self.now + 5 * DAY, self.now);
        id
    }

    /// Everything that was said is heard, then time passes.
    pub(super) fn after(&mut self, passed: Duration) -> Vec<Visit> {
        for freed in self.freed.try_iter() {
            self.queue.freed(&freed, self.now);
        }
        for report in self.reports.try_iter() {
            self.queue.report(report, self.now);
        }
        self.now += passed;
        let mut visits = Vec::new();
        self.queue.dispatch(self.now, &mut |job| match job {
            Job::Visit(visit) => visits.push(visit),
            Job::Overdue(..) => panic!("nothing is overdue"),
        });
        visits
    }

    pub(super) fn only(&mut self, passed: Duration) -> Visit {
        let mut visits = self.after(passed);
        assert_eq!(visits.len(), 1, "one visit");
        visits.remove(0)
    }

    pub(super) fn overdue(&mut self, notice: Option<Duration>) -> Vec<QueueId> {
        let mut due = Vec::new();
        self.queue.overdue(self.now, notice, 100, &mut |job| match job {
            Job::Overdue(ticket, ..) => due.push(ticket.take_back().0),
            Job::Visit(_) => panic!("no slot is needed"),
        });
        due
    }

    pub(super) fn reached(&mut self, visit: &Visit, session: u64) {
        self.queue.report(Report::Reached { destination: visit.id, session }, self.now);
    }

    /// The site fails as sites do: the message goes back with it, the slot is given back.
    fn fails(&mut self, visit: Visit, ticket: Ticket, rest: Duration) {
        let (destination, words) = (visit.id, "timed out".to_owned());
        let report = Report::SiteFailed { destination, session: 1, began: self.now, rest, words };
        self.queue.report(report, self.now);
        ticket.settle(Resting::WithSite);
        drop(visit);
    }
}

pub(super) fn destination(name: &str) -> Destination {
    Destination::parse(name).unwrap()
}

pub(super) fn names(visits: &[Visit]) -> Vec<String> {
    visits.iter().map(|visit| visit.destination().to_string()).collect()
}

#[test]
fn a_message_goes_at_once_with_its_slot() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    assert_eq!((ticket.id(), desk.ledger.counts().total()), (id, 1));
    ticket.settle(Resting::Gone);
    drop(visit);
    assert!(desk.after(SECOND).is_empty());
    assert_eq!((desk.ledger.counts().total(), desk.queue.entries.len()), (0, 0));
}

#[test]
fn a_session_at_work_takes_the_next_message_without_another_slot() {
    let mut desk = Desk::new();
    desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::Gone);
    let second = desk.add("a.example");
    assert!(desk.after(Duration::ZERO).is_empty(), "nobody is behind yet");
    assert_eq!(visit.feed.take().unwrap().take_back().0, second);
}

#[test]
fn a_further_session_is_opened_only_when_those_at_work_are_behind() {
    let mut desk = Desk::new();
    for _ in 0..5 {
        desk.add("a.example");
    }
    let first = desk.only(Duration::ZERO);
    assert!(desk.after(Duration::from_millis(5)).is_empty());
    let second = desk.only(Duration::from_millis(30));
    assert!(desk.after(SECOND).is_empty(), "of a new destination nothing is known: two are enough");
    desk.reached(&first, 1);
    desk.reached(&second, 2);
    assert!(desk.after(SECOND).is_empty(), "it is measured how fast these two are");
    assert_eq!(desk.after(SECOND).len(), 1, "the host is slow: one more a turn");
}

#[test]
fn a_destination_with_a_mountain_does_not_delay_the_first_message_of_another() {
    let mut desk = Desk::new();
    for _ in 0..1000 {
        desk.add("mountain.example");
    }
    let _mountain = desk.after(Duration::ZERO);
    desk.add("small.example");
    assert_eq!(names(&desk.after(Duration::ZERO)), ["small.example"]);
}

#[test]
fn new_and_suspect_destinations_hold_no_more_than_their_share() {
    let mut desk = Desk::new();
    for n in 0..20 {
        desk.add(&format!("n{n}.example"));
    }
    let visits = desk.after(Duration::ZERO);
    assert_eq!(visits.len(), 6);
    desk.queue.recall(&destination("known.example"), 0, Duration::ZERO, desk.now);
    desk.add("known.example");
    let known = desk.after(Duration::ZERO);
    assert_eq!(names(&known), ["known.example"]);
    for n in 0..20 {
        desk.queue.recall(&destination(&format!("s{n}.example")), 3, Duration::ZERO, desk.now);
        desk.add(&format!("s{n}.example"));
    }
    // Beside mail for a proven destination they begin one by one.
    let suspects: Vec<_> = (0..4).flat_map(|_| desk.after(Duration::from_millis(1))).collect();
    assert_eq!(suspects.len(), 2);
    assert!(suspects.iter().all(|visit| visit.standing() == Standing::Suspect));
}

#[test]
fn a_site_that_failed_rests_and_its_messages_are_not_tried_one_by_one() {
    let mut desk = Desk::new();
    let first = desk.add("a.example");
    let others: Vec<_> = (0..9).map(|_| desk.add("a.example")).collect();
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    desk.fails(visit, ticket, 60 * SECOND);
    assert!(desk.after(59 * SECOND).is_empty());
    let why = desk.queue.why_not_now(others[0], &destination("a.example"), desk.now);
    assert_eq!(why, Some(WhyNot::SiteRests(SECOND, "timed out".into())));
    let probe = desk.only(2 * SECOND);
    assert_eq!((probe.standing(), probe.failures, probe.feed.len()), (Standing::Suspect, 1, 1));
    let ticket = probe.feed.take().unwrap();
    assert_eq!(ticket.id(), others[0], "the one that failed goes to the back");
    // One success wakes all.
    desk.reached(&probe, 7);
    ticket.settle(Resting::Gone);
    desk.after(Duration::ZERO);
    let fed: Vec<_> = std::iter::from_fn(|| probe.feed.take()).map(|ticket| ticket.take_back().0).collect();
    assert_eq!((fed.len(), fed.last()), (9, Some(&first)));
}

#[test]
fn one_bad_session_among_good_ones_does_not_make_a_suspect() {
    let mut desk = Desk::new();
    for _ in 0..4 {
        desk.add("a.example");
    }
    let good = desk.only(Duration::ZERO);
    let bad = desk.only(Duration::from_millis(30));
    let began = desk.now;
    desk.now += SECOND;
    desk.reached(&good, 1);
    let ticket = bad.feed.take().unwrap();
    let (destination_id, words) = (bad.id, String::new());
    let report =
        Report::SiteFailed { destination: destination_id, session: 2, began, rest: 60 * SECOND, words };
    desk.queue.report(report, desk.now);
    ticket.settle(Resting::WithSite);
    drop(bad);
    assert!(desk.after(SECOND).is_empty(), "no further session for a while");
    assert_eq!(good.feed.len(), 4, "the good session goes on with all of them");
    assert_eq!(desk.after(60 * SECOND).len(), 1);
}

#[test]
fn a_message_with_a_time_of_its_own_waits_for_it_alone() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::For(300 * SECOND));
    drop(visit);
    assert!(desk.after(299 * SECOND).is_empty());
    let why = desk.queue.why_not_now(id, &destination("a.example"), desk.now);
    assert_eq!(why, Some(WhyNot::Waits(SECOND)));
    assert_eq!(desk.only(SECOND).feed.take().unwrap().take_back().0, id);
}

#[test]
fn a_lost_ticket_comes_back() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    drop(desk.only(Duration::ZERO));
    let visit = desk.only(Duration::ZERO);
    drop(visit.feed.take());
    drop(visit);
    assert_eq!(desk.only(Duration::ZERO).feed.take().unwrap().take_back().0, id);
}

#[test]
fn a_full_address_holds_a_site_back_until_it_has_room() {
    let mut desk = Desk::new();
    let address: IpAddr = [192, 0, 2, 1].into();
    let id = desk.add("a.example");
    let slot = desk.ledger.try_acquire(&destination("other.example"), Standing::New, 2).unwrap();
    let holds = [slot.reach(address).unwrap(), slot.reach(address).unwrap()];
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::WithSite);
    let destination_id = visit.id;
    drop(visit);
    desk.queue.report(Report::Blocked { destination: destination_id, address, silent: None }, desk.now);
    assert!(desk.after(SECOND).is_empty());
    let why = desk.queue.why_not_now(id, &destination("a.example"), desk.now);
    assert_eq!(why, Some(WhyNot::AddressFull(address)));
    assert!(desk.queue.pressure.wants(address), "idle sessions there should end");
    drop(holds);
    assert_eq!(names(&desk.after(Duration::ZERO)), ["a.example"]);
    assert!(!desk.queue.pressure.wants(address));
}

#[test]
fn room_that_came_before_the_report_of_none_is_not_missed() {
    let mut desk = Desk::new();
    desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::WithSite);
    let (destination, address) = (visit.id, [192, 0, 2, 1].into());
    drop(visit);
    desk.queue.report(Report::Blocked { destination, address, silent: None }, desk.now);
    assert_eq!(desk.after(Duration::ZERO).len(), 1);
}

#[test]
fn an_address_that_is_left_alone_holds_its_sites_back_until_one_finds_out() {
    let mut desk = Desk::new();
    let address: IpAddr = [192, 0, 2, 1].into();
    for name in ["a.example", "b.example", "c.example"] {
        desk.add(name);
    }
    let visits = desk.after(Duration::ZERO);
    for (visit, seconds) in visits.into_iter().zip([60, 90, 90]) {
        visit.feed.take().unwrap().settle(Resting::WithSite);
        let silent = Some((seconds * SECOND, "silent".to_owned()));
        let destination = visit.id;
        drop(visit);
        desk.queue.report(Report::Blocked { destination, address, silent }, desk.now);
    }
    assert!(desk.after(59 * SECOND).is_empty());
    let probe = desk.only(SECOND);
    assert_eq!(probe.destination().to_string(), "a.example");
    desk.queue.report(Report::Recovered(address), desk.now);
    assert_eq!(names(&desk.after(Duration::ZERO)), ["b.example", "c.example"]);
}

#[test]
fn of_all_that_wait_for_an_address_one_at_a_time_finds_out() {
    let mut desk = Desk::new();
    let address: IpAddr = [192, 0, 2, 1].into();
    for n in 0..6 {
        desk.add(&format!("n{n}.example"));
    }
    for visit in desk.after(Duration::ZERO) {
        let (destination, ticket) = (visit.id, visit.feed.take().unwrap());
        let silent = Some((60 * SECOND, "silent".to_owned()));
        drop(visit);
        desk.queue.report(Report::Blocked { destination, address, silent }, desk.now);
        ticket.settle(Resting::WithSite);
    }
    let first = desk.only(60 * SECOND);
    let _in_hand = first.feed.take();
    assert!(desk.after(29 * SECOND).is_empty());
    assert_ne!(desk.only(2 * SECOND).id, first.id);
}

#[test]
fn expiry_reaches_every_state_but_a_workers_hand() {
    let mut desk = Desk::new();
    let resting = desk.add("rests.example");
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    desk.fails(visit, ticket, 9 * DAY);
    let waiting = desk.add("waits.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::For(9 * DAY));
    drop(visit);
    let in_hand = desk.add("hand.example");
    let visit = desk.only(Duration::ZERO);
    let held = visit.feed.take().unwrap();
    assert!(desk.after(DAY).is_empty() && desk.overdue(None).is_empty());
    assert!(desk.after(4 * DAY).is_empty());
    assert_eq!(desk.overdue(None), [resting, waiting]);
    assert_eq!(held.take_back().0, in_hand);
}

#[test]
fn a_changed_expiry_holds_for_queued_mail() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::For(9 * DAY));
    drop(visit);
    desk.after(2 * DAY);
    assert!(desk.overdue(None).is_empty());
    desk.queue.prolong(5 * DAY, 6 * DAY, desk.now);
    desk.queue.prolong(6 * DAY, DAY, desk.now);
    assert_eq!(desk.overdue(None), [id]);
}

#[test]
fn a_delay_notice_is_looked_at_once() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::For(9 * DAY));
    drop(visit);
    desk.after(DAY);
    let notice = Some(4 * DAY); // before the expiry: a day after acceptance
    assert_eq!(desk.overdue(notice), [id]);
    assert!(desk.overdue(notice).is_empty());
}

#[test]
fn what_is_remembered_of_sites_without_mail_is_bounded() {
    let mut desk = Desk::new();
    for n in 0..30_000 {
        desk.queue.recall(&destination(&format!("d{n}.example")), 1, SECOND, desk.now);
    }
    assert!(desk.queue.sites.len() <= 20_001, "{}", desk.queue.sites.len());
    assert_eq!(desk.queue.sites.len(), desk.queue.by_name.len());
}
