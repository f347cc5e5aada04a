//! Messages as octets: ours as they are asked, theirs as they are read, and any others as nothing.

use super::*;
use domain::base::iana::Rcode;
use domain::base::{Serial, StaticCompressor, Ttl};
use proptest::prelude::*;

const TTL: u32 = 300;

fn name(text: &str) -> Name {
    Name::vec_from_str(text).unwrap()
}

fn question(kind: Kind) -> Question {
    Question { name: name("example.org"), kind }
}

/// An answer to `question` under id 7, its sections filled by the lines: `CNAME owner target`, `A owner`, `MX owner
/// preference host`, `SOA minimum`.
fn answer(question: &Question, rcode: Rcode, lines: &[&str]) -> Vec<u8> {
    let query = Query::new(question, 7, true).unwrap().octets;
    let query = Message::from_octets(query).unwrap();
    let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).unwrap();
    let mut builder = builder.start_answer(&query, rcode).unwrap();
    let mut minimum = None;
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["A", owner] => builder.push((name(owner), TTL, A::from_octets(192, 0, 2, 1))),
            ["CNAME", owner, target] => builder.push((name(owner), TTL / 2, Cname::new(name(target)))),
            ["MX", owner, preference, host] => {
                builder.push((name(owner), TTL, Mx::new(preference.parse().unwrap(), name(host))))
            }
            ["SOA", seconds] => {
                minimum = Some(seconds.parse().unwrap());
                Ok(())
            }
            _ => panic!("{line}"),
        }
        .unwrap();
    }
    let mut builder = builder.authority();
    if let Some(minimum) = minimum {
        let (zone, ttl) = (name("org"), Ttl::from_secs(1));
        let soa = Soa::new(zone.clone(), zone.clone(), Serial(1), ttl, ttl, ttl, Ttl::from_secs(minimum));
        builder.push((zone, TTL, soa)).unwrap();
    }
    builder.finish().into_target()
}

fn read(kind: Kind, rcode: Rcode, lines: &[&str]) -> Result<Reply, Unusable> {
    let question = question(kind);
    Query::new(&question, 7, true).unwrap().read(&question, &answer(&question, rcode, lines))
}

fn reply(content: Content, seconds: u64) -> Result<Reply, Unusable> {
    Ok(Reply { content, ttl: Duration::from_secs(seconds) })
}

fn addresses(n: usize) -> Content {
    Content::Records(vec![Record::Address([192, 0, 2, 1].into()); n].into())
}

#[test]
fn a_question_asks_for_recursion_and_says_what_it_takes() {
    for edns in [true, false] {
        let octets = Query::new(&question(Kind::Mx), 7, edns).unwrap().octets;
        let message = Message::from_octets(octets).unwrap();
        assert!(message.header().rd() && !message.header().qr() && message.header().id() == 7);
        assert_eq!(message.sole_question().unwrap().qtype(), Rtype::MX);
        assert_eq!(message.opt().map(|opt| opt.udp_payload_size()), edns.then_some(1232));
    }
}

#[test]
fn exchangers_come_by_preference_in_lower_case() {
    let lines = ["MX example.org 20 b.example", "MX example.org 5 A.Example", "MX other.org 1 c.example"];
    let mx = |preference, host: &str| Record::Mx { preference, host: host.into() };
    let expected = Content::Records([mx(5, "a.example"), mx(20, "b.example")].into());
    assert_eq!(read(Kind::Mx, Rcode::NOERROR, &lines), reply(expected, 300));
    let null = Content::Records([mx(0, ".")].into());
    assert_eq!(read(Kind::Mx, Rcode::NOERROR, &["MX example.org 0 ."]), reply(null, 300));
}

#[test]
fn aliases_are_followed_within_the_answer() {
    let lines = ["A b.example", "CNAME a.example b.example", "CNAME Example.ORG a.example", "A c.example"];
    assert_eq!(read(Kind::A, Rcode::NOERROR, &lines), reply(addresses(1), 150));
    assert_eq!(
        read(Kind::A, Rcode::NOERROR, &["CNAME example.org a.example"]),
        reply(Content::Alias(name("a.example")), 5)
    );
    assert_eq!(
        read(Kind::A, Rcode::NOERROR, &["CNAME example.org a.example", "SOA 60"]),
        reply(Content::NoData, 60)
    );
    for chain in [1, 2, 5] {
        let next = |n: usize| if n == chain { "example.org".into() } else { format!("x{n}.example") };
        let lines: Vec<_> = (0..chain)
            .map(|n| {
                let from = if n == 0 { "example.org".into() } else { next(n) };
                format!("CNAME {from} {}", next(n + 1))
            })
            .collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(read(Kind::A, Rcode::NOERROR, &lines), Err(Unusable::Loop), "{lines:?}");
    }
}

#[test]
fn there_is_none_holds_as_long_as_the_soa_says() {
    for (rcode, lines, content, seconds) in [
        (Rcode::NXDOMAIN, &["SOA 60"][..], Content::NxDomain, 60),
        (Rcode::NXDOMAIN, &["SOA 9000"], Content::NxDomain, 300),
        (Rcode::NXDOMAIN, &[], Content::NxDomain, 5),
        (Rcode::NXDOMAIN, &["CNAME example.org x.org", "SOA 60"], Content::NxDomain, 60),
        (Rcode::NOERROR, &["SOA 60"], Content::NoData, 60),
        (Rcode::NOERROR, &[], Content::NoData, 5),
    ] {
        assert_eq!(read(Kind::A, rcode, lines), reply(content, seconds), "{rcode} {lines:?}");
    }
    assert_eq!(seconds(u32::MAX), Duration::ZERO);
}

#[test]
fn refusals_say_what_to_do() {
    assert_eq!(read(Kind::A, Rcode::FORMERR, &[]), Err(Unusable::NoEdns));
    assert_eq!(read(Kind::A, Rcode::SERVFAIL, &[]), Err(Unusable::Rcode(OptRcode::SERVFAIL)));
    let question = question(Kind::A);
    let mut octets = answer(&question, Rcode::FORMERR, &[]);
    let plain = Query::new(&question, 7, false).unwrap();
    assert_eq!(plain.read(&question, &octets), Err(Unusable::Rcode(OptRcode::FORMERR)));
    // A header alone refuses, and never answers.
    octets.truncate(12);
    octets[5] = 0;
    assert_eq!(plain.read(&question, &octets), Err(Unusable::Rcode(OptRcode::FORMERR)));
    octets[3] = 0;
    assert_eq!(plain.read(&question, &octets), Err(Unusable::Foreign));
}

#[test]
fn only_the_answer_to_this_question_counts() {
    let asked = question(Kind::A);
    let query = Query::new(&asked, 7, true).unwrap();
    let right = answer(&asked, Rcode::NOERROR, &["A example.org"]);
    assert_eq!(query.read(&asked, &right), reply(addresses(1), 300));
    let other_type = answer(&question(Kind::Mx), Rcode::NOERROR, &[]);
    let mut octets = vec![vec![], vec![0; 11], query.octets.clone(), other_type];
    for (place, bits) in [(0, 1), (1, 1), (2, 0x80), (2, 0x78), (13, 1)] {
        let mut wrong = right.clone();
        wrong[place] ^= bits;
        octets.push(wrong);
    }
    for wrong in octets {
        assert_eq!(query.read(&asked, &wrong), Err(Unusable::Foreign), "{wrong:?}");
    }
    let mut cut = right.clone();
    cut[2] |= 2;
    assert_eq!(query.read(&asked, &cut), Err(Unusable::Truncated));
    assert_eq!(query.read(&asked, &right[..right.len() - 2]), Err(Unusable::Malformed));
}

#[test]
fn an_answer_of_thousands_is_cut() {
    let lines = vec!["A example.org"; 3000];
    assert_eq!(read(Kind::A, Rcode::NOERROR, &lines), reply(addresses(MOST_ADDRESSES), 300));
}

proptest! {
    #[test]
    fn no_octets_are_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..600), kind in 0..3usize) {
        let question = question([Kind::A, Kind::Aaaa, Kind::Mx][kind]);
        let _ = Query::new(&question, 7, true).unwrap().read(&question, &octets);
    }

    #[test]
    fn nor_are_answers_with_changed_octets(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let question = question(Kind::Mx);
        let lines = [
            "CNAME example.org a.example.org", "CNAME a.example.org b.example.org",
            "MX b.example.org 10 mx.b.example.org", "MX b.example.org 20 mx.c.example.org", "SOA 60",
        ];
        let mut octets = answer(&question, Rcode::NOERROR, &lines);
        // Past the header and the question, where everything must parse.
        let body = 12..octets.len();
        for (place, value) in changes {
            octets[body.start + place.index(body.len())] = value;
        }
        if cut {
            octets.truncate(body.start + end.index(body.len()));
        }
        let _ = Query::new(&question, 7, true).unwrap().read(&question, &octets);
    }
}
