//! The resolver against small nameservers: good ones, silent ones, wrong ones, and none.

use super::*;
use crate::dns::nameserver::Nameserver;

const LONG: Duration = Duration::from_secs(20);

fn resolver(servers: &[&Nameserver], timeout: Duration) -> Resolver {
    let mut settings = config::Config::default().dns;
    settings.timeout = timeout;
    Resolver::new(servers.iter().map(|server| server.address).collect(), &settings)
}

fn lookup(resolver: &Resolver, name: &str, limit: Duration) -> Answer {
    resolver.lookup(&Domain::parse(name).unwrap(), Kind::A, Deadline::within(clock::now(), limit))
}

fn address(octets: [u8; 4]) -> Answer {
    Answer::Records([Record::Address(octets.into())].into())
}

fn failed(answer: &Answer) -> &str {
    match answer {
        Answer::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

const ZONE: &str = "
    plain.example A 192.0.2.1
    lost.example A 192.0.2.2
    lost.example !silent-once
    big.example A 192.0.2.3
    big.example !truncate
    old.example A 192.0.2.4
    old.example !noedns
    forged.example A 192.0.2.5
    forged.example !forge
    empty.example MX 10 plain.example
    alias.example CNAME plain.example
    part.example CNAME plain.example
    part.example !partial
    one.example CNAME two.example
    one.example !partial
    two.example CNAME one.example
    two.example !partial
    round.example CNAME round.example
    void.example !silent
    broken.example !garbage
    broken.example A 192.0.2.6
    sick.example !servfail
    closed.example !refused
    stuck.example !mute-tcp
";

#[test]
fn answers_of_every_kind() {
    let server = Nameserver::start(ZONE);
    let resolver = resolver(&[&server], LONG);
    for (name, expected) in [
        ("plain.example", address([192, 0, 2, 1])),
        ("big.example", address([192, 0, 2, 3])),
        ("old.example", address([192, 0, 2, 4])),
        ("forged.example", address([192, 0, 2, 5])),
        ("alias.example", address([192, 0, 2, 1])),
        ("part.example", address([192, 0, 2, 1])),
        ("empty.example", Answer::NoData),
        ("none.example", Answer::NxDomain),
    ] {
        assert_eq!(lookup(&resolver, name, LONG), expected, "{name}");
        let asked = server.asked().len();
        assert_eq!(lookup(&resolver, name, LONG), expected, "{name}, from the cache");
        assert_eq!(server.asked().len(), asked, "{name} was asked for again");
    }
    let asked = server.asked();
    assert!(asked.contains(&"A big.example tcp".into()) && asked.contains(&"A old.example plain".into()));
}

#[test]
fn a_lost_question_is_asked_again() {
    let server = Nameserver::start(ZONE);
    let resolver = resolver(&[&server], Duration::from_millis(500));
    assert_eq!(lookup(&resolver, "lost.example", LONG), address([192, 0, 2, 2]));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn failures_name_the_server_and_what_it_did_and_are_remembered() {
    let server = Nameserver::start(ZONE);
    let resolver = resolver(&[&server], Duration::from_millis(500));
    for (name, words, times) in [
        ("void.example", "did not answer within 500ms", 2),
        ("stuck.example", "did not answer within 500ms", 4),
        ("sick.example", "said SERVFAIL", 1),
        ("closed.example", "said REFUSED", 1),
        ("broken.example", "gave a malformed answer", 1),
        ("round.example", "gave aliases (CNAME) that lead nowhere", 1),
    ] {
        let before = server.asked().len();
        let answer = lookup(&resolver, name, LONG);
        assert_eq!(failed(&answer), format!("nameserver {} {words}", server.address), "{name}");
        assert_eq!(lookup(&resolver, name, LONG), answer);
        assert_eq!(server.asked().len() - before, times, "{name}");
    }
    let answer = lookup(&resolver, "one.example", LONG);
    assert_eq!(failed(&answer), "the aliases (CNAME) of one.example lead back, or on and on");
}

#[test]
fn another_server_takes_over_and_is_preferred_for_a_while() {
    let dead = Nameserver::start("a.example !silent\nb.example !silent\nc.example A 192.0.2.9");
    let sick = Nameserver::start("a.example !servfail\nb.example !servfail");
    let good = Nameserver::start("a.example A 192.0.2.1\nb.example A 192.0.2.2\nc.example A 192.0.2.3");
    let resolver = resolver(&[&dead, &sick, &good], Duration::from_millis(500));
    assert_eq!(lookup(&resolver, "a.example", LONG), address([192, 0, 2, 1]));
    assert_eq!(lookup(&resolver, "b.example", LONG), address([192, 0, 2, 2]));
    assert_eq!((dead.asked().len(), sick.asked().len(), good.asked().len()), (1, 2, 2));
    let order = |now| resolver.order(now).iter().map(|server| server.address).collect::<Vec<_>>();
    let now = clock::now();
    assert_eq!(order(now), [sick.address, good.address, dead.address]);
    assert_eq!(order(now + Resolver::TROUBLED), [dead.address, sick.address, good.address]);
}

#[test]
fn the_callers_deadline_is_the_narrower() {
    let server = Nameserver::start(ZONE);
    let resolver = resolver(&[&server], LONG);
    let began = clock::now();
    let answer = lookup(&resolver, "void.example", Duration::from_millis(100));
    assert!(failed(&answer).contains("did not answer within"), "{answer:?}");
    assert!(clock::now() - began < LONG / 2);
    let answer = lookup(&resolver, "plain.example", Duration::ZERO);
    assert_eq!(failed(&answer), "no time was left to ask for A of plain.example");
    assert_eq!(lookup(&resolver, "plain.example", LONG), address([192, 0, 2, 1]), "it was never asked");
}

#[test]
fn a_port_where_nobody_listens_is_said_at_once() {
    let address = Nameserver::start("").address;
    let resolver = Resolver::new(vec![address], &config::Config::default().dns);
    let answer = lookup(&resolver, "a.example", LONG);
    assert_eq!(failed(&answer), format!("nameserver {address} refused the connection"));
}

#[test]
fn waits_are_said_in_round_numbers() {
    for (wait, words) in [(4_999, "5s"), (5_000, "5s"), (260, "300ms"), (3, "3ms")] {
        assert_eq!(format!("{:?}", tenths(Duration::from_millis(wait))), words);
    }
}
