//! The server's side of a session, without I/O (RFC 5321, 3 and 4.3.2).
//!
//! A line goes in, an [`Action`] comes out. The session knows where the conversation stands and what the client may do; it
//! holds no socket, reads no clock, and keeps no mail. What a client can make it keep is one envelope.

use crate::credentials::{Claim, Verdict};
use crate::mail::{BodyType, Envelope};
use crate::smtp::{Command, EnhancedStatus, ForwardPath, Mailbox, Refusal, ReversePath, Secret};
use crate::time::Unix;

use super::authentication::Authentication;
use super::{Policy, Proof, Response};

/// What to do about a command.
#[derive(Debug)]
pub enum Action {
    /// Say this, and hear the next command.
    Say(Response),
    /// A transaction begins, for a message of so many octets as far as the client has said. Say that its reverse-path is fine,
    /// or that there is no room, after [`Session::no_room`].
    Begin(u64),
    /// The client wants to send data for this transaction. Say 354 and receive it, or say why not.
    Receive(Box<Transaction>),
    /// Begin TLS, and tell [`Session::secured`].
    StartTls,
    /// Find out whether this is true, and tell [`Session::judged`].
    Judge(Box<Claim>),
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
const AUTH_FIRST: Refusal = Refusal::new(530, 7, 0, "authentication is needed to relay");
const SECURE_FIRST: Refusal = Refusal::new(538, 7, 11, "AUTH needs TLS: say STARTTLS first");
const SECURED: Refusal = Refusal::new(503, 5, 1, "TLS has begun already");
const AUTHENTICATED: Refusal = Refusal::new(503, 5, 1, "you are authenticated already");
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
    /// Version and cipher, when there is TLS.
    tls: Option<String>,
    authentication: Authentication,
    errors: u32,
    /// The last transaction was refused for want of room.
    is_unwelcome: bool,
}

impl Session {
    /// How many errors a client may make without a message accepted in between. A recipient that is refused for its
    /// address, or for being one too many, is no error: the rest of a long list must not suffer.
    pub const MOST_ERRORS: u32 = 20;

    /// A session under these rules.
    pub fn new(policy: Policy) -> Session {
        let (greeting, transaction, tls) = (None, None, None);
        let authentication = Authentication::default();
        Session { policy, greeting, transaction, tls, authentication, errors: 0, is_unwelcome: false }
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How the client introduced itself, if it has.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref()
    }

    /// Version and cipher, when there is TLS.
    pub fn tls(&self) -> Option<&str> {
        self.tls.as_deref()
    }

    /// As whom the client has authenticated.
    pub fn user(&self) -> Option<&str> {
        self.authentication.user()
    }

    /// Whether the next line is a response of AUTH, and no command.
    pub fn awaits_response(&self) -> bool {
        self.authentication.awaits_response()
    }

    /// TLS has begun, with `terms`, its version and cipher. What was said in the clear, anybody may have said: it is
    /// forgotten (RFC 3207, 4.2).
    pub fn secured(&mut self, terms: String) {
        (self.greeting, self.transaction, self.tls) = (None, None, Some(terms));
        self.authentication = Authentication::default();
    }

    /// What is said to a claim.
    pub fn judged(&mut self, claim: Claim, verdict: Verdict) -> Action {
        self.authentication.judged(claim, verdict)
    }

    /// The first thing that is said.
    pub fn banner(&self) -> Response {
        Response::greeting(&self.policy.hostname)
    }

    /// A line without its CRLF.
    pub fn line(&mut self, line: &[u8]) -> Action {
        if self.awaits_response() {
            return self.response(line);
        }
        match Command::parse(line) {
            Ok(command) => self.command(command),
            Err(refusal) if FORGIVEN.contains(&refusal.status()) => Action::Say(refusal.into()),
            Err(refusal) => self.error(refusal),
        }
    }

    /// A line that was ended by LF alone; it is not executed.
    pub fn bare_lf(&mut self) -> Action {
        self.authentication.cancel();
        self.error(BARE_LF)
    }

    /// A line that was too long to be kept; it was skipped.
    pub fn long_line(&mut self) -> Action {
        self.authentication.cancel();
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

    /// The transaction that has just begun is over: there is no room for its message. What a pipelining client has sent with
    /// it is no error of the client's.
    pub fn no_room(&mut self) {
        self.transaction = None;
        self.is_unwelcome = true;
    }

    fn command(&mut self, command: Command) -> Action {
        let hostname = &self.policy.hostname;
        Action::Say(match command {
            Command::Ehlo(helo) => {
                let tls = self.policy.tls.is_some() && self.tls.is_none();
                let auth = self.policy.gate.as_ref().filter(|_| self.can_authenticate());
                let mechanisms = auth.map(|gate| Authentication::mechanisms(gate)).unwrap_or_default();
                let response = Response::ehlo(hostname, self.policy.max_message_size, tls, &mechanisms);
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
            Command::StartTls => return self.start_tls(),
            Command::Auth { mechanism, initial } => return self.auth(&mechanism, initial),
            Command::Expn => return self.error(NOT_OFFERED),
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

    fn start_tls(&mut self) -> Action {
        match (&self.policy.tls, &self.tls) {
            (_, Some(_)) => self.error(SECURED),
            (None, None) => self.error(NOT_OFFERED),
            (Some(_), None) => Action::StartTls,
        }
    }

    /// Whether AUTH would be heard: a password is not to be said in the clear.
    fn can_authenticate(&self) -> bool {
        let safe = self.tls.is_some() || self.policy.auth_in_clear;
        self.policy.gate.is_some() && safe && self.user().is_none()
    }

    /// Once in a session, and not in a transaction (RFC 4954, 4).
    fn auth(&mut self, mechanism: &str, initial: Option<Secret>) -> Action {
        let Some(gate) = self.policy.gate.clone() else { return self.error(NOT_OFFERED) };
        if !self.greeting.as_ref().is_some_and(|greeting| greeting.esmtp) {
            return self.error(GREET_FIRST);
        }
        if self.user().is_some() {
            return self.error(AUTHENTICATED);
        }
        if self.transaction.is_some() {
            return self.error(NESTED);
        }
        if !self.can_authenticate() {
            return self.error(SECURE_FIRST);
        }
        let begun = self.authentication.begin(&gate, mechanism, initial);
        begun.unwrap_or_else(|refusal| self.error(refusal))
    }

    fn response(&mut self, line: &[u8]) -> Action {
        let Some(gate) = self.policy.gate.clone() else { return self.error(NOT_OFFERED) };
        let said = self.authentication.respond(&gate, line);
        said.unwrap_or_else(|refusal| self.error(refusal))
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
        self.is_unwelcome = false;
        Action::Begin(size.unwrap_or(0))
    }

    fn rcpt(&mut self, forward_path: ForwardPath) -> Action {
        let Some(transaction) = &mut self.transaction else {
            return self.mail_first();
        };
        // The postmaster too: we keep no mailboxes, so his mail would be relayed as any other.
        if !self.policy.may_relay && self.authentication.user().is_none() {
            if self.policy.gate.is_some() {
                return self.error(AUTH_FIRST);
            }
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
            None => self.mail_first(),
            Some(transaction) if transaction.recipients.is_empty() => {
                self.transaction = Some(transaction);
                self.error(NO_RECIPIENTS)
            }
            Some(transaction) => Action::Receive(transaction),
        }
    }

    fn mail_first(&mut self) -> Action {
        if self.is_unwelcome { Action::Say(MAIL_FIRST.into()) } else { self.error(MAIL_FIRST) }
    }

    fn error(&mut self, refusal: Refusal) -> Action {
        self.errors += 1;
        if self.errors < Self::MOST_ERRORS {
            return Action::Say(refusal.into());
        }
        Action::Close(TOO_MANY_ERRORS.into())
    }
}
