//! Commands in and out of order, without a socket.

use super::*;
use crate::config::Config;
use crate::smtp::Domain;
use proptest::prelude::*;

fn policy() -> Policy {
    let mut policy = Policy::of(&Config::default(), [127, 0, 0, 1].into());
    policy.hostname = Domain::parse("relay.example").unwrap();
    (policy.max_recipients, policy.max_message_size) = (2, 1000);
    policy
}

fn said(response: &Response) -> String {
    let mut out = Vec::new();
    response.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// What is said to one line, as its first word or two; `data` when data would be received, `...; close`.
fn hear(session: &mut Session, line: &str) -> String {
    let start = |response: &Response| {
        let said = said(response);
        said.split([' ', '-']).take(2).collect::<Vec<_>>().join(" ")
    };
    match session.line(line.as_bytes()) {
        Action::Say(response) => start(&response),
        Action::Begin(_) => start(&Response::reverse_path_ok()),
        Action::Receive(_) => "data".into(),
        Action::Close(response) => start(&response) + "; close",
    }
}

fn dialogue(policy: Policy, lines: &[(&str, &str)]) {
    dialogue_on(&mut Session::new(policy), lines);
}

fn dialogue_on(session: &mut Session, lines: &[(&str, &str)]) {
    for (n, (line, reply)) in lines.iter().enumerate() {
        assert_eq!(hear(session, line), *reply, "line {n}: {line}");
    }
}

const HELLO: (&str, &str) = ("EHLO client", "250 relay.example\r\n250");
const MAIL: (&str, &str) = ("MAIL FROM:<a@b.c>", "250 2.1.0");
const RCPT: (&str, &str) = ("RCPT TO:<d@e.f>", "250 2.1.5");

#[test]
fn commands_in_order_lead_to_data() {
    dialogue(policy(), &[HELLO, MAIL, RCPT, RCPT, ("DATA", "data"), MAIL, RCPT, ("DATA", "data")]);
    dialogue(policy(), &[("HELO client", "250 relay.example\r\n"), MAIL, RCPT, ("DATA", "data")]);
}

#[test]
fn commands_out_of_order_are_told_so() {
    dialogue(
        policy(),
        &[
            ("MAIL FROM:<a@b.c>", "503 5.5.1"),
            HELLO,
            ("RCPT TO:<d@e.f>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            MAIL,
            ("MAIL FROM:<a@b.c>", "503 5.5.1"),
            ("DATA", "554 5.5.1"),
            RCPT,
            ("DATA", "data"),
            ("DATA", "503 5.5.1"),
            MAIL,
            ("RSET", "250 2.0.0"),
            ("RCPT TO:<d@e.f>", "503 5.5.1"),
            MAIL,
            HELLO,
            MAIL,
        ],
    );
}

#[test]
fn what_we_do_not_take_is_refused() {
    dialogue(
        policy(),
        &[
            HELLO,
            ("MAIL FROM:<a@b.c> SIZE=1001", "552 5.3.4"),
            ("MAIL FROM:<a@b.c> SIZE=1000", "250 2.1.0"),
            RCPT,
            ("RCPT TO:<Postmaster>", "250 2.1.5"),
            ("RCPT TO:<d@e.f>", "452 4.5.3"),
            ("VRFY d", "252 2.5.0"),
            ("EXPN d", "502 5.5.1"),
            ("STARTTLS", "502 5.5.1"),
            ("AUTH PLAIN =", "502 5.5.1"),
            ("HELP", "214 2.0.0"),
            ("NOOP", "250 2.0.0"),
            ("QUIT", "221 2.0.0; close"),
        ],
    );
    dialogue(policy(), &[("BDAT 9 LAST", "502 5.5.1; close")]);
    dialogue(policy(), &[("POST / HTTP/1.1", "421 4.7.0; close")]);
}

#[test]
fn a_stranger_may_not_relay_not_even_to_the_postmaster() {
    let stranger = Policy { may_relay: false, ..policy() };
    let denied = |line| (line, "550 5.7.1");
    let lines = [denied("RCPT TO:<d@e.f>"), denied("RCPT TO:<postmaster>")];
    dialogue(stranger, &[HELLO, MAIL, lines[0], lines[1], ("DATA", "554 5.5.1")]);
}

#[test]
fn the_postmaster_is_ours_and_the_envelope_keeps_its_order() {
    let mut session = Session::new(policy());
    for line in ["EHLO x", "MAIL FROM:<> BODY=8BITMIME", "RCPT TO:<postmaster>", "RCPT TO:<d@e.f>"] {
        assert!(matches!(session.line(line.as_bytes()), Action::Say(_) | Action::Begin(_)));
    }
    let Action::Receive(transaction) = session.line(b"DATA") else { panic!("no data") };
    let envelope = transaction.envelope(Unix(7));
    let recipients: Vec<_> = envelope.recipients.iter().map(Mailbox::to_string).collect();
    assert_eq!(recipients, ["postmaster@relay.example", "d@e.f"]);
    assert_eq!((envelope.body_type, envelope.accepted), (BodyType::EightBitMime, Unix(7)));
    assert_eq!(envelope.reverse_path, ReversePath::NULL);
}

#[test]
fn what_follows_a_transaction_for_which_there_is_no_room_is_no_error() {
    let mut session = Session::new(policy());
    assert_eq!(hear(&mut session, HELLO.0), HELLO.1);
    for _ in 0..Session::MOST_ERRORS {
        assert_eq!(session.line(b"MAIL FROM:<a@b.c> SIZE=500"), Action::Begin(500));
        session.no_room();
        assert_eq!(hear(&mut session, RCPT.0), "503 5.5.1");
        assert_eq!(hear(&mut session, "DATA"), "503 5.5.1");
    }
    dialogue_on(&mut session, &[MAIL, RCPT, ("DATA", "data")]);
}

#[test]
fn errors_end_a_session_bad_addresses_do_not() {
    let mut session = Session::new(policy());
    for _ in 1..Session::MOST_ERRORS {
        assert_eq!(hear(&mut session, "XYZZY"), "500 5.5.2");
    }
    assert!(matches!(session.bare_lf(), Action::Close(_)));
    let mut session = Session::new(policy());
    [HELLO, MAIL, RCPT, RCPT].iter().for_each(|(line, reply)| assert_eq!(hear(&mut session, line), *reply));
    for _ in 0..100 {
        assert_eq!(hear(&mut session, "RCPT TO:<.@e.f>"), "501 5.1.3");
        assert_eq!(hear(&mut session, "RCPT TO:<d@e.f>"), "452 4.5.3");
    }
}

proptest! {
    #[test]
    fn data_is_only_received_for_somebody(order in prop::collection::vec(0usize..11, 0..80)) {
        let lines: [&[u8]; 11] = [
            b"EHLO a", b"HELO a", b"MAIL FROM:<>", b"MAIL FROM:<a@b.c> SIZE=2000", b"RCPT TO:<a@b.c>", b"DATA",
            b"RSET", b"NOOP", b"AUTH", b"", b"\xff\0",
        ];
        let mut session = Session::new(policy());
        for n in order {
            match session.line(lines[n]) {
                Action::Receive(transaction) => prop_assert!((1..=2).contains(&transaction.recipients().len())),
                Action::Begin(octets) => prop_assert_eq!(octets, 0),
                Action::Say(response) => prop_assert!((200..600).contains(&response.code())),
                Action::Close(response) => prop_assert_eq!(response.code(), 421),
            }
        }
    }
}
