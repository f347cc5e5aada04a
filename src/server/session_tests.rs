//! Sessions, line by line, without a socket.

use super::{Action, Policy, Response, Session};
use crate::config::{Config, KeyPair};
use crate::credentials::{Certificates, Gate, Source, UsersFile, Verdict, Verifier};
use crate::mail::BodyType;
use crate::smtp::{Domain, Mailbox, ReversePath};
use crate::time::Unix;
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
        Action::Receive(_) => "data".into(),
        Action::Begin(_) => start(&Response::reverse_path_ok()),
        Action::StartTls => "tls".into(),
        Action::Judge(claim) => format!("judge {}", claim.name),
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

/// A stranger at a house with a certificate and one user, ann, with the password "sesame".
fn guarded(line: &str) -> Policy {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    let certificate = file("certificate", &made.cert.pem());
    let key = file("key", &made.signing_key.serialize_pem());
    let tls = Certificates(vec![KeyPair { certificate, key }]).make().unwrap();
    let gate = Gate::open(UsersFile(Some(file("users", line)))).unwrap();
    Policy { tls, gate: Some(std::sync::Arc::new(gate)), may_relay: false, ..policy() }
}

fn scram_line() -> String {
    format!("ann:{}\n", Verifier::of(b"sesame", [7; 16]))
}

/// `openssl passwd -6 -salt saltsalt pencil`.
const CRYPT: &str = "bob:$6$saltsalt$rD9fW1BwIrjB90WCgCTdIQc3phTBhf04I6Iw/XlgKD9E9aEbzqGZipjiFxGo/4wWXDA6jV6/vZO.kKdDSfUJb0\n";

fn offered(session: &mut Session) -> String {
    match session.line(b"EHLO client") {
        Action::Say(response) => said(&response),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_said_in_the_clear_is_forgotten() {
    let mut session = Session::new(guarded(&scram_line()));
    let clear = offered(&mut session);
    assert!(clear.contains("STARTTLS") && !clear.contains("AUTH"), "{clear}");
    assert_eq!(hear(&mut session, "AUTH PLAIN AGFubgBzZXNhbWU="), "538 5.7.11");
    assert_eq!(hear(&mut session, MAIL.0), MAIL.1);
    assert_eq!(hear(&mut session, RCPT.0), "530 5.7.0");
    assert_eq!(hear(&mut session, "STARTTLS now"), "501 5.5.4");
    assert_eq!(hear(&mut session, "STARTTLS"), "tls");
    session.secured("TLSv1.3 X".into());
    assert!(session.greeting().is_none() && session.tls() == Some("TLSv1.3 X"));
    assert_eq!(hear(&mut session, RCPT.0), "503 5.5.1");
    assert_eq!(hear(&mut session, "AUTH PLAIN AGFubgBzZXNhbWU="), "503 5.5.1");
    let secure = offered(&mut session);
    assert!(
        !secure.contains("STARTTLS") && secure.contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"),
        "{secure}"
    );
    assert_eq!(hear(&mut session, "STARTTLS"), "503 5.5.1");
}

fn secured(policy: Policy) -> Session {
    let mut session = Session::new(policy);
    session.secured("TLSv1.3 X".into());
    offered(&mut session);
    session
}

/// Judges the claim of this line.
fn judged(session: &mut Session, line: &str, verdict: Verdict) -> String {
    let Action::Judge(claim) = session.line(line.as_bytes()) else { panic!("no claim in {line}") };
    match session.judged(*claim, verdict) {
        Action::Say(response) => said(&response),
        Action::Close(response) => said(&response) + "close",
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_authenticates_may_relay() {
    let mut session = secured(guarded(&scram_line()));
    assert_eq!(hear(&mut session, MAIL.0), MAIL.1);
    assert_eq!(hear(&mut session, "AUTH PLAIN"), "503 5.5.1");
    assert_eq!(hear(&mut session, "RSET"), "250 2.0.0");
    assert_eq!(hear(&mut session, "AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
    assert!(session.awaits_response());
    assert_eq!(hear(&mut session, "YW5u"), "334 UGFzc3dvcmQ6\r\n");
    assert!(judged(&mut session, "c2VzYW1l", Verdict::True).starts_with("235 2.7.0"));
    assert_eq!(session.user(), Some("ann"));
    assert_eq!(hear(&mut session, "AUTH PLAIN AGFubgBzZXNhbWU="), "503 5.5.1");
    assert!(!offered(&mut session).contains("AUTH"));
    assert_eq!(hear(&mut session, MAIL.0), MAIL.1);
    assert_eq!(hear(&mut session, RCPT.0), RCPT.1);
    // TLS after AUTH, where AUTH is allowed in the clear, starts from nothing.
    let mut session = Session::new(Policy { auth_in_clear: true, ..guarded(&scram_line()) });
    assert!(offered(&mut session).contains("AUTH SCRAM"));
    judged(&mut session, "AUTH PLAIN AGFubgBzZXNhbWU=", Verdict::True);
    assert_eq!(session.user(), Some("ann"));
    session.secured(String::new());
    assert_eq!(session.user(), None);
}

#[test]
fn an_exchange_that_fails_leaves_nothing() {
    let mut session = secured(guarded(&scram_line()));
    for (line, reply) in [
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("AUTH PLAIN !", "501 5.5.2"),
        ("AUTH PLAIN =", "501 5.5.2"),
        ("AUTH PLAIN", "334 \r\n"),
        ("*", "501 5.7.0"),
        ("AUTH PLAIN", "334 \r\n"),
        ("NOOP", "501 5.5.2"),
        ("NOOP", "250 2.0.0"),
        ("AUTH SCRAM-SHA-256 cCw=", "501 5.5.2"),
        ("AUTH SCRAM-SHA-256", "334 \r\n"),
    ] {
        assert_eq!(hear(&mut session, line), reply, "{line}");
    }
    assert!(matches!(session.long_line(), Action::Say(_)) && !session.awaits_response());
    let plain = "AUTH PLAIN AGFubgBzZXNhbWU=";
    assert!(judged(&mut session, plain, Verdict::Busy).starts_with("454 4.7.0"));
    let wrong = Verdict::False(std::time::Duration::ZERO);
    for _ in 0..2 {
        assert!(judged(&mut session, plain, wrong).starts_with("535 5.7.8"));
        assert_eq!(hear(&mut session, RCPT.0), "503 5.5.1");
    }
    let last = judged(&mut session, plain, wrong);
    assert!(last.starts_with("421 4.7.0") && last.ends_with("close") && session.user().is_none());
    let barred = judged(&mut secured(guarded(&scram_line())), plain, Verdict::TooOften);
    assert!(barred.starts_with("421 4.7.0") && barred.ends_with("close"), "{barred}");
}

#[test]
fn scram_is_offered_when_everybody_can_use_it() {
    let mut session = secured(guarded(&(scram_line() + CRYPT)));
    assert!(offered(&mut session).contains("250-AUTH PLAIN LOGIN\r\n"));
    assert_eq!(hear(&mut session, "AUTH SCRAM-SHA-256"), "504 5.5.4");
    // Without users, nothing is offered.
    let mut session = secured(Policy { gate: None, ..policy() });
    assert!(!offered(&mut session).contains("AUTH"));
    assert_eq!(hear(&mut session, "AUTH PLAIN"), "502 5.5.1");
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
        assert!(matches!(session.line(b"MAIL FROM:<a@b.c> SIZE=500"), Action::Begin(500)));
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
                Action::Say(response) => prop_assert!((200..600).contains(&response.code())),
                Action::Close(response) => prop_assert_eq!(response.code(), 421),
                Action::Begin(octets) => prop_assert_eq!(octets, 0),
                Action::StartTls | Action::Judge(_) => prop_assert!(false, "neither is offered"),
            }
        }
    }
}
