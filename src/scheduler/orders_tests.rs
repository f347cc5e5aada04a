//! What an operator orders, as tables: nobody works a message twice, and nothing that is held moves.

use std::time::Duration;

use super::orders::Withdrawn;
use super::tests::{DAY, Desk, SECOND, destination};
use super::view::WhyNot;
use crate::delivery::{Report, Resting, Tally};
use crate::mail::QueueId;
use crate::net::{Blocked, Standing};

fn why(desk: &Desk, id: QueueId) -> Option<WhyNot> {
    desk.queue.why_not_now(id, &destination("a.example"), desk.now)
}

fn taken(withdrawn: Vec<Withdrawn>) -> Vec<&'static str> {
    let word = |it| match it {
        Withdrawn::Taken(ticket) => {
            drop(ticket);
            "taken"
        }
        Withdrawn::InHand => "in hand",
        Withdrawn::Unknown => "unknown",
    };
    withdrawn.into_iter().map(word).collect()
}

#[test]
fn what_is_held_is_neither_tried_nor_expires_until_it_is_released() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    assert_eq!(desk.queue.hold(&[id], desk.now), []);
    assert_eq!(why(&desk, id), Some(WhyNot::Held));
    assert!(desk.after(10 * DAY).is_empty());
    assert_eq!(desk.overdue(Some(DAY)), []);
    desk.queue.release(&[id], desk.now);
    assert_eq!(desk.overdue(None), [], "it gets one more try");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::Gone);
    drop(visit);
    assert!(desk.after(SECOND).is_empty());
    assert!(desk.queue.held.is_empty() && desk.queue.entries.is_empty());
}

#[test]
fn a_hold_waits_for_what_is_in_delivery_and_takes_what_waits_for_a_session() {
    let mut desk = Desk::new();
    let ids = [desk.add("a.example"), desk.add("a.example")];
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    assert_eq!(desk.queue.hold(&ids, desk.now), [ids[0]]);
    assert_eq!((why(&desk, ids[0]), why(&desk, ids[1])), (Some(WhyNot::InHand), Some(WhyNot::Held)));
    assert!(visit.feed.take().is_none(), "the other one was not in a hand yet");
    ticket.settle(Resting::For(SECOND));
    drop(visit);
    assert!(desk.after(DAY).is_empty());
    assert_eq!(why(&desk, ids[0]), Some(WhyNot::Held));
}

#[test]
fn a_hold_is_there_before_its_message_is() {
    let mut desk = Desk::new();
    let id = QueueId::from_row(1);
    desk.queue.remember_orders(vec![id], vec![destination("b.example")]);
    assert_eq!(desk.add("a.example"), id);
    desk.add("b.example");
    assert!(desk.after(SECOND).is_empty());
    assert_eq!(why(&desk, id), Some(WhyNot::Held));
    desk.queue.suspend(&destination("b.example"), false, desk.now);
    assert_eq!(desk.only(Duration::ZERO).destination(), &destination("b.example"));
}

#[test]
fn what_is_withdrawn_is_in_nobodys_way_and_comes_back_as_it_was() {
    let mut desk = Desk::new();
    let ids = [desk.add("a.example"), desk.add("a.example")];
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    let a = destination("a.example");
    let which = [(ids[0], a.clone()), (ids[1], a.clone()), (ids[1], a.clone()), (QueueId::from_row(99), a)];
    let withdrawn = desk.queue.withdraw(&which, desk.now);
    assert!(visit.feed.take().is_none());
    assert_eq!(why(&desk, ids[1]), Some(WhyNot::InHand));
    assert_eq!(taken(withdrawn), ["in hand", "taken", "in hand", "unknown"]);
    // Dropped, it is back.
    ticket.settle(Resting::Gone);
    drop(visit);
    let visit = desk.only(SECOND);
    assert_eq!(visit.feed.take().unwrap().id(), ids[1]);
}

#[test]
fn what_is_held_can_be_withdrawn_and_is_held_again() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    desk.queue.hold(&[id], desk.now);
    let which = [(id, destination("a.example"))];
    assert_eq!(taken(desk.queue.withdraw(&which, desk.now)), ["taken"]);
    assert!(desk.after(SECOND).is_empty());
    assert_eq!(why(&desk, id), Some(WhyNot::Held));
}

#[test]
fn a_retry_ends_the_wait_of_a_message_and_the_rest_of_its_site() {
    let mut desk = Desk::new();
    let id = desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    visit.feed.take().unwrap().settle(Resting::For(DAY));
    let (site, began) = (visit.id, desk.now);
    drop(visit);
    assert!(desk.after(SECOND).is_empty());
    let which = [(id, destination("a.example"))];
    assert_eq!(desk.queue.hurry(&which, desk.now), 1);
    let report = Report::SiteFailed { destination: site, session: 2, began, rest: DAY, words: String::new() };
    desk.queue.report(report, desk.now);
    assert!(desk.after(SECOND).is_empty());
    assert_eq!(desk.queue.hurry(&which, desk.now), 0, "it has no wait of its own");
    assert!(matches!(why(&desk, id), Some(WhyNot::SiteRests(..))));
    desk.queue.wake_site(&destination("a.example"), desk.now);
    assert_eq!(desk.only(Duration::ZERO).feed.take().unwrap().id(), id);
}

#[test]
fn a_suspended_destination_gets_no_session_and_its_open_one_no_message() {
    let mut desk = Desk::new();
    let ids = [desk.add("a.example"), desk.add("a.example")];
    let visit = desk.only(Duration::ZERO);
    let ticket = visit.feed.take().unwrap();
    desk.queue.suspend(&destination("a.example"), true, desk.now);
    assert!(visit.feed.take().is_none());
    desk.reached(&visit, 1);
    ticket.settle(Resting::For(SECOND));
    drop(visit);
    assert!(desk.after(DAY).is_empty());
    desk.queue.reconsider(desk.now);
    assert!(desk.after(SECOND).is_empty());
    assert_eq!((why(&desk, ids[0]), why(&desk, ids[1])), (Some(WhyNot::Suspended), Some(WhyNot::Suspended)));
    assert!(desk.queue.view(desk.now)[0].suspended);
    desk.queue.suspend(&destination("a.example"), false, desk.now);
    assert_eq!(desk.only(SECOND).feed.take().map(|ticket| ticket.id()), Some(ids[1]));
}

#[test]
fn why_not_names_the_limit_that_is_in_the_way() {
    let mut desk = Desk::new();
    let slots: Vec<_> = (0..6)
        .map(|n| desk.ledger.try_acquire(&destination(&format!("n{n}.example")), Standing::New, 1).unwrap())
        .collect();
    let id = desk.add("a.example");
    assert!(desk.after(SECOND).is_empty());
    assert_eq!(why(&desk, id), Some(WhyNot::NoSlot(Blocked::Standing(Standing::New))));
    drop(slots);
    assert_eq!(why(&desk, id), Some(WhyNot::Next));
}

#[test]
fn a_site_knows_what_became_of_its_mail() {
    let mut desk = Desk::new();
    desk.add("a.example");
    let visit = desk.only(Duration::ZERO);
    let mut ticket = visit.feed.take().unwrap();
    ticket.tally(Tally { delivered: 2, deferred: 1, failed: 0 });
    ticket.settle(Resting::For(SECOND));
    drop((visit, desk.after(2 * SECOND)));
    let view = desk.queue.view_one(&destination("a.example"), desk.now).unwrap();
    assert_eq!((view.record.total.delivered, view.record.lately.deferred), (2, 1));
    assert_eq!(view.last, (Some(2 * SECOND), Some(2 * SECOND)));
}

#[test]
fn what_is_held_and_what_is_suspended_is_seen_at_a_glance() {
    let mut desk = Desk::new();
    let ids = [desk.add("a.example"), desk.add("a.example"), desk.add("b.example")];
    desk.queue.hold(&ids[..1], desk.now);
    desk.queue.suspend(&destination("a.example"), true, desk.now);
    let seen = desk.queue.summary(desk.now);
    assert_eq!((seen.held, seen.suspended, seen.ready), (1, 1, 1));
    assert_eq!((seen.destinations, seen.destinations_suspended, seen.destinations_resting), (2, 1, 0));
    let busiest = &seen.busiest[0];
    assert_eq!((busiest.messages, busiest.held, busiest.suspended), (2, 1, true));
    desk.queue.suspend(&destination("a.example"), false, desk.now);
    desk.queue.release(&ids[..1], desk.now);
    let seen = desk.queue.summary(desk.now);
    assert_eq!((seen.held, seen.suspended, seen.ready, seen.destinations_suspended), (0, 0, 3, 0));
}
