//! The server's side of a session, without I/O (RFC 5321, 3 and 4.3.2).
//!
//! A line goes in, an [`Action`] comes out. The session knows where the conversation stands and what the client may do; it
//! holds no socket, reads no clock, and keeps no mail. What a client can make it keep is one envelope.

use crate::mail::{BodyType, Envelope};
use crate::smtp::{Command, EnhancedStatus, ForwardPath, Mailbox, Refusal, ReversePath};
use crate::time::Unix;

use super::{Policy, Proof, Response};

/// What to do about a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Say this, and hear the next command.
    Say(Response),
    /// The client wants to send data for this transaction. Say 354 and receive it, or say why not.
    Receive(Box<Transaction>),
    /// Say this, and close.
    Close(Response),
}

/// How the client introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Its name, printable ASCII without spaces.
    pub helo: String,
    /// With EHLO.
    pub esmtp: bool,
}

/// What MAIL and RCPT have said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    reverse_path: ReversePath,
    body_type: BodyType,
    recipients: Vec<Mailbox>,
}

impl Transaction {
    /// The recipients, in their order.
    pub fn recipients(&self) -> &[Mailbox] {
        &self.recipients
    }

    /// The reverse-path.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// The envelope of the message, accepted `now`.
    pub fn envelope(self, now: Unix) -> Envelope {
        let Transaction { reverse_path, body_type, recipients } = self;
        Envelope { reverse_path, body_type, recipients, accepted: now }
    }
}

const GREET_FIRST: Refusal = Refusal::new(503, 5, 1, "say EHLO first");
const NESTED: Refusal = Refusal::new(503, 5, 1, "a transaction is open, say RSET first");
const MAIL_FIRST: Refusal = Refusal::new(503, 5, 1, "say MAIL first");
const NO_RECIPIENTS: Refusal = Refusal::new(554, 5, 1, "no valid recipients");
const TOO_LARGE: Refusal = Refusal::new(552, 3, 4, "the message is larger than it may be");
const NO_RELAYING: Refusal = Refusal::new(550, 7, 1, "");
const TOO_MANY_RECIPIENTS: Refusal = Refusal::new(452, 5, 3, "too many recipients, send the rest later");
const NOT_OFFERED: Refusal = Refusal::new(502, 5, 1, "this command is not offered");
const BREAK_OFF: Refusal = Refusal::new(502, 5, 1, "BDAT is not offered, closing");
const NOT_HTTP: Refusal = Refusal::new(421, 7, 0, "this is no web server, closing");
const TOO_MANY_ERRORS: Refusal = Refusal::new(421, 7, 0, "too many errors, closing");
/// A line ended by LF alone is not executed: whoever reads line ends differently could hide commands from others.
const BARE_LF: Refusal = Refusal::new(500, 5, 2, "a command ends with CRLF");
const LONG_LINE: Refusal = Refusal::new(500, 5, 2, "the line is too long");

/// An address is mostly not of the client's making: it is refused, and not held against it.
const FORGIVEN: [EnhancedStatus; 3] =
    [EnhancedStatus::new(5, 1, 3), EnhancedStatus::new(5, 1, 7), EnhancedStatus::new(5, 6, 7)];

/// A session with one client.
#[derive(Debug)]
pub struct Session {
    policy: Policy,
    greeting: Option<Greeting>,
    transaction: Option<Box<Transaction>>,
    errors: u32,
}

impl Session {
    /// How many errors a client may make without a message accepted in between. A recipient that is refused for its
    /// address, or for being one too many, is no error: the rest of a long list must not suffer.
    pub const MOST_ERRORS: u32 = 20;

    /// A session under these rules.
    pub fn new(policy: Policy) -> Session {
        Session { policy, greeting: None, transaction: None, errors: 0 }
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How the client introduced itself, if it has.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// The first thing that is said.
    pub fn banner(&self) -> Response {
        Response::greeting(&self.policy.hostname)
    }

    /// A line without its CRLF.
    pub fn line(&mut self, line: &[u8]) -> Action {
        match Command::parse(line) {
            Ok(command) => self.command(command),
            Err(refusal) if FORGIVEN.contains(&refusal.status()) => Action::Say(refusal.into()),
            Err(refusal) => self.error(refusal),
        }
    }

    /// A line that was ended by LF alone; it is not executed.
    pub fn bare_lf(&mut self) -> Action {
        self.error(BARE_LF)
    }

    /// A line that was too long to be kept; it was skipped.
    pub fn long_line(&mut self) -> Action {
        self.error(LONG_LINE)
    }

    /// A line without an end.
    pub fn endless_line(&self) -> Action {
        Action::Close(LONG_LINE.into())
    }

    /// The data of a transaction has been taken in, and is durable.
    pub fn queued(&mut self, proof: &impl Proof) -> Response {
        self.errors = 0;
        Response::queued(proof)
    }

    fn command(&mut self, command: Command) -> Action {
        let hostname = &self.policy.hostname;
        Action::Say(match command {
            Command::Ehlo(helo) => {
                let response = Response::ehlo(hostname, self.policy.max_message_size);
                self.greet(helo, true);
                response
            }
            Command::Helo(helo) => {
                let response = Response::helo(hostname);
                self.greet(helo, false);
                response
            }
            Command::Mail { reverse_path, size, eight_bit } => {
                return self.mail(reverse_path, size, eight_bit);
            }
            Command::Rcpt(forward_path) => return self.rcpt(forward_path),
            Command::Data => return self.data(),
            Command::Rset => {
                self.transaction = None;
                Response::ok()
            }
            Command::Noop => Response::ok(),
            Command::Vrfy => Response::cannot_verify(),
            Command::Help => Response::help(),
            Command::Quit => return Action::Close(Response::bye(hostname)),
            Command::Expn | Command::StartTls | Command::Auth { .. } => return self.error(NOT_OFFERED),
            // What follows BDAT is not a command; to read it as one would be a way in.
            Command::Bdat => return Action::Close(BREAK_OFF.into()),
            Command::Http => return Action::Close(NOT_HTTP.into()),
        })
    }

    /// EHLO and HELO also end a transaction (RFC 5321, 4.1.4).
    fn greet(&mut self, helo: String, esmtp: bool) {
        self.greeting = Some(Greeting { helo, esmtp });
        self.transaction = None;
    }

    fn mail(&mut self, reverse_path: ReversePath, size: Option<u64>, eight_bit: bool) -> Action {
        if self.greeting.is_none() {
            return self.error(GREET_FIRST);
        }
        if self.transaction.is_some() {
            return self.error(NESTED);
        }
        if size.is_some_and(|size| size > self.policy.max_message_size) {
            return Action::Say(TOO_LARGE.into());
        }
        let body_type = if eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit };
        self.transaction = Some(Box::new(Transaction { reverse_path, body_type, recipients: Vec::new() }));
        Action::Say(Response::reverse_path_ok())
    }

    fn rcpt(&mut self, forward_path: ForwardPath) -> Action {
        let Some(transaction) = &mut self.transaction else {
            return self.error(MAIL_FIRST);
        };
        // The postmaster too: we keep no mailboxes, so his mail would be relayed as any other.
        if !self.policy.may_relay {
            let words = match &forward_path {
                ForwardPath::Mailbox(mailbox) => format!("relaying to <{mailbox}> is denied to you"),
                ForwardPath::Postmaster => "relaying is denied to you".to_owned(),
            };
            return self.error(NO_RELAYING.saying(words));
        }
        if transaction.recipients.len() >= self.policy.max_recipients {
            return Action::Say(TOO_MANY_RECIPIENTS.into());
        }
        transaction.recipients.push(match forward_path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => Mailbox::postmaster(self.policy.hostname.clone()),
        });
        Action::Say(Response::forward_path_ok())
    }

    fn data(&mut self) -> Action {
        match self.transaction.take() {
            None => self.error(MAIL_FIRST),
            Some(transaction) if transaction.recipients.is_empty() => {
                self.transaction = Some(transaction);
                self.error(NO_RECIPIENTS)
            }
            Some(transaction) => Action::Receive(transaction),
        }
    }

    fn error(&mut self, refusal: Refusal) -> Action {
        self.errors += 1;
        if self.errors < Self::MOST_ERRORS {
            return Action::Say(refusal.into());
        }
        Action::Close(TOO_MANY_ERRORS.into())
    }
}

#[cfg(test)]
mod tests {
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
            Action::Receive(_) => "data".into(),
            Action::Close(response) => start(&response) + "; close",
        }
    }

    fn dialogue(policy: Policy, lines: &[(&str, &str)]) {
        let mut session = Session::new(policy);
        for (n, (line, reply)) in lines.iter().enumerate() {
            assert_eq!(hear(&mut session, line), *reply, "line {n}: {line}");
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
            assert!(matches!(session.line(line.as_bytes()), Action::Say(_)));
        }
        let Action::Receive(transaction) = session.line(b"DATA") else { panic!("no data") };
        let envelope = transaction.envelope(Unix(7));
        let recipients: Vec<_> = envelope.recipients.iter().map(Mailbox::to_string).collect();
        assert_eq!(recipients, ["postmaster@relay.example", "d@e.f"]);
        assert_eq!((envelope.body_type, envelope.accepted), (BodyType::EightBitMime, Unix(7)));
        assert_eq!(envelope.reverse_path, ReversePath::NULL);
    }

    #[test]
    fn errors_end_a_session_bad_addresses_do_not() {
        let mut session = Session::new(policy());
        for _ in 1..Session::MOST_ERRORS {
            assert_eq!(hear(&mut session, "XYZZY"), "500 5.5.2");
        }
        assert!(matches!(session.bare_lf(), Action::Close(_)));
        let mut session = Session::new(policy());
        [HELLO, MAIL, RCPT, RCPT]
            .iter()
            .for_each(|(line, reply)| assert_eq!(hear(&mut session, line), *reply));
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
                }
            }
        }
    }
}
