//! Healthy mail beside hosts that misbehave: it does not wait for them, however many they are, and whatever they do.
//!
//! Every limit here is far beyond what a test waits for: mail that arrives has arrived while the sessions with the bad
//! hosts were open, which is looked at, and not timed.

use crate::house::House;
use crate::misbehaviour::*;
use crate::peer::{Peer, Script};
use crate::wait::{SOON, hold_for, wait_until};
use serde_json::Value;
use std::time::Duration;

/// Seats of the pool, and domains that want them all.
const POOL: usize = 16;
/// What they may have of it: 60 per cent, while nothing is known of them.
const SHARE: usize = 9;

/// A house whose every limit is far away, patience too.
fn house(workers: usize) -> House {
    let keys =
        ["connect", "banner", "ehlo", "mail", "rcpt", "data", "block", "dot", "quit", "session", "patience"];
    let house = keys.iter().fold(House::new(), |house, key| house.set(&format!("timeouts.{key}"), "10m"));
    house
        .set("timeouts.idle", "20ms")
        .set("timeouts.shutdown", "300ms")
        .set("delivery.workers", workers)
        .set("delivery.messages_per_connection", 1)
}

/// A domain with a host that plays this.
fn hostile(house: &House, domain: String, script: &str) -> (String, Script) {
    let script = house.script(script);
    house.domain(&domain, &script);
    (domain, script)
}

fn rows(house: &House) -> Vec<Value> {
    house.connections()["connections"].as_array().unwrap().clone()
}

/// The sessions with these hosts were never closed, by either side.
#[track_caller]
fn still_held(hosts: &[(String, Script)]) {
    for (domain, script) in hosts {
        let counts = script.counts();
        assert_eq!((counts.open_now, counts.closed_by_them), (counts.opened, 0), "{domain}");
        assert!(counts.most_at_once <= 2, "{domain}: {counts:?}");
    }
}

/// All the places and all the ways that last, at once: the table shows each, good mail passes, and the house can be left.
#[test]
fn good_mail_passes_all_that_lasts() {
    let house = house(100).start();
    let lasting = || WAYS.into_iter().filter(|way| way.lasting);
    let cells = PLACES.into_iter().flat_map(|place| lasting().map(move |way| (place, way)));
    let mut places = vec![("deaf.test".to_string(), BODY.word)];
    let mut hosts = vec![hostile(&house, places[0].0.clone(), &BODY.script(&BODY_WAYS[0]))];
    send_text(&house, &["b@deaf.test".into()], 1, &large(8 << 20));
    for (place, way) in cells {
        let domain = format!("{}.{}.test", way.name, place.word);
        hosts.push(hostile(&house, domain.clone(), &place.script(&way)));
        send(&house, &format!("b@{domain}"), 3);
        places.push((domain, place.word));
    }
    wait_until("every host in its place in the table", SOON, || {
        let rows = rows(&house);
        let there = |(domain, word): &&(String, &str)| {
            let mx = format!("mx.{domain}");
            rows.iter().any(|row| {
                row["destination"] == *domain
                    && row["phase"] == *word
                    && row["mx"] == mx
                    && row["address"].is_string()
            })
        };
        let missing: Vec<_> = places.iter().filter(|place| !there(place)).collect();
        missing.is_empty().then_some(()).ok_or_else(|| format!("missing: {missing:?} in {rows:?}"))
    });
    for domain in ["one.test", "two.test", "three.test"] {
        let good = house.good(domain);
        send(&house, &format!("b@{domain}"), 10);
        each_once(&good, 10, domain);
    }
    still_held(&hosts);
    // Those that wait say so, and those that are taken too.
    for (domain, word) in &places {
        let recipients = queued(&house, domain);
        assert!(recipients.iter().all(|recipient| recipient["last"].is_null()), "{domain}: {recipients:?}");
        assert_eq!(
            recipients.is_empty(),
            *word == "quit" && recipients.is_empty(),
            "{domain}: {recipients:?}"
        );
    }
    let status = house.terminate();
    assert!(status.success(), "{status}");
    for (_, script) in &hosts {
        script.wait_alone(SOON);
    }
    no_defect(&house);
}

/// Sixteen domains whose hosts hold whatever they get, on a pool of sixteen, in each phase: the good keep their seats.
fn sixteen(place: Place) {
    let house = house(POOL).start();
    let good = house.good("good.test");
    // So that it is known to be good.
    send(&house, "b@good.test", 1);
    good.wait_for(1, SOON);
    let hosts: Vec<_> =
        (0..POOL).map(|n| hostile(&house, format!("bad{n}.test"), &place.script(&WAYS[0]))).collect();
    let opened = || hosts.iter().map(|(_, script)| script.opened()).sum::<usize>();
    let send_all = |count| hosts.iter().for_each(|(domain, _)| send(&house, &format!("b@{domain}"), count));
    send_all(1);
    wait_until("the share of the new to be used up", SOON, || opened() >= SHARE);
    send_all(5);
    hold_for("the share of the new", Duration::from_millis(500), || {
        (opened() <= SHARE)
            .then_some(())
            .ok_or_else(|| format!("{} sessions, {}: {:?}", opened(), place.word, rows(&house)))
    });
    send(&house, "b@good.test", 10);
    good.wait_for(11, SOON);
    still_held(&hosts);
    assert_eq!(opened(), SHARE);
    no_defect(&house);
}

#[test]
fn sixteen_without_a_banner() {
    sixteen(BANNER);
}

#[test]
fn sixteen_silent_at_ehlo() {
    sixteen(EHLO);
}

#[test]
fn sixteen_silent_at_mail() {
    sixteen(MAIL);
}

#[test]
fn sixteen_silent_at_the_final_dot() {
    sixteen(DOT);
}

/// REGRESSION: a reply to EHLO ended the back-off, so that a host which greeted and then fell silent was tried again and
/// again after the first two rests, with more sessions each time, for as long as it liked.
#[test]
fn a_host_that_greets_and_falls_silent_is_left_alone_for_longer_each_time() {
    let house = house(POOL).set("timeouts.mail", "100ms");
    let house = house.set("retry.site_first", "1s").set("retry.site_max", "1h").start();
    let (domain, host) = hostile(&house, "bad.test".into(), &MAIL.script(&WAYS[0]));
    send(&house, "b@bad.test", 3);
    host.wait_opened(3, SOON);
    // After 1 s and 2 s, the third is 4 s. A message whose own time comes sooner waits for its destination all the same.
    wait_until("a third rest", SOON, || {
        let recipients = queued(&house, &domain);
        let long =
            |recipient: &Value| recipient["state"] == "resting" && recipient["next"].as_u64() >= Some(3);
        recipients.iter().all(long).then_some(()).ok_or_else(|| format!("{recipients:?}"))
    });
    no_defect(&house);
}

/// REGRESSION of a measured relay: 10,000 domains at one silent host were 9,978 connections to it.
#[test]
fn many_domains_at_one_silent_address_are_two_connections() {
    let house = house(100).start();
    let hole = house.blackhole();
    for n in 0..40 {
        let domain = format!("bad{n}.test");
        house.domain(&domain, &hole);
        send(&house, &format!("b@{domain}"), 2);
    }
    hole.wait_opened(2, SOON);
    let good = house.good("good.test");
    send(&house, "b@good.test", 10);
    each_once(&good, 10, "good.test");
    // Seen from here, and by the relay: what waits for the address holds no seat.
    wait_until("the seats of two", SOON, || {
        let table = house.connections();
        (table["slots"] == 2).then_some(()).ok_or_else(|| table.to_string())
    });
    let counts = hole.counts();
    assert_eq!((counts.opened, counts.most_at_once, counts.closed_by_them), (2, 2, 0));
    no_defect(&house);
}

/// Sixteen domains that hold whatever they get, on a pool of sixteen, and a good one of which nothing is known: it need
/// not wait for their deadline, only for the end of patience. What had to leave says so, and is tried again.
fn patience(place: Place) {
    let house = house(POOL).set("timeouts.patience", "300ms").start();
    let hosts: Vec<_> =
        (0..POOL).map(|n| hostile(&house, format!("bad{n}.test"), &place.script(&WAYS[0]))).collect();
    hosts.iter().for_each(|(domain, _)| send(&house, &format!("b@{domain}"), 6));
    let opened = || hosts.iter().map(|(_, script)| script.opened()).sum::<usize>();
    wait_until("the share of the new to be used up", SOON, || opened() >= SHARE);
    let good = house.good("good.test");
    send(&house, "b@good.test", 10);
    each_once(&good, 10, "good.test");
    // Whoever had to leave says so.
    let said =
        |recipient: &Value| recipient["last"]["text"].as_str().unwrap_or_default().contains("patience");
    assert!(hosts.iter().any(|(domain, _)| queued(&house, domain).iter().any(said)), "{}", house.queue());
    for (domain, script) in &hosts {
        assert!(script.most_at_once() <= 2, "{domain}: {:?}", script.counts());
        assert_eq!(queued(&house, domain).len(), 6, "{domain}");
        script.recover();
    }
    // Those that have been tried again have full patience, and the silence of their old hosts to the end.
    house.restart();
    for (domain, script) in &hosts {
        each_once(script.good(), 6, domain);
    }
    no_defect(&house);
}

#[test]
fn a_new_domain_does_not_wait_for_banners() {
    patience(BANNER);
}

#[test]
fn a_new_domain_does_not_wait_for_replies_to_ehlo() {
    patience(EHLO);
}

#[test]
fn a_new_domain_does_not_wait_for_replies_to_data() {
    patience(DATA);
}

/// A defect of ours in the middle of a session, eight times on a pool of three: the slots are back, no thread is lost, the
/// mail waits, and is delivered once the defect is gone.
#[cfg(debug_assertions)]
#[test]
fn a_panic_in_a_worker_costs_nothing() {
    const PANICS: usize = 8;
    const WORKERS: usize = 3;
    let house = house(WORKERS).env("SENDOFF_TEST_PANIC", "panic").start();
    let host = house.good("good.test");
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", house.pid())).unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("worker-")).count()
    };
    let before = threads();
    assert!(before >= WORKERS);
    send(&house, "panic@good.test", PANICS);
    wait_until("every panic in the log", SOON, || {
        let count = house.log().matches("a worker panicked").count();
        (count >= PANICS).then_some(()).ok_or_else(|| format!("{count} panics"))
    });
    send(&house, "b@good.test", 12);
    each_once(&host, 12, "good.test");
    wait_quiet(&house);
    assert_eq!(threads(), before);
    host.wait_alone(SOON);
    assert!(host.most_at_once() <= 2);
    assert_eq!(queued(&house, "good.test").len(), PANICS);
    let reason = &house.queue()["queue"][0]["recipients"][0]["last"]["text"];
    assert!(reason.as_str().unwrap().contains("a defect in Sendoff interrupted the attempt"), "{reason}");
    // Without the defect.
    let house = house.env("SENDOFF_TEST_PANIC", "");
    house.restart();
    // On a slow machine some have been tried a second time before.
    let panics = house.log().matches("a worker panicked").count();
    let messages = host.wait_for(12 + PANICS, SOON);
    let late = messages.iter().filter(|message| message.forward_paths == ["panic@good.test"]);
    assert_eq!(late.count(), PANICS);
    wait_until("an empty queue", SOON, || house.queue()["messages"] == 0);
    assert_eq!(host.count(), 12 + PANICS);
    assert_eq!(house.log().matches("a worker panicked").count(), panics);
}

/// 421 to the second message of every session is no failure of the site, and defers nothing: the message has a session of
/// its own, as its host wishes.
#[test]
fn a_host_that_takes_one_message_a_session_gets_them_all() {
    let house = house(POOL).set("delivery.messages_per_connection", 100).set("timeouts.idle", "2s").start();
    let once = DOT
        .script(&WAYS[4])
        .replace("close", "say 250 taken\nhear\nsay 250 ok\nhear RCPT\nsay 421 4.3.2 one is enough");
    let (domain, host) = hostile(&house, "bad.test".into(), &once);
    send(&house, "b@bad.test", 6);
    wait_until("an empty queue", SOON, || house.queue()["messages"] == 0);
    assert_eq!(host.data().len(), 6);
    assert!(host.most_at_once() <= 2, "{domain}: {:?}", host.counts());
    assert!(!house.log().contains("outcome=deferred"));
    no_defect(&house);
}
