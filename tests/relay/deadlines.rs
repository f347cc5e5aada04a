//! The seed: in every phase, a host that misbehaves in every way costs what its deadline allows and nothing more.
//!
//! For each: the session is over by its deadline, its socket closed and its slot back; connections, counted at the peer,
//! never exceed the cap; the mail is queued and says why; when the host recovers it is delivered, once.

use crate::house::House;
use crate::misbehaviour::*;
use crate::peer::{Peer, Script, Sink};
use crate::wait::{SOON, wait_until};
use std::time::Duration;

/// Messages for each host, more than its connections.
const MESSAGES: usize = 6;
/// Fewer, where they are large.
const LARGE_MESSAGES: usize = 3;
/// Connections to one destination.
const CAP: usize = 2;
/// The limit under test; every other limit is far beyond what a test waits for.
const LIMIT: &str = "600ms";

/// A house whose every limit is far away, but the one of `key`.
fn house(key: &str) -> House {
    let keys = [
        "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "block", "dot", "quit",
        "session",
    ];
    let house = keys.iter().fold(House::new(), |house, key| house.set(&format!("timeouts.{key}"), "10m"));
    house
        .set(&format!("timeouts.{key}"), LIMIT)
        .set("timeouts.idle", "20ms")
        .set("timeouts.patience", "10m")
        .set("delivery.workers", 80)
        .set("delivery.connections_per_destination", CAP)
        .set("delivery.connections_per_address", CAP)
        // Long enough to look at a house where everybody rests.
        .set("retry.site_first", "4s")
        .set("retry.site_max", "4s")
}

/// A house with a host for each way, and a good one whose mail is there by now.
struct Seed {
    house: House,
    hosts: Vec<(String, &'static Way, Script)>,
}

impl Seed {
    /// Starts the house, with hosts that misbehave at `place`.
    fn start(house: House, place: &Place, ways: &'static [Way]) -> Seed {
        let house = house.start();
        let host = |way: &'static Way| {
            let (domain, script) = (format!("{}.test", way.name), house.script(&place.script(way)));
            house.domain(&domain, &script);
            (domain, way, script)
        };
        let hosts = ways.iter().map(host).collect();
        Seed { house, hosts }
    }

    /// Sends to all of them, and to a good one.
    #[track_caller]
    fn send(&self, count: usize, text: &str) {
        // Together, so that they begin to rest together.
        let all: Vec<String> = self.hosts.iter().map(|(domain, ..)| format!("b@{domain}")).collect();
        send_text(&self.house, &all, count, text);
        let good = self.house.good("good.test");
        send(&self.house, "b@good.test", count);
        each_once(&good, count, "good.test");
    }

    /// Every session is over by its deadline, and every message waits and says why.
    #[track_caller]
    fn defers(&self, place: &Place, count: usize) {
        for (domain, way, script) in &self.hosts {
            over(way, script);
            for last in wait_failed(&self.house, domain) {
                last.names(domain, script.addr().ip());
                // A reset may overtake the relay's own look at its new connection.
                let early = place.word == "banner" && way.name == "resets" && last.phase == "connect";
                assert!(last.phase == place.word || early, "{domain}: {last:?}");
                assert!(last.text.contains(place.words) || early, "{domain}: {last:?}");
                assert!(way.said.iter().any(|said| last.text.contains(said)), "{domain}: {last:?}");
                assert_eq!(
                    last.text.contains("possible duplicate"),
                    place.word == "dot",
                    "{domain}: {last:?}"
                );
            }
            assert_eq!(queued(&self.house, domain).len(), count, "{domain}");
        }
        wait_quiet(&self.house);
    }

    /// The hosts recover, and every message is delivered to them, once.
    #[track_caller]
    fn recovers(&self, count: usize) {
        for (_, _, script) in &self.hosts {
            script.recover();
        }
        for (domain, _, script) in &self.hosts {
            each_once(script.good(), count, domain);
            assert!(script.most_at_once() <= CAP, "{domain}: {:?}", script.counts());
        }
        settled(&self.house);
    }
}

/// Nothing is queued, nothing is held, and nothing of ours went wrong on the way.
#[track_caller]
fn settled(house: &House) {
    wait_until("an empty queue", SOON, || house.queue()["messages"] == 0);
    wait_quiet(house);
    no_defect(house);
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
    let seed = Seed::start(house(key), &place, &WAYS);
    seed.send(MESSAGES, "hello\n");
    seed.defers(&place, MESSAGES);
    seed.recovers(MESSAGES);
}

/// A connection that hangs, and one that is refused.
#[test]
fn connect() {
    let house = house("connect").start();
    let full = house.full();
    let hosts = [
        ("hangs.test", full.addr(), "timed out (time limit of the phase)"),
        ("refuses.test", house.addr(), "connection refused"),
    ];
    for (domain, addr, _) in hosts {
        house.domain_at(domain, addr);
    }
    send_text(&house, &hosts.map(|(domain, ..)| format!("b@{domain}")), MESSAGES, "hello\n");
    // There is no peer that could count; the session table does.
    let held = || {
        let table = house.connections();
        let rows = table["connections"].as_array().unwrap();
        rows.iter().filter(|row| row["destination"] == "hangs.test" && row["phase"] == "connect").count()
    };
    wait_until("a session that hangs", SOON, || held() > 0);
    let good = house.good("good.test");
    send(&house, "b@good.test", MESSAGES);
    each_once(&good, MESSAGES, "good.test");
    assert!(held() <= CAP);
    for (domain, addr, said) in hosts {
        for last in wait_failed(&house, domain) {
            last.names(domain, addr.ip());
            assert_eq!(last.phase, "connect", "{domain}: {last:?}");
            assert!(last.text.contains(said), "{domain}: {last:?}");
        }
        assert_eq!(queued(&house, domain).len(), MESSAGES, "{domain}");
    }
    wait_quiet(&house);
    drop(full);
    for (domain, sink) in hosts.map(|(domain, addr, _)| (domain, Sink::start(addr))) {
        each_once(&sink, MESSAGES, domain);
        assert!(sink.most_at_once() <= CAP, "{domain}: {:?}", sink.counts());
    }
    settled(&house);
}

/// A message that no buffer swallows, and hosts that do not take it.
#[test]
fn body() {
    let seed = Seed::start(house("block"), &BODY, &BODY_WAYS);
    seed.send(LARGE_MESSAGES, &large(8 << 20));
    seed.defers(&BODY, LARGE_MESSAGES);
    seed.recovers(LARGE_MESSAGES);
}

/// A host that takes a little of the body in every block: no block is late, and the message would take for ever.
#[test]
fn body_below_the_data_rate() {
    let house = house("block").set("timeouts.min_data_rate", 20 << 20);
    let seed = Seed::start(house, &BODY, &SLOW_WAYS);
    seed.send(1, &large(12 << 20));
    seed.defers(&BODY, 1);
    seed.recovers(1);
}

/// What is no SMTP ends the session at once, and is shown as what it is.
#[test]
fn nonsense_in_place_of_a_banner() {
    let seed = Seed::start(house("banner"), &BANNER, &NONSENSE);
    seed.send(MESSAGES, "hello\n");
    seed.defers(&BANNER, MESSAGES);
    seed.recovers(MESSAGES);
}

/// And in place of the last reply: whether the message was taken, nobody knows.
#[test]
fn nonsense_after_the_final_dot() {
    let seed = Seed::start(house("dot"), &DOT, &NONSENSE);
    seed.send(MESSAGES, "hello\n");
    seed.defers(&DOT, MESSAGES);
    seed.recovers(MESSAGES);
}

/// A host that is late with every reply and never too late: the session as a whole has a limit too.
#[test]
fn the_session_as_a_whole() {
    let seed = Seed::start(house("connect").set("timeouts.session", "1s"), &RCPT, &LATE_WAYS);
    let recipients: Vec<String> = (0..50).map(|n| format!("b{n}@late.test")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    seed.house.submit("a@client.test", &recipients, "Subject: 0\n\nhello\n").unwrap();
    seed.defers(&RCPT, recipients.len());
    seed.recovers(1);
    assert_eq!(seed.hosts[0].2.good().messages()[0].forward_paths, recipients);
}

/// Between two messages: a host that refuses a recipient, and misbehaves when the next message is to follow. No mail
/// waits for that, the next message has a session of its own.
#[test]
fn rset() {
    let house = house("rset").set("delivery.connections_per_destination", 1).set("timeouts.idle", "10m");
    let seed = Seed::start(house, &RSET, &WAYS);
    let bounces = seed.house.good("client.test");
    seed.hosts.iter().for_each(|(domain, ..)| send(&seed.house, &format!("b@{domain}"), MESSAGES));
    bounces.wait_for(MESSAGES * seed.hosts.len(), SOON);
    for (domain, _, script) in &seed.hosts {
        wait_until("the last session of each", SOON, || script.opened() == MESSAGES);
        assert_eq!(script.most_at_once(), 1, "{domain}: {:?}", script.counts());
    }
    assert_eq!(bounces.count(), MESSAGES * seed.hosts.len());
    assert!(
        !seed.house.log().contains("outcome=deferred"),
        "a host that leaves between two messages deferred mail"
    );
    no_defect(&seed.house);
}

/// A nameserver that is silent for a domain, and one that drips over TCP what it did not say over UDP.
#[test]
fn dns() {
    let house = house("connect").set("dns.timeout", LIMIT).set("dns.attempts", 1).set("dns.limit", "10m");
    let house = house.start();
    let domains = ["silent.test", "drips.test"];
    let sinks = domains.map(|domain| house.good(domain));
    house.ns().silent("silent.test");
    house.ns().drip("drips.test", Duration::from_millis(50));
    send_text(&house, &domains.map(|domain| format!("b@{domain}")), MESSAGES, "hello\n");
    let good = house.good("good.test");
    send(&house, "b@good.test", MESSAGES);
    each_once(&good, MESSAGES, "good.test");
    for domain in domains {
        for last in wait_failed(&house, domain) {
            assert_eq!((last.phase.as_str(), &last.host), ("dns", &None), "{domain}: {last:?}");
            let words = [&house.ns().addr().to_string(), "did not answer", "could not be looked up"];
            assert!(words.iter().all(|word| last.text.contains(word)), "{domain}: {last:?}");
        }
        assert_eq!(queued(&house, domain).len(), MESSAGES, "{domain}");
    }
    wait_quiet(&house);
    wait_until("the close at the nameserver", SOON, || {
        let counts = house.ns().tcp();
        let over = counts.opened > 0 && counts.open_now == 0 && counts.closed_by_them == counts.opened;
        over.then_some(()).ok_or_else(|| format!("{counts:?}"))
    });
    domains.iter().for_each(|domain| house.ns().heal(domain));
    for (domain, sink) in domains.iter().zip(&sinks) {
        each_once(sink, MESSAGES, domain);
    }
    settled(&house);
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
    let seed = Seed::start(house, &QUIT, &WAYS);
    seed.send(MESSAGES, "hello\n");
    settled(&seed.house);
    for (domain, way, script) in &seed.hosts {
        over(way, script);
        assert_eq!(script.data().len(), MESSAGES, "{domain}");
        assert_eq!(script.opened(), MESSAGES, "{domain}");
        assert!(script.most_at_once() <= CAP, "{domain}: {:?}", script.counts());
    }
    assert!(!seed.house.log().contains("outcome=deferred"), "a farewell deferred mail");
}
