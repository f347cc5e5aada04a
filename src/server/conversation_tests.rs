//! Conversations over real loopback sockets, with clients of every kind.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::memory::{Memory, Mood, Peer};
use super::{Ending, Policy, Presence, converse};
use crate::config::Config;
use crate::net::Stream;
use crate::smtp::{Domain, Refusal};
use crate::time::{Deadline, Expired, Limit, clock};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct House {
    memory: Memory,
    address: SocketAddr,
    thread: JoinHandle<Ending>,
}

/// A server for one client.
fn house(change: impl FnOnce(&mut Policy)) -> House {
    let mut policy = Policy::of(&Config::default(), CLIENT);
    policy.hostname = Domain::parse("relay.example").unwrap();
    (policy.max_recipients, policy.max_message_size, policy.hop_limit) = (3, 100_000, 5);
    (policy.patience, policy.session) = (Duration::from_secs(10), Duration::from_secs(10));
    change(&mut policy);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let memory = Memory::default();
    let reception = memory.clone();
    let thread = thread::spawn(move || {
        let socket = listener.accept().unwrap().0.into();
        let stream = Stream::accepted(socket, Deadline::within(clock::now(), Duration::from_secs(10)));
        let presence = Presence::new(CLIENT, stream.cutter());
        converse(stream, CLIENT, policy, &reception, &presence)
    });
    House { memory, address, thread }
}

fn plain() -> House {
    house(|_| {})
}

impl House {
    /// How it ended; nothing may be left open then.
    fn end(self) -> Ending {
        let ending = self.thread.join().unwrap();
        assert_eq!(self.memory.open(), 0, "a draft was left");
        ending
    }

    /// One message with this data; the reply, and what was kept of it below the trace line.
    fn data(self, data: &[u8]) -> (String, Option<String>) {
        let mut peer = Peer::to_data(self.address);
        peer.say(data);
        let reply = peer.hear();
        let kept = self.memory.kept().first().map(|(_, text)| below_trace(text).to_owned());
        drop(peer);
        self.end();
        (reply, kept)
    }
}

fn below_trace(text: &str) -> &str {
    let (_, rest) = text.split_once("+0000\r\n").unwrap();
    rest
}

#[test]
fn a_pipelined_transaction_is_kept_with_its_trace() {
    let house = plain();
    let mut peer = Peer::to_data(house.address);
    peer.say("Subject: x\r\n\r\n..\r\n.\r\n");
    peer.expect(&["250 2.0.0 queued as 00000000001"]);
    // The end of the data may be followed by the next group (RFC 2920, 3.1).
    peer.say("MAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@e.f>\r\nDATA\r\n");
    peer.expect(&["250", "250", "250", "354"]);
    peer.say("hi\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\nNOOP\r\n");
    peer.expect(&["250 2.0.0 queued as 00000000002", "250", "250", "221"]);
    assert!(peer.rest().is_empty());
    let kept = house.memory.kept();
    assert!(
        kept[0].1.starts_with(
            "Received: from client.example ([127.0.0.1]) by relay.example (Sendoff)\r\n with ESMTP id 00000000001 for <d@e.f>; "
        ),
        "{}",
        kept[0].1
    );
    assert_eq!(below_trace(&kept[0].1), "Subject: x\r\n\r\n.\r\n");
    assert_eq!((kept[1].0.recipients.len(), kept[1].1.contains("for <")), (2, false));
    assert!(matches!(house.end(), Ending::Said(response) if response.code() == 221));
}

#[test]
fn octet_by_octet_is_as_good_as_at_once() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.expect(&["220"]);
    let drip = |peer: &mut Peer, text: &str| text.as_bytes().chunks(1).for_each(|octet| peer.say(octet));
    drip(&mut peer, "EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    peer.expect(&["250-", "250", "250", "354"]);
    drip(&mut peer, "..a\r\n.\r\n");
    peer.expect(&["250 2.0.0 queued"]);
    assert_eq!(below_trace(&house.memory.kept()[0].1), ".a\r\n");
}

#[test]
fn silence_and_drips_are_cut_by_their_limits() {
    let short = |policy: &mut Policy| policy.patience = Duration::from_millis(100);
    // Before, and within, a command.
    for said in ["", "EHL"] {
        let house = house(short);
        let mut peer = Peer::to(house.address);
        peer.say(said);
        peer.expect(&["220", "421 4.4.2"]);
        assert!(peer.rest().is_empty());
        drop(peer);
        assert!(matches!(house.end(), Ending::Expired(Expired(Limit::Phase))));
    }
    // In the data.
    let house = house(short);
    let mut peer = Peer::to_data(house.address);
    peer.say("half a mess");
    peer.expect(&["421 4.4.2"]);
    drop(peer);
    assert!(matches!(house.end(), Ending::Expired(_)));
}

#[test]
fn a_drip_is_cut_by_the_session_or_the_rate() {
    for (session, rate, expired) in [(300, 0, Limit::Session), (10_000, 1_000_000, Limit::Rate)] {
        let house = house(|policy| {
            (policy.patience, policy.min_data_rate) = (Duration::from_millis(200), rate);
            policy.session = Duration::from_millis(session);
        });
        let mut peer = Peer::to_data(house.address);
        let (_never, wait) = crossbeam_channel::bounded::<()>(0);
        // It always says something, and soon enough for the limit of a block.
        while std::io::Write::write_all(&mut peer.stream, b"x").is_ok() && !house.thread.is_finished() {
            let _ = wait.recv_timeout(Duration::from_millis(20));
        }
        let ending = house.end();
        assert!(matches!(&ending, Ending::Expired(Expired(limit)) if *limit == expired), "{ending}");
    }
}

/// CVE-2023-51764, 51765, 51766: what some hosts take for the end of the data.
#[test]
fn nothing_is_smuggled_behind_a_bare_line_end() {
    for end in ["\n.\r\n", "\r.\r\n", "\n.\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r\n\0.\n", "\n\n.\r\n"] {
        let house = plain();
        let mut peer = Peer::to_data(house.address);
        let smuggled = "MAIL FROM:<x@y.z>\r\nRCPT TO:<v@w.x>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n";
        peer.say(format!("hello{end}{smuggled}"));
        let replies = peer.rest();
        assert!(matches!(&replies[..], [only] if only.starts_with("550 5.5.2")), "{end:?}: {replies:?}");
        assert!(house.memory.kept().is_empty(), "{end:?}");
        drop(peer);
        assert!(matches!(house.end(), Ending::Said(_)));
    }
}

#[test]
fn a_client_that_waits_after_a_bare_end_hears_why() {
    let house = house(|policy| policy.patience = Duration::from_millis(200));
    let mut peer = Peer::to_data(house.address);
    peer.say("Subject: by hand\n\nhi\n.\n");
    peer.expect(&["550 5.5.2"]);
    assert!(peer.rest().is_empty());
}

#[test]
fn what_is_not_crlf_is_no_end_of_a_command() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say("EHLO x\nHELO y\rQUIT\r\nNO\0OP\r\n\r\n\u{ff}\r\nNOOP\r\n");
    peer.expect(&["220", "500 5.5.2", "500 5.5.2", "500 5.5.2", "500 5.5.2", "500 5.5.2", "250 2.0.0"]);
}

#[test]
fn messages_have_their_bounds() {
    let line = "x".repeat(998) + "\r\n";
    let large = line.repeat(101) + ".\r\n";
    let (reply, kept) = plain().data(large.as_bytes());
    assert!(reply.starts_with("552 5.3.4") && kept.is_none(), "{reply}");
    // A stuffed dot is no part of the size; exactly the limit is fine.
    let fits = format!(".{}{}.\r\n", ".".repeat(998) + "\r\n", line.repeat(99));
    let (reply, kept) = plain().data(fits.as_bytes());
    assert!(reply.starts_with("250 ") && kept.unwrap().len() == 100_000, "{reply}");
    // Lines.
    let (reply, kept) = plain().data(format!("{}\r\n.\r\n", "x".repeat(65_534)).as_bytes());
    assert!(reply.starts_with("250 ") && kept.is_some(), "{reply}");
    let (reply, kept) = plain().data(format!("{}\r\n.\r\n", "x".repeat(65_535)).as_bytes());
    assert!(reply.starts_with("550 5.6.0") && kept.is_none(), "{reply}");
    // Octets that are no text.
    let (reply, kept) = plain().data(b"a\0b\x7f\r\n.\r\n");
    assert!(reply.starts_with("250 ") && kept.unwrap() == "a\0b\u{7f}\r\n", "{reply}");
}

#[test]
fn data_without_an_end_is_not_heard_for_ever() {
    let house = plain();
    let mut peer = Peer::to_data(house.address);
    let block = ("x".repeat(998) + "\r\n").repeat(100);
    while std::io::Write::write_all(&mut peer.stream, block.as_bytes()).is_ok() {}
    drop(peer);
    assert!(matches!(house.end(), Ending::Said(response) if response.code() == 552));
}

#[test]
fn a_loop_is_seen() {
    let hop = "Received: from a\r\n\tby b\r\n";
    let (reply, _) = plain().data(format!("{}\r\nhi\r\n.\r\n", hop.repeat(4)).as_bytes());
    assert!(reply.starts_with("250 "), "{reply}");
    let (reply, kept) = plain().data(format!("{}\r\nhi\r\n.\r\n", hop.repeat(5)).as_bytes());
    assert!(reply.starts_with("554 5.4.6") && kept.is_none(), "{reply}");
}

#[test]
fn recipients_beyond_the_limit_come_later() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say(format!("EHLO x\r\nMAIL FROM:<a@b.c>\r\n{}DATA\r\n", "RCPT TO:<d@e.f>\r\n".repeat(50)));
    peer.expect(&["220", "250-", "250", "250", "250", "250"]);
    (3..50).for_each(|_| peer.expect(&["452 4.5.3"]));
    peer.expect(&["354"]);
    peer.say("hi\r\n.\r\n");
    peer.expect(&["250"]);
    assert_eq!(house.memory.kept()[0].0.recipients.len(), 3);
}

#[test]
fn long_lines_are_skipped_endless_ones_end_the_session() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say(format!("NOOP {}\r\nNOOP\r\n", "x".repeat(40_000)));
    peer.expect(&["220", "500 5.5.2", "250"]);
    let block = [b'x'; 10_000];
    while std::io::Write::write_all(&mut peer.stream, &block).is_ok() {
        if house.thread.is_finished() {
            break;
        }
    }
    assert!(matches!(house.end(), Ending::Said(response) if response.code() == 500));
}

#[test]
fn garbage_is_heard_twenty_times() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say(b"\x16\x03\x01\x02\x00\r\n".repeat(30));
    peer.expect(&["220"]);
    let replies = peer.rest();
    assert_eq!(replies.len(), 20, "{replies:?}");
    assert!(
        replies[..19].iter().all(|reply| reply.starts_with("500 ")) && replies[19].starts_with("421 4.7.0")
    );
}

#[test]
fn input_behind_data_closes() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n");
    peer.expect(&["220", "250-", "250", "250", "554 5.5.0"]);
    assert!(peer.rest().is_empty() && house.memory.kept().is_empty());
}

#[test]
fn a_browser_is_sent_away() {
    let house = plain();
    let mut peer = Peer::to(house.address);
    peer.say("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.c>\r\n");
    peer.expect(&["220", "421 4.7.0"]);
    assert!(peer.rest().is_empty());
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    for said in ["", "Subject: x\r\n\r\nhalf", "whole\r\n.\r"] {
        let house = plain();
        let mut peer = Peer::to_data(house.address);
        peer.say(said);
        drop(peer);
        assert!(house.memory.kept().is_empty());
        assert!(matches!(house.end(), Ending::Lost(_)));
    }
}

#[test]
fn trouble_of_ours_is_said_and_the_session_goes_on() {
    let full = Refusal::new(452, 3, 1, "no room");
    let broken = Refusal::new(451, 3, 0, "disk trouble");
    for (mood, reply) in [
        (Mood::NoWrite(full.clone()), "452 4.3.1"),
        (Mood::NoCommit(broken.clone()), "451 4.3.0"),
        (Mood::NoCommit(full.clone()), "452 4.3.1"),
    ] {
        let house = plain();
        let mut peer = Peer::to_data(house.address);
        house.memory.mood(mood);
        peer.say("hi\r\n.\r\n");
        peer.expect(&[reply]);
        house.memory.mood(Mood::Keeps);
        peer.envelope();
        peer.say("hi\r\n.\r\nQUIT\r\n");
        peer.expect(&["250 2.0.0 queued", "221"]);
        drop(peer);
        assert_eq!(house.memory.kept().len(), 1);
        house.end();
    }
    let house = plain();
    house.memory.mood(Mood::NoRoom(full.clone()));
    let mut peer = Peer::to(house.address);
    peer.say("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nQUIT\r\n");
    peer.expect(&["220", "250-", "452 4.3.1", "503", "503", "221"]);
    let house = plain();
    house.memory.mood(Mood::NoDraft(full));
    let mut peer = Peer::to(house.address);
    peer.say("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    peer.expect(&["220", "250-", "250", "250", "452 4.3.1"]);
    peer.say("QUIT\r\n");
    peer.expect(&["221"]);
}
