//! The conversation with one client over its stream: a [`Session`] with a socket around it.
//!
//! Every wait has an end: a command and a block of data may take `patience`, data has a minimum rate, the session a limit.
//! Replies to pipelined commands leave in one write (RFC 2920, 3.2). What follows DATA before its 354 is refused and the
//! connection closed: had DATA failed, the client's message would have been read as commands. RFC 2920, 3.1 demands that a
//! client waits there, and Exim has enforced it for two decades.
//!
//! Nothing is acknowledged but what a [`Proof`](super::Proof) stands for.

use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use log::{Level, info, log};

use super::input::{Heard, Input};
use super::intake::Intake;
use super::{Action, Draft, Policy, Presence, Proof, Reception, Response, Session, Transaction};
use crate::mail::{Envelope, Protocol, QueueId, Received};
use crate::metrics::METRICS;
use crate::net::{SecureError, Stream, StreamError, Wire};
use crate::smtp::{DotReader, Fault, Refusal};
use crate::time::{Deadline, Expired, Limit, clock};

/// The log's target for all of the server.
pub(super) const LOG: &str = "sendoff::server";
/// How long a client may take to hear our last words and to close.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long we wait for the true end of data that seems over to a client with other line ends than ours.
const SEEMS_OVER: Duration = Duration::from_secs(5);
/// Replies are kept together up to so many octets.
const MOST_REPLIES: usize = 16 * 1024;

const TIMED_OUT: Refusal = Refusal::new(421, 4, 2, "timed out, closing");
const SHUTTING_DOWN: Refusal = Refusal::new(421, 3, 2, "shutting down, try again later");
const UNSYNCHRONISED: Refusal = Refusal::new(554, 5, 0, "input before the reply to DATA, closing");

/// How a conversation ended.
#[derive(Debug)]
pub enum Ending {
    /// We closed it with these words: the reply to QUIT, or a refusal.
    Said(Response),
    /// We waited to the end of a limit.
    Expired(Expired),
    /// There was no TLS handshake: it failed, or was not over in time.
    Insecure(SecureError),
    /// The stream ended under us.
    Lost(StreamError),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Said(response) => write!(f, "closed with \"{response}\""),
            Ending::Expired(expired) => expired.fmt(f),
            Ending::Insecure(error) => write!(f, "TLS handshake: {error}"),
            Ending::Lost(error) => error.fmt(f),
        }
    }
}

/// Speaks with the client at `client` until one side ends it. Returns when the stream is closed, at the latest after
/// `policy.session` and the last words.
pub fn converse<R: Reception>(
    stream: Stream,
    client: IpAddr,
    policy: Policy,
    reception: &R,
    presence: &Presence,
) -> Ending {
    let mut conversation = Conversation {
        wire: Wire::clear(stream),
        client,
        input: Input::new(),
        out: Vec::new(),
        message: Vec::new(),
        session: Session::new(policy),
        reception,
        presence,
    };
    let Err(ending) = conversation.run();
    let level = match &ending {
        // The end of idle clients and of those who said QUIT is chatter too.
        Ending::Said(response) if response.code() >= 400 => Level::Info,
        Ending::Insecure(_) => Level::Info,
        _ => Level::Debug,
    };
    log!(target: LOG, level, "client=[{client}] {ending}");
    conversation.part(&ending);
    ending
}

/// What never is: a conversation only returns by its ending.
enum Never {}

pub(super) struct Conversation<'a, R> {
    pub(super) wire: Wire,
    pub(super) client: IpAddr,
    pub(super) input: Input,
    out: Vec<u8>,
    /// The octets of the message between the dots and the draft; kept for its allocation.
    message: Vec<u8>,
    pub(super) session: Session,
    reception: &'a R,
    presence: &'a Presence,
}

impl<R: Reception> Conversation<'_, R> {
    fn run(&mut self) -> Result<Never, Ending> {
        let now = clock::now();
        *self.wire.stream().deadline() = Deadline::within(now, self.session.policy().session);
        self.stay()?;
        if self.session.policy().tls_first {
            self.secure()?;
        }
        self.say(&self.session.banner())?;
        self.await_command();
        loop {
            let action = match self.input.line(self.session.awaits_response()) {
                Heard::Line(line) => self.session.line(line),
                Heard::BareLf => self.session.bare_lf(),
                Heard::TooLong => self.session.long_line(),
                Heard::Endless => self.session.endless_line(),
                Heard::Nothing => {
                    self.flush()?;
                    self.stay()?;
                    self.fill()?;
                    continue;
                }
            };
            self.input.wipe();
            self.stay()?;
            match action {
                Action::Say(response) => self.say(&response)?,
                Action::Begin(octets) => self.begin(octets)?,
                Action::Receive(transaction) => self.receive(*transaction)?,
                Action::StartTls => self.start_tls()?,
                Action::Judge(claim) => self.judge(*claim)?,
                Action::Close(response) => return Err(Ending::Said(response)),
            }
            self.await_command();
        }
    }

    /// The limit of a command begins anew; within it, a client that sends octet by octet gains nothing.
    fn await_command(&mut self) {
        let patience = self.session.policy().patience;
        self.wire.stream().deadline().enter(clock::now(), patience);
    }

    /// The wait for the commit was ours, not the client's: its answer may leave even if the session's time is over, since a
    /// client that does not hear it sends the message again.
    fn await_answer(&mut self) {
        self.await_command();
        let (now, deadline) = (clock::now(), self.wire.stream().deadline());
        if deadline.ends().0 < now + LAST_WORDS {
            *deadline = Deadline::within(now, LAST_WORDS);
        }
    }

    fn stay(&self) -> Result<(), Ending> {
        if self.presence.must_leave() { Err(Ending::Said(SHUTTING_DOWN.into())) } else { Ok(()) }
    }

    pub(super) fn say(&mut self, response: &Response) -> Result<(), Ending> {
        // A refusal is a decision somebody may ask about; replies to bad grammar, and good ones, are chatter.
        let level = match response.code() {
            400..500 | 505.. => Level::Info,
            _ => Level::Debug,
        };
        let helo = self.session.greeting().map_or("", |greeting| &greeting.helo);
        log!(target: LOG, level, "client=[{}] helo={helo} said=\"{response}\"", self.client);
        METRICS.refused(response.code());
        response.write(&mut self.out);
        if self.out.len() > MOST_REPLIES { self.flush() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> Result<(), Ending> {
        let written = self.wire.write_all(&self.out);
        self.out.clear();
        written.map_err(|error| Ending::Lost(error.into()))
    }

    fn fill(&mut self) -> Result<usize, Ending> {
        self.input.fill(&mut self.wire).map_err(|error| self.ended(error))
    }

    /// What the end of the stream means.
    pub(super) fn ended(&self, error: StreamError) -> Ending {
        match error {
            // Our own request to leave ends the reading side.
            StreamError::Closed if self.presence.must_leave() => Ending::Said(SHUTTING_DOWN.into()),
            StreamError::Expired(expired) if expired.0 != Limit::Shutdown => Ending::Expired(expired),
            error => Ending::Lost(error),
        }
    }

    /// The reply to MAIL.
    fn begin(&mut self, octets: u64) -> Result<(), Ending> {
        match self.reception.room(octets) {
            Ok(()) => self.say(&Response::reverse_path_ok()),
            Err(refusal) => {
                self.session.no_room();
                self.say(&refusal.into())
            }
        }
    }

    /// From DATA to the reply to the final dot.
    fn receive(&mut self, transaction: Transaction) -> Result<(), Ending> {
        if !self.input.unread().is_empty() {
            return Err(Ending::Said(UNSYNCHRONISED.into()));
        }
        let presence = self.presence;
        let Some(_receiving) = presence.receive() else {
            return Err(Ending::Said(SHUTTING_DOWN.into()));
        };
        let draft = match self.reception.draft() {
            Ok(draft) => draft,
            Err(refusal) => {
                info!(target: LOG, "{}: refused, {refusal}", self.describe(&transaction));
                return self.say(&refusal.into());
            }
        };
        self.say(&Response::send_data())?;
        self.flush()?;
        let line = self.describe(&transaction);
        let envelope = transaction.envelope(clock::unix());
        let trace = self.trace(draft.id(), &envelope);
        let mut intake = Intake::begin(draft, &trace, self.session.policy());
        let fault = self.data(&mut intake)?;

        let (octets, patience) = (intake.octets(), self.session.policy().patience);
        match intake.commit(envelope, patience) {
            Ok(accepted) => {
                info!(target: LOG, "id={} {line} size={octets} event=accepted", accepted.id());
                let response = self.session.queued(&accepted);
                self.await_answer();
                self.say(&response)?;
                // The receipt leaves before anything else can go wrong.
                self.flush()
            }
            Err(refusal) => {
                info!(target: LOG, "{line} size={octets}: refused, {refusal}");
                self.await_answer();
                if fault == Some(Fault::BareLineEnd) {
                    return Err(Ending::Said(refusal.into()));
                }
                self.say(&refusal.into())
            }
        }
    }

    /// Reads the data to its end.
    fn data(&mut self, intake: &mut Intake<R::Draft>) -> Result<Option<Fault>, Ending> {
        let mut reader = DotReader::default();
        self.begin_data();
        loop {
            self.message.clear();
            let unread = self.input.unread();
            let end = reader.push(unread, &mut self.message);
            let used = end.unwrap_or(unread.len());
            match reader.fault() {
                None => intake.push(&self.message),
                Some(fault) => intake.condemned(used, fault),
            }
            self.input.take(used);
            if end.is_some() {
                return Ok(reader.fault());
            }
            if let Some(refusal) = intake.overrun() {
                return Err(Ending::Said(refusal.into()));
            }
            let patience = self.session.policy().patience;
            let seems_over = reader.seems_over();
            if seems_over {
                self.wire.stream().deadline().enter(clock::now(), SEEMS_OVER.min(patience));
            }
            match self.fill() {
                Ok(_) if seems_over => self.begin_data(),
                Ok(octets) => self.wire.stream().deadline().progress(clock::now(), octets, patience),
                // It waits for our reply; there will be no other end.
                Err(Ending::Expired(_)) if seems_over => return Ok(reader.fault()),
                Err(ending) => return Err(ending),
            }
        }
    }

    fn begin_data(&mut self) {
        let (patience, rate) = (self.session.policy().patience, self.session.policy().min_data_rate);
        let (now, deadline) = (clock::now(), self.wire.stream().deadline());
        deadline.enter(now, patience);
        deadline.demand(now, rate, patience);
    }

    /// The `Received:` field of a message that is about to come.
    fn trace(&self, id: QueueId, envelope: &Envelope) -> String {
        let greeting = self.session.greeting();
        let (tls, user) = (self.session.tls(), self.session.user());
        let protocol = match greeting.is_some_and(|greeting| greeting.esmtp) {
            true => Protocol::esmtp(tls.is_some(), user.is_some()),
            false => Protocol::Smtp,
        };
        let (helo, hostname) =
            (greeting.map_or("", |greeting| &greeting.helo), &self.session.policy().hostname);
        Received { helo, client: self.client, hostname, protocol, tls, id }.field(envelope)
    }

    /// The keys of a log line about a message.
    fn describe(&self, transaction: &Transaction) -> String {
        let helo = self.session.greeting().map_or("", |greeting| &greeting.helo);
        let (from, rcpts) = (transaction.reverse_path(), transaction.recipients().len());
        let user = self.session.user().map(|user| format!(" user=\"{}\"", user.escape_debug()));
        let user = user.unwrap_or_default();
        format!("client=[{}] helo={helo}{user} from=<{from}> rcpts={rcpts}", self.client)
    }

    /// Says the last words and closes so that they are read: to close with input unread would reset the connection, and
    /// what is on its way to the client would be lost.
    fn part(mut self, ending: &Ending) {
        let response = match ending {
            Ending::Said(response) => response.clone(),
            Ending::Expired(_) => TIMED_OUT.into(),
            Ending::Insecure(SecureError::Tls(_)) => return self.part_insecure(),
            // Nobody is there to hear, or somebody who does not listen.
            Ending::Insecure(_) | Ending::Lost(_) => return self.wire.stream().abort(),
        };
        METRICS.refused(response.code());
        *self.wire.stream().deadline() = Deadline::within(clock::now(), LAST_WORDS);
        response.write(&mut self.out);
        if self.flush().is_err() {
            return self.wire.stream().abort();
        }
        self.close();
    }

    /// The alert that says what is wrong with the client's handshake is on its way.
    fn part_insecure(&mut self) {
        *self.wire.stream().deadline() = Deadline::within(clock::now(), LAST_WORDS);
        self.close();
    }

    fn close(&mut self) {
        self.wire.farewell();
        self.wire.stream().shutdown_write();
        // Ends by the deadline, whatever the client does.
        self.message.resize(16 * 1024, 0);
        while matches!(self.wire.stream().read(&mut self.message), Ok(read) if read > 0) {}
    }
}
