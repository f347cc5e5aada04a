//! Conversations with hosts that are scripts, over real sockets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;
use crate::client::{Hop, Manner, Security};
use crate::config::{Config, TlsMode};
use crate::mail::Destination;
use crate::net::{Caps, Ledger, Sessions, Standing};
use crate::smtp::Domain;
use crate::time::{Deadline, clock};
use crate::tls::Outbound;

/// A host: `>` lines are said, others must be heard, as a prefix.
fn host(script: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(socket.try_clone().unwrap());
        for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
            match step.strip_prefix('>') {
                Some(say) => socket.write_all(format!("{}\r\n", say.trim()).as_bytes()).unwrap(),
                None => {
                    let mut line = String::new();
                    lines.read_line(&mut line).unwrap();
                    assert!(line.starts_with(step), "expected {step:?}, heard {line:?}");
                }
            }
        }
    });
    (address, thread)
}

fn deliver(
    script: &'static str,
    to: &[&str],
    body: &[u8],
    body_type: BodyType,
) -> (Vec<Fate>, Option<Trouble>) {
    let (address, thread) = host(script);
    let (freed, _wakes) = crossbeam_channel::bounded(1);
    let ledger = Ledger::new(Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 }, freed);
    let destination = Destination::parse("example.org").unwrap();
    let slot = ledger.try_acquire(&destination, Standing::New, 1).unwrap();
    let deadline = Deadline::within(clock::now(), Duration::from_secs(10));
    let session = Arc::new(Sessions::new().enter(&slot, clock::now(), &deadline));
    let mut timeouts = Config::default().timeouts;
    timeouts.dot = Duration::from_millis(300);
    let outbound = Arc::new(Outbound::new(&Config::default().tls).unwrap());
    let security = Security { mode: TlsMode::Off, implicit: false, outbound, credential: None };
    let manner = Arc::new(Manner { hostname: Domain::parse("relay.test").unwrap(), timeouts, security });
    let hop = Hop { name: "mx.example.org".into(), address };
    let mut client = Client::open(slot, &session, &hop, &manner, deadline).unwrap();
    let to: Vec<_> = to.iter().map(|to| Mailbox::parse(to).unwrap()).collect();
    let transacted = client.deliver(&Transaction {
        reverse_path: &ReversePath::parse("<a@relay.test>").unwrap(),
        body_type,
        recipients: &to.iter().collect::<Vec<_>>(),
        body: &Body::from_octets(body.to_vec()),
    });
    match transacted.trouble {
        None => client.quit(),
        Some(_) => drop(client.close()),
    }
    drop(session);
    thread.join().unwrap();
    assert_eq!(ledger.counts().total(), 0);
    (transacted.fates, transacted.trouble)
}

fn words(fates: &[Fate]) -> Vec<String> {
    let word = |fate: &Fate| match fate {
        Fate::Decided(Outcome::Delivered(_, reply)) => format!("delivered {reply}"),
        Fate::Decided(outcome) => {
            let failure = outcome.failure().unwrap();
            format!("{} {} {} {}", outcome.word(), failure.phase, failure.blame.word(), failure.status)
        }
        Fate::Follows => "follows".into(),
        Fate::Open => "open".into(),
    };
    fates.iter().map(word).collect()
}

const TWO: [&str; 2] = ["one@example.org", "two@example.org"];

#[test]
fn each_recipient_has_its_own_fate() {
    let script = "
        > 220 hi
        EHLO relay.test
        > 250 hi
        MAIL FROM:<a@relay.test>
        > 250 ok
        RCPT TO:<one@example.org>
        > 250 ok
        RCPT TO:<two@example.org>
        > 550 5.1.1 nobody
        DATA
        > 354 go
        hello
        ..dot
        .
        > 250 2.0.0 taken
        QUIT
        > 221 bye";
    let (fates, trouble) = deliver(script, &TWO, b"hello\r\n.dot\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["delivered 250 2.0.0 taken", "failed rcpt recipient 5.1.1"]);
    assert!(trouble.is_none());
}

#[test]
fn a_pipelined_group_is_one_write_and_size_is_said() {
    let script = "
        > 220 hi
        EHLO relay.test
        > 250-hi
        > 250-PIPELINING
        > 250-8BITMIME
        > 250 SIZE 1000
        MAIL FROM:<a@relay.test> SIZE=4 BODY=8BITMIME
        RCPT TO:<one@example.org>
        RCPT TO:<two@example.org>
        DATA
        > 250 ok
        > 250 ok
        > 452 4.5.3 too many
        > 354 go
        hi
        .
        > 250 taken
        QUIT
        > 221 bye";
    let (fates, _) = deliver(script, &TWO, b"hi\r\n", BodyType::EightBitMime);
    assert_eq!(words(&fates), ["delivered 250 taken", "follows"]);
}

#[test]
fn a_group_whose_recipients_all_failed_ends_empty() {
    let script = "
        > 220 hi
        EHLO
        > 250-hi
        > 250 PIPELINING
        MAIL
        RCPT
        RCPT
        DATA
        > 250 ok
        > 550 no
        > 450 4.2.1 later
        > 354 go
        .
        > 554 no valid recipients
        QUIT
        > 221 bye";
    let (fates, trouble) = deliver(script, &TWO, b"hi\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["failed rcpt recipient 5.0.0", "deferred rcpt recipient 4.2.1"]);
    assert!(trouble.is_none());
}

#[test]
fn a_refused_mail_concerns_everybody_and_the_group_is_left_in_step() {
    let script = "
        > 220 hi
        EHLO
        > 250-hi
        > 250 PIPELINING
        MAIL
        RCPT
        RCPT
        DATA
        > 550 5.7.1 not you
        > 503 no
        > 503 no
        > 503 no
        QUIT
        > 221 bye";
    let (fates, _) = deliver(script, &TWO, b"hi\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["failed mail message 5.7.1", "failed mail message 5.7.1"]);
}

#[test]
fn silence_after_the_final_dot_is_a_possible_duplicate() {
    let script = "
        > 220 hi
        EHLO
        > 502 what
        HELO
        > 250 hi
        MAIL
        > 250 ok
        RCPT
        > 250 ok
        DATA
        > 354 go
        hi
        .
        ";
    let (fates, trouble) = deliver(script, &TWO[..1], b"hi\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["deferred dot site 4.4.2"]);
    assert!(trouble.unwrap().failure.duplicate);
}

#[test]
fn a_421_ends_the_conversation_and_leaves_recipients_open() {
    let script = "
        > 220 hi
        EHLO
        > 250 hi
        MAIL
        > 250 ok
        RCPT
        > 421 4.3.2 going down";
    let (fates, trouble) = deliver(script, &TWO, b"hi\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["open", "open"]);
    let failure = trouble.unwrap().failure;
    assert_eq!((failure.blame, failure.phase, failure.duplicate), (Blame::Site, Phase::Rcpt, false));
}

#[test]
fn a_message_that_is_too_large_is_not_sent() {
    let script = "
        > 220 hi
        EHLO
        > 250-hi
        > 250 SIZE 3
        QUIT
        > 221 bye";
    let (fates, _) = deliver(script, &TWO[..1], b"hello\r\n", BodyType::SevenBit);
    assert_eq!(words(&fates), ["failed mail message 5.3.4"]);
}

#[test]
fn eight_bits_are_not_sent_where_they_are_not_taken() {
    let script = "
        > 220 hi
        EHLO
        > 250 hi
        QUIT
        > 221 bye";
    let (fates, _) = deliver(script, &TWO[..1], "h\u{e9}\r\n".as_bytes(), BodyType::EightBitMime);
    assert_eq!(words(&fates), ["failed mail message 5.6.3"]);
}
