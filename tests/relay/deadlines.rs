//! The seed: in every phase, a host that misbehaves in every way costs what its deadline allows and nothing more.
//!
//! For each: the session is over by its deadline, its socket closed and its slot back; connections, counted at the peer,
//! never exceed the cap; the mail is queued and says why; when the host recovers it is delivered, once.

use crate::house::House;
use crate::misbehaviour::*;
use crate::peer::{Peer, Script};
use crate::wait::{SOON, wait_until};
use std::time::Duration;

/// Messages for each host, more than its connections.
const MESSAGES: usize = 6;
/// Connections to one destination.
const CAP: usize = 2;
/// The limit under test; every other limit is far beyond what a test waits for.
const LIMIT: &str = "600ms";

/// A house whose every limit is far away, but the one of `key`.
fn house(key: &str) -> House {
    let keys = ["connect", "banner", "ehlo", "mail", "rcpt", "data", "block", "dot", "quit", "session"];
    let house = keys.iter().fold(House::new(), |house, key| house.set(&format!("timeouts.{key}"), "10m"));
    house
        .set(&format!("timeouts.{key}"), LIMIT)
        .set("timeouts.idle", "20ms")
        .set("timeouts.patience", "10m")
        .set("delivery.workers", 80)
        .set("delivery.connections_per_destination", CAP)
        .set("delivery.connections_per_address", CAP)
        // Long enough to look at a house where everybody rests.
        .set("retry.site_first", "3s")
        .set("retry.site_max", "3s")
}

/// Starts the house with a host for each way, sends to all of them and to a good one.
fn misbehave(
    house: House,
    place: &Place,
    ways: &'static [Way],
) -> (House, Vec<(String, &'static Way, Script)>) {
    let house = house.start();
    let hosts: Vec<_> = ways
        .iter()
        .map(|way| {
            let (domain, script) = (format!("{}.test", way.name), house.script(&place.script(way)));
            house.domain(&domain, &script);
            (domain, way, script)
        })
        .collect();
    let good = house.good("good.test");
    hosts.iter().for_each(|(domain, ..)| send(&house, &format!("b@{domain}"), MESSAGES));
    send(&house, "b@good.test", MESSAGES);
    each_once(&good, MESSAGES, "good.test");
    (house, hosts)
}

/// The sessions with this host are over, by the relay's hand where the host did not leave itself.
#[track_caller]
fn over(way: &Way, script: &Script) {
    wait_until(&format!("the end of {}", way.name), SOON, || {
        let counts = script.counts();
        let by_them = way.leaves || counts.closed_by_them == counts.opened;
        let over = counts.opened > 0 && counts.open_now == 0 && by_them;
        over.then_some(()).ok_or_else(|| format!("{counts:?}"))
    });
}

fn seed(key: &str, place: Place) {
    let (house, hosts) = misbehave(house(key), &place, &WAYS);
    for (domain, way, script) in &hosts {
        over(way, script);
        for (phase, text) in wait_failed(&house, domain, script) {
            // A reset may overtake the relay's own look at its new connection.
            let early = place.word == "banner" && way.name == "resets" && phase == "connect";
            assert!(phase == place.word || early, "{domain}: {phase}");
            assert!(text.contains(place.words) || early, "{domain}: {text}");
            assert!(way.said.iter().any(|said| text.contains(said)), "{domain}: {text}");
            assert_eq!(text.contains("possible duplicate"), place.word == "dot", "{domain}: {text}");
        }
        assert_eq!(queued(&house, domain).len(), MESSAGES, "{domain}");
    }
    wait_quiet(&house);
    hosts.iter().for_each(|(_, _, script)| drop(script.recover()));
    for (domain, _, script) in &hosts {
        each_once(script.good(), MESSAGES, domain);
        assert!(script.most_at_once() <= CAP, "{domain}: {:?}", script.counts());
    }
    wait_until("an empty queue", SOON, || house.queue()["messages"] == 0);
    wait_quiet(&house);
    no_defect(&house);
}

#[test]
fn banner() {
    seed("banner", BANNER);
}

#[test]
fn ehlo() {
    seed("ehlo", EHLO);
}

#[test]
fn mail() {
    seed("mail", MAIL);
}

#[test]
fn rcpt() {
    seed("rcpt", RCPT);
}

#[test]
fn data() {
    seed("data", DATA);
}

#[test]
fn final_dot() {
    seed("dot", DOT);
}

/// The mail is delivered by then: a farewell that goes wrong costs the slot for its limit, and nothing else.
#[test]
fn quit() {
    let house = house("quit").set("delivery.messages_per_connection", 1);
    let (house, hosts) = misbehave(house, &QUIT, &WAYS);
    wait_until("an empty queue", SOON, || house.queue()["messages"] == 0);
    wait_quiet(&house);
    for (domain, way, script) in &hosts {
        over(way, script);
        assert_eq!(script.data().len(), MESSAGES, "{domain}");
        assert_eq!(script.opened(), MESSAGES, "{domain}");
        assert!(script.most_at_once() <= CAP, "{domain}: {:?}", script.counts());
    }
    assert!(!house.log().contains("outcome=deferred"), "a farewell deferred mail");
    no_defect(&house);
}
