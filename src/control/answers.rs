//! The answers: asked of the spool, the scheduler, the ledger and the session table themselves, so that what the operator
//! sees is what decides.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::RwLock;

use super::protocol::{
    Answer, Connections, Last, Queue, QueuedMessage, QueuedRecipient, Request, Seats, SessionRow,
};
use crate::config::Config;
use crate::delivery::Arrival;
use crate::mail::{Destination, QueueId};
use crate::net::{Addresses, Ledger, SessionView, Sessions, Standing};
use crate::scheduler::{Scheduler, WhyNot};
use crate::spool::{Listed, ListedRecipient, Spool, SpoolError};
use crate::time::{Unix, clock};

/// Exit codes of sysexits(3).
pub(super) mod exit {
    pub(in crate::control) const DATAERR: u8 = 65;
    pub(in crate::control) const SOFTWARE: u8 = 70;
    pub(in crate::control) const TEMPFAIL: u8 = 75;
}

/// Whom the door asks.
pub struct Answers {
    /// The spool.
    pub spool: Arc<Spool>,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The session table.
    pub sessions: Arc<Sessions>,
    /// What is known of addresses.
    pub addresses: Arc<Addresses>,
    /// The settings in force.
    pub config: Arc<RwLock<Arc<Config>>>,
    /// To the scheduler: mail that has become durable.
    pub arrivals: Sender<Arrival>,
}

impl Answers {
    /// The most messages on one page.
    const PAGE: usize = 1000;

    /// Answers a question.
    pub fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::Queue { after, limit, destination } => {
                let answer = self.queue(after.as_deref(), *limit, destination.as_deref());
                answer.unwrap_or_else(|(exit, reason)| Answer::Error { exit, reason })
            }
            Request::Connections => Answer::Connections(self.connections()),
            Request::Overview => match self.overview() {
                Ok(overview) => Answer::Overview(Box::new(overview)),
                Err((exit, reason)) => Answer::Error { exit, reason },
            },
            Request::Flush => {
                self.addresses.forget();
                self.scheduler.reconsider();
                Answer::Flushed
            }
            Request::Submit { .. } => {
                Answer::Error { exit: exit::SOFTWARE, reason: "a message comes with its octets".into() }
            }
        }
    }

    pub(super) fn queue(
        &self,
        after: Option<&str>,
        limit: usize,
        to: Option<&str>,
    ) -> Result<Answer, (u8, String)> {
        let trouble = |error: SpoolError| (exit::TEMPFAIL, error.to_string());
        let id = |text| QueueId::parse(text).ok_or_else(|| (exit::DATAERR, format!("{text}: no queue id")));
        let after = after.map(id).transpose()?;
        let hop =
            |text| Destination::parse(text).ok_or_else(|| (exit::DATAERR, format!("{text}: no destination")));
        let to = to.map(hop).transpose()?;
        let limit = limit.clamp(1, Answers::PAGE);
        let totals = self.spool.totals().map_err(trouble)?;
        let page = self.spool.list(after, limit, to.as_ref()).map_err(trouble)?;
        let next = if page.len() == limit { page.last().map(|last| last.id.to_string()) } else { None };
        let keys = page.iter().flat_map(|message| {
            message.recipients.iter().map(|recipient| (message.id, recipient.destination.clone()))
        });
        let busy = || (exit::TEMPFAIL, "the scheduler does not answer".to_owned());
        let mut why = self.scheduler.why_not(keys.collect()).ok_or_else(busy)?.into_iter();
        let sessions = self.sessions.view(clock::now());
        let now = clock::unix();
        let queue = page.into_iter().map(|message| self.message(message, now, &sessions, &mut why)).collect();
        Ok(Answer::Queue(Queue { messages: totals.messages, recipients: totals.recipients, queue, next }))
    }

    fn message(
        &self,
        message: Listed,
        now: Unix,
        sessions: &[SessionView],
        why: &mut impl Iterator<Item = Option<WhyNot>>,
    ) -> QueuedMessage {
        let expire_after = self.config.read().delivery.expire_after;
        let recipients = message.recipients.into_iter();
        let recipients =
            recipients.map(|recipient| shown(recipient, message.id, now, sessions, why.next().flatten()));
        QueuedMessage {
            id: message.id.to_string(),
            from: message.reverse_path.to_string(),
            size: message.size,
            accepted: message.accepted.0,
            age: now.since(message.accepted).as_secs(),
            expires: message.accepted.after(expire_after).0,
            recipients: recipients.collect(),
        }
    }

    pub(super) fn connections(&self) -> Connections {
        let (counts, caps) = (self.ledger.counts(), self.ledger.caps());
        let row = |view: SessionView| SessionRow {
            session: view.id,
            destination: view.destination.to_string(),
            mx: view.mx,
            address: view.address.map(|address| address.to_string()),
            phase: view.phase.word().to_owned(),
            message: view.message.map(|id| id.to_string()),
            delivered: view.delivered,
            age: rounded(view.age),
            in_phase: rounded(view.in_phase),
            left: rounded(view.left),
            limit: view.limit.to_string(),
        };
        Connections {
            slots: counts.total(),
            seats: Seats {
                proven: counts.seats(Standing::Proven),
                new: counts.seats(Standing::New),
                suspect: counts.seats(Standing::Suspect),
                pool: caps.pool,
            },
            connections: self.sessions.view(clock::now()).into_iter().map(row).collect(),
        }
    }
}

/// A recipient, with the scheduler's word on why it has not left. Every one has a state.
fn shown(
    recipient: ListedRecipient,
    id: QueueId,
    now: Unix,
    sessions: &[SessionView],
    why: Option<WhyNot>,
) -> QueuedRecipient {
    let seconds = |wait: Duration| Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    let own_time = "waits for its next attempt";
    let (state, next, why) = match why {
        Some(WhyNot::InHand) => ("active", None, in_hand(id, &recipient.destination, sessions)),
        Some(WhyNot::Waits(wait)) => ("waiting", seconds(wait), own_time.into()),
        Some(WhyNot::SiteRests(wait, words)) => {
            ("resting", seconds(wait), format!("its destination rests after it failed as a site: {words}"))
        }
        Some(WhyNot::AddressFull(address)) => {
            ("blocked", None, format!("{address} has as many connections as one address may have"))
        }
        Some(WhyNot::AddressRests(address, wait, words)) => (
            "blocked",
            seconds(wait),
            format!("{address} is left alone for a while; other mail met this: {words}"),
        ),
        Some(WhyNot::BehindOthers) => {
            ("ready", None, "the sessions of its destination deliver other messages first".into())
        }
        Some(WhyNot::NoSeat) => ("ready", None, "waits for a free seat of the pool".into()),
        // Accepted or settled between the two questions.
        None if recipient.next > now => ("waiting", seconds(recipient.next.since(now)), own_time.into()),
        None => ("ready", None, "on its way to or from the scheduler".into()),
    };
    QueuedRecipient {
        to: recipient.address.to_string(),
        destination: recipient.destination.to_string(),
        attempts: recipient.attempts,
        state: state.to_owned(),
        why,
        next,
        last: recipient.last.map(|last| Last {
            at: last.at.0,
            phase: last.failure.phase.word().to_owned(),
            status: last.failure.status.to_string(),
            host: last.failure.remote.as_ref().map(ToString::to_string),
            text: last.failure.to_string(),
        }),
    }
}

fn in_hand(id: QueueId, destination: &Destination, sessions: &[SessionView]) -> String {
    let has_it = |view: &&SessionView| view.message == Some(id) && view.destination == *destination;
    sessions.iter().find(has_it).map_or_else(
        || "a session of its destination takes it next".to_owned(),
        |view| {
            let host = view.mx.as_ref().map_or_else(String::new, |mx| format!(" with {mx}"));
            format!("in delivery: session {}{host}, {}", view.id, view.phase.words())
        },
    )
}

/// Seconds, to the millisecond.
fn rounded(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}
