//! Where mail goes: the hosts of a route in their order, and the next one when a host fails as a site, whether or not its
//! TCP handshake had succeeded. Then everything that DNS and the routes can say.

use crate::house::House;
use crate::look::{text, wait_empty, wait_last};
use crate::peer::{Peer, Script, Sink};
use crate::wait::SOON;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const HELLO: &str = "Subject: hello\n\nhello\n";

fn v4(peer: &impl Peer) -> Ipv4Addr {
    match peer.addr().ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("{ip}"),
    }
}

/// A host of `domain` at this preference.
fn mx(house: &House, domain: &str, preference: u16, ip: Ipv4Addr) {
    let name = format!("mx{preference}.{domain}");
    house.ns().mx(domain, preference, &name);
    house.ns().a(&name, ip);
}

#[track_caller]
fn submit(house: &House, to: &str) {
    house.submit("a@sender.test", &[to], HELLO).unwrap();
}

#[test]
fn the_preferred_host_gets_the_mail() {
    let house = House::started();
    let sinks: Vec<Sink> = (0..3).map(|_| house.sink()).collect();
    for (preference, sink) in [20, 10, 30].into_iter().zip(&sinks) {
        mx(&house, "x.test", preference, v4(sink));
    }
    (0..3).for_each(|_| submit(&house, "b@x.test"));
    sinks[1].wait_for(3, SOON);
    assert_eq!((sinks[0].opened(), sinks[2].opened()), (0, 0));
}

#[test]
fn equal_hosts_share_the_mail() {
    let house = House::new().set("delivery.messages_per_connection", 1).start();
    let sinks = [house.sink(), house.sink()];
    for (name, sink) in ["one.test", "two.test"].iter().zip(&sinks) {
        house.ns().mx("x.test", 10, name);
        house.ns().a(name, v4(sink));
    }
    for n in 1..=40 {
        submit(&house, "b@x.test");
        crate::wait::wait_until("the message", SOON, || sinks[0].count() + sinks[1].count() == n);
        if sinks.iter().all(|sink| sink.count() > 0) {
            return;
        }
    }
    panic!("forty messages went to one host of two that are equal");
}

/// How the first host fails, and whether a connection to it is made.
const FIRST: &[(&str, &str)] = &[
    ("no-banner", "mute"),
    ("closes-at-once", "close"),
    ("resets-at-once", "reset"),
    ("421-banner", "say 421 4.3.2 not now\nclose"),
    ("450-banner", "say 450 4.3.2 not now\nmute"),
    ("554-banner", "say 554 5.3.2 never\nmute"),
    ("no-smtp", "say SSH-2.0-OpenSSH\nmute"),
    ("closes-after-ehlo", "say 220 hi\nhear EHLO\nclose"),
    ("mute-at-ehlo", "say 220 hi\nhear EHLO\nmute"),
    ("451-ehlo", "say 220 hi\nhear EHLO\nsay 451 4.3.2 not now\nmute"),
    ("no-greeting-at-all", "say 220 hi\nhear EHLO\nsay 502 what\nhear HELO\nsay 502 what\nmute"),
    ("421-mail", "say 220 hi\nhear EHLO\nsay 250 hi\nhear MAIL\nsay 421 4.3.2 not now\nclose"),
    ("mute-at-mail", "say 220 hi\nhear EHLO\nsay 250 hi\nhear MAIL\nmute"),
    ("closes-at-rcpt", "say 220 hi\nhear EHLO\nsay 250 hi\nhear MAIL\nsay 250 ok\nhear RCPT\nclose"),
    (
        "closes-at-data",
        "say 220 hi\nhear EHLO\nsay 250 hi\nhear MAIL\nsay 250 ok\nhear RCPT\nsay 250 ok\nhear DATA\nclose",
    ),
];

#[test]
fn the_next_host_gets_what_the_first_one_failed_to_take() {
    let mut house = House::new().set("delivery.workers", 64);
    // Long enough that no good host is taken for a mute one on a busy machine: what is asserted is the first attempt.
    for phase in ["banner", "ehlo", "mail", "rcpt", "data", "dot"] {
        house = house.set(&format!("timeouts.{phase}"), "3s");
    }
    let house = house.start();
    let firsts: Vec<Script> = FIRST.iter().map(|(_, script)| house.script(script)).collect();
    let seconds: Vec<Sink> = FIRST.iter().map(|_| house.sink()).collect();
    for ((name, _), (first, second)) in FIRST.iter().zip(firsts.iter().zip(&seconds)) {
        let domain = format!("{name}.test");
        mx(&house, &domain, 10, v4(first));
        mx(&house, &domain, 20, v4(second));
        submit(&house, &format!("b@{domain}"));
    }
    for ((name, _), (first, second)) in FIRST.iter().zip(firsts.iter().zip(&seconds)) {
        second.wait_for(1, SOON);
        // At the first attempt, not after a back-off.
        assert_eq!((first.opened(), second.count()), (1, 1), "{name}");
        let line = house.wait_log(&format!("destination={name}.test "));
        assert!(line.contains("attempts=1") && line.contains("outcome=delivered"), "{line}");
    }
    wait_empty(&house);
}

#[test]
fn a_refused_or_dropped_connection_leads_to_the_next_host() {
    let house = House::started();
    let (full, second) = (house.full(), house.sink());
    for (domain, first) in [("refused.test", house.addr().ip()), ("dropped.test", full.addr().ip())] {
        let IpAddr::V4(first) = first else { panic!() };
        mx(&house, domain, 10, first);
        mx(&house, domain, 20, v4(&second));
        submit(&house, &format!("b@{domain}"));
    }
    second.wait_for(2, SOON);
}

#[test]
fn no_more_than_five_addresses_are_tried_in_one_attempt() {
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    let refusing: Vec<Script> = (0..8).map(|_| house.script("say 554 5.3.2 never\nclose")).collect();
    for (n, script) in refusing.iter().enumerate() {
        house.ns().mx("x.test", 10, &format!("mx{}.x.test", n / 2));
        house.ns().a(&format!("mx{}.x.test", n / 2), v4(script));
    }
    submit(&house, "b@x.test");
    let queued = wait_last(&house, "b@x.test", "554 5.3.2 never");
    assert_eq!(queued["state"], "resting");
    assert_eq!(refusing.iter().map(Peer::opened).sum::<usize>(), 5);
    assert!(refusing.iter().all(|script| script.opened() <= 1));
}

#[test]
fn dns_leads_to_the_host() {
    let house = House::new().set("delivery.connections_per_address", 15).start();
    let sink = house.sink();
    let ns = house.ns();
    ns.a("implicit.test", v4(&sink));
    ns.cname("alias.test", "implicit.test");
    ns.mx("real.test", 10, "mx.real.test");
    ns.a("mx.real.test", v4(&sink));
    ns.cname("alias-of-mx.test", "real.test");
    ns.mx("mx-is-alias.test", 10, "alias.test");
    ns.mx("many.test", 1, "no-such-host.test");
    ns.mx("many.test", 5, "implicit.test");
    (0..60).for_each(|n| ns.mx("truncated.test", 10 + n, "mx.real.test"));
    ns.truncate("tc.test");
    ns.a("tc.test", v4(&sink));
    ns.mx("xn--bcher-kva.test", 10, "mx.real.test");
    let names = ["implicit", "alias", "real", "alias-of-mx", "mx-is-alias", "many", "truncated", "tc"];
    let names = names.iter().map(|name| format!("b@{name}.test"));
    for to in names.chain(["b@XN--bcher-kva.TEST".to_string(), format!("b@[{}]", sink.addr().ip())]) {
        let before = sink.count();
        submit(&house, &to);
        let messages = sink.wait_for(before + 1, SOON);
        let got = &messages[before].forward_paths[0];
        assert!(got.eq_ignore_ascii_case(&to), "{got} is not {to}");
    }
    wait_empty(&house);
}

#[test]
fn a_literal_of_ipv6_goes_to_that_address() {
    let house = House::started();
    let ipv6 = Sink::start(SocketAddr::from((Ipv6Addr::LOCALHOST, house.port())));
    house.ns().aaaa("six.test", Ipv6Addr::LOCALHOST);
    for to in ["b@[IPv6:::1]", "b@six.test"] {
        submit(&house, to);
    }
    ipv6.wait_for(2, SOON);
}

/// What DNS says for certain: (domain, status, words of the bounce).
const CERTAIN: &[(&str, &str, &str)] = &[
    ("null-mx.test", "5.1.10", "does not accept mail"),
    ("nxdomain.test", "5.1.2", "does not exist"),
    ("no-address.test", "5.4.4", "neither an MX nor an address"),
    ("dead-mx.test", "5.4.4", "no MX host of dead-mx.test can be tried"),
    ("ours.test", "5.4.6", "loops back"),
    ("equal.test", "5.4.6", "loops back"),
];

#[test]
fn what_dns_says_for_certain_bounces_and_says_so() {
    let house = House::started();
    let sender = house.good("sender.test");
    let equal = house.sink();
    let ns = house.ns();
    ns.null_mx("null-mx.test");
    ns.nxdomain("nxdomain.test");
    ns.record("no-address.test", 99, b"x".to_vec());
    ns.mx("dead-mx.test", 10, "gone.dead-mx.test");
    ns.nxdomain("gone.dead-mx.test");
    ns.mx("ours.test", 10, "relay.test");
    ns.mx("equal.test", 10, "RELAY.test");
    ns.mx("equal.test", 10, "mx.equal.test");
    ns.a("mx.equal.test", v4(&equal));
    for (domain, ..) in CERTAIN {
        submit(&house, &format!("b@{domain}"));
    }
    let bounces = sender.wait_for(CERTAIN.len(), SOON);
    for (domain, status, words) in CERTAIN {
        let about = format!("b@{domain}");
        let bounce = bounces.iter().map(|bounce| bounce.text()).find(|bounce| bounce.contains(&about));
        let bounce = bounce.unwrap_or_else(|| panic!("no bounce about {domain}"));
        assert!(bounce.contains(&format!("Status: {status}\r\n")), "{bounce}");
        assert!(bounce.contains("Diagnostic-Code: x-sendoff;"), "{bounce}");
        let unfolded = bounce.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unfolded.contains(words), "{bounce}");
    }
    assert_eq!(equal.opened(), 0);
    wait_empty(&house);
}

#[test]
fn what_dns_cannot_say_now_waits() {
    let house = House::new()
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .set("dns.timeout", "200ms")
        .set("dns.attempts", 1)
        .start();
    let domains = ["servfail.test", "silent.test", "garbage.test"];
    let sinks = domains.map(|domain| house.good(domain));
    house.ns().servfail(domains[0]);
    house.ns().silent(domains[1]);
    house.ns().garbage(domains[2], b"rubbish");
    for domain in domains {
        submit(&house, &format!("b@{domain}"));
    }
    for domain in domains {
        let queued = wait_last(&house, &format!("b@{domain}"), "could not be looked up");
        let last = &queued["last"];
        assert_eq!((text(&last["phase"]), text(&last["status"])), ("dns", "4.4.3"), "{queued}");
        house.ns().heal(domain);
    }
    for sink in &sinks {
        sink.wait_for(1, SOON);
    }
    wait_empty(&house);
}

#[test]
fn a_nameserver_that_is_down_is_passed_over() {
    let house = House::new();
    let (dead, ns) = (house.addr(), house.ns().addr());
    let house = house.set("dns.servers", format!("[\"{dead}\", \"{ns}\"]")).start();
    let sink = house.good("good.test");
    submit(&house, "b@good.test");
    sink.wait_for(1, SOON);
}

#[test]
fn mail_for_routed_domains_goes_to_their_smart_host() {
    let house = House::new();
    let smarts: Vec<Sink> = (0..3).map(|_| Sink::start(crate::street::Street::new().addr())).collect();
    house.ns().a("smart.test", v4(&smarts[0]));
    let other = house.sink();
    house.domain("x.test", &other);
    let port = smarts[0].addr().port();
    let house = house
        .route("exact.test", format!("smtp://smart.test:{port}"))
        .route("*.below.test", format!("smtp://{}", smarts[1].addr()))
        .route("deep.below.test", format!("smtp://[{}]:{}", v4(&smarts[2]), smarts[2].addr().port()))
        .start();
    for (to, sink) in [
        ("b@exact.test", &smarts[0]),
        ("b@EXACT.test", &smarts[0]),
        ("b@any.below.test", &smarts[1]),
        ("b@deep.below.test", &smarts[2]),
        ("b@x.test", &other),
    ] {
        let before = sink.count();
        submit(&house, to);
        sink.wait_for(before + 1, SOON);
    }
    wait_empty(&house);
    assert_eq!(house.ns().asked("exact.test", "MX"), 0);
}

#[test]
fn a_smart_host_that_does_not_exist_is_a_slip_of_the_settings_and_bounces_nothing() {
    let house = House::new().route("*", "smtp://no-such-host.test:25").start();
    house.ns().nxdomain("no-such-host.test");
    submit(&house, "b@x.test");
    let queued = wait_last(&house, "b@x.test", "no-such-host.test does not exist");
    assert_eq!(queued["last"]["status"], "4.3.5");
}
