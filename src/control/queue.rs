//! The queue, a page at a time; one message with its history; and the queue by destination and age.

use std::io::Read;
use std::time::Duration;

use super::answers::{Answers, Refused, exit, hop, queue_id, silent, trouble};
use super::documents::{Attempt, Last, Quarantined, Queue, QueuedMessage, QueuedRecipient, Shape, Shown};
use super::protocol::{Answer, Part, Which};
use crate::mail::{Destination, QueueId};
use crate::net::SessionView;
use crate::scheduler::WhyNot;
use crate::spool::{Filter, Listed, ListedRecipient};
use crate::time::{Unix, clock};

/// The states a recipient can be in.
const STATES: [&str; 8] =
    ["active", "ready", "waiting", "resting", "blocked", "held", "suspended", QUARANTINED];

/// The state of what cannot be read. Delivery passes it by, and so do the commands.
pub(super) const QUARANTINED: &str = "quarantined";

/// What a filter means, with the part of it that only the scheduler knows.
#[derive(Clone)]
pub(super) struct Meant {
    pub(super) filter: Filter,
    state: Option<String>,
}

impl Meant {
    /// # Errors
    /// When something in it is none of what it should be.
    pub(super) fn of(which: &Which, now: Unix) -> Result<Meant, Refused> {
        let state = which.state.clone();
        if let Some(state) = state.as_deref().filter(|state| !STATES.contains(state)) {
            let words = format!("{state}: no state; there are {}", STATES.join(", "));
            return Err((exit::DATAERR, words));
        }
        let ago = |seconds: u64| Unix(now.0.saturating_sub(i64::try_from(seconds).unwrap_or(i64::MAX)));
        let filter = Filter {
            destination: which.destination.as_deref().map(hop).transpose()?,
            address: which.address.clone(),
            from: which.from.clone(),
            to: which.to.clone(),
            accepted_by: which.older.map(ago),
            accepted_since: which.younger.map(ago),
            // The disk knows it, and so a million others need not be looked at.
            held: state.as_deref().map(|state| state == "held").filter(|held| *held),
            up_to: None,
        };
        Ok(Meant { filter, state })
    }
}

/// A message, and as it is shown.
pub(super) type Described = (Listed, QueuedMessage);

impl Answers {
    /// The most messages on one page.
    pub(super) const PAGE: usize = 1000;
    /// The most of what is in quarantine that is shown.
    const QUARANTINE: usize = 100;
    /// How much of a message is shown.
    const MOST: u64 = 1 << 20;

    pub(super) fn queue(&self, after: Option<&str>, limit: usize, which: &Which) -> Result<Answer, Refused> {
        let after = after.map(queue_id).transpose()?;
        let meant = Meant::of(which, clock::unix())?;
        let totals = self.shop.spool.totals().map_err(trouble)?;
        let (queue, next) = self.page(after, limit.clamp(1, Answers::PAGE), &meant)?;
        let queue = queue.into_iter().map(|(_, message)| message).collect();
        let next = next.map(|id| id.to_string());
        let of_them = Which { state: Some(QUARANTINED.to_owned()), ..Which::default() };
        let meant = after.is_none() && (*which == Which::default() || *which == of_them);
        let most = if meant { Answers::QUARANTINE } else { 0 };
        let (quarantined, quarantine) = self.shop.spool.quarantine(most).map_err(trouble)?;
        let quarantine = quarantine.into_iter().map(in_quarantine).collect();
        let (messages, recipients, low) = (totals.messages, totals.recipients, self.shop.spool.low());
        Ok(Answer::Queue(Queue { messages, recipients, queue, next, low, quarantined, quarantine }))
    }

    /// A page of what is meant, each recipient with its state. There may be fewer messages though more follow.
    pub(super) fn page(
        &self,
        after: Option<QueueId>,
        limit: usize,
        meant: &Meant,
    ) -> Result<(Vec<Described>, Option<QueueId>), Refused> {
        if meant.state.as_deref() == Some(QUARANTINED) {
            return Ok((Vec::new(), None));
        }
        let page = self.shop.spool.list(after, limit, &meant.filter).map_err(trouble)?;
        let mut messages = self.described(page.messages)?;
        if let Some(state) = &meant.state {
            for (listed, message) in &mut messages {
                let keep: Vec<_> = message.recipients.iter().map(|it| it.state == *state).collect();
                let (mut first, mut second) = (keep.iter(), keep.iter());
                listed.recipients.retain(|_| first.next() == Some(&true));
                message.recipients.retain(|_| second.next() == Some(&true));
            }
            messages.retain(|(_, message)| !message.recipients.is_empty());
        }
        Ok((messages, page.next))
    }

    /// Messages, with the scheduler's word on each recipient.
    pub(super) fn described(&self, page: Vec<Listed>) -> Result<Vec<Described>, Refused> {
        let keys = page.iter().flat_map(|message| {
            message.recipients.iter().map(|recipient| (message.id, recipient.destination.clone()))
        });
        let mut why = self.scheduler.why_not(keys.collect()).ok_or_else(silent)?.into_iter();
        let sessions = self.shop.sessions.view(clock::now());
        let now = clock::unix();
        let describe = |message: Listed| {
            let described = self.message(&message, now, &sessions, &mut why);
            (message, described)
        };
        Ok(page.into_iter().map(describe).collect())
    }

    fn message(
        &self,
        message: &Listed,
        now: Unix,
        sessions: &[SessionView],
        why: &mut impl Iterator<Item = Option<WhyNot>>,
    ) -> QueuedMessage {
        let expire_after = self.shop.config.read().delivery.expire_after;
        let recipients = message.recipients.iter();
        let recipients =
            recipients.map(|recipient| shown(recipient, message, now, sessions, why.next().flatten()));
        QueuedMessage {
            id: message.id.to_string(),
            from: message.reverse_path.to_string(),
            size: message.size,
            accepted: message.accepted.0,
            age: now.since(message.accepted).as_secs(),
            expires: message.accepted.after(expire_after).0,
            held: message.held.map(|since| since.0),
            recipients: recipients.collect(),
        }
    }

    pub(super) fn show(&self, id: &str, part: Part) -> Result<Answer, Refused> {
        let id = queue_id(id)?;
        let gone = || self.missing(id);
        let listed = self.shop.spool.find(id).map_err(trouble)?.ok_or_else(gone)?;
        let message = self.described(vec![listed])?.pop().ok_or_else(gone)?.1;
        let attempts = self.shop.spool.history(id).map_err(trouble)?.into_iter().map(|attempt| Attempt {
            at: attempt.at.0,
            to: attempt.address,
            outcome: attempt.outcome,
            phase: attempt.phase.map(|phase| phase.word().to_owned()),
            status: attempt.status.map(|status| status.to_string()),
            text: attempt.text,
        });
        let (mut text, mut cut) = (None, false);
        if part != Part::Nothing {
            let body = self.shop.spool.body(id).map_err(trouble)?.ok_or_else(gone)?;
            let mut octets = Vec::new();
            let read = body.reader().take(Answers::MOST).read_to_end(&mut octets);
            read.map_err(|error| (exit::TEMPFAIL, format!("the message cannot be read: {error}")))?;
            cut = body.len() > octets.len() as u64;
            if part == Part::Headers {
                let end = octets.windows(4).position(|at| at == b"\r\n\r\n");
                cut = cut && end.is_none();
                octets.truncate(end.map_or(octets.len(), |end| end + 2));
            }
            text = Some(String::from_utf8_lossy(&octets).into_owned());
        }
        let attempts = attempts.collect();
        Ok(Answer::Shown(Box::new(Shown { message, attempts, text, cut })))
    }

    /// Why a message is not in the queue.
    pub(super) fn missing(&self, id: QueueId) -> Refused {
        let found = self.shop.spool.quarantine_of(id).unwrap_or_default();
        let whole = found.iter().find(|found| found.n.is_none());
        match whole {
            Some(found) => (
                exit::DATAERR,
                format!(
                    "{id} is in quarantine, and nobody touches it until it is mended: {}; `sendoff explain {id}`",
                    found.reason
                ),
            ),
            None => (
                exit::NOINPUT,
                format!("{id} is not queued: it was never here, or it has left; the log says which"),
            ),
        }
    }

    pub(super) fn summary(&self, limit: usize) -> Result<Answer, Refused> {
        let now = clock::unix();
        let shapes = self.shop.spool.shapes(now, limit.clamp(1, Answers::PAGE)).map_err(trouble)?;
        let shapes = shapes.into_iter().map(|shape| Shape {
            destination: shape.destination.to_string(),
            recipients: shape.ages.iter().sum(),
            held: shape.held,
            oldest: now.since(shape.oldest).as_secs(),
            ages: shape.ages.to_vec(),
        });
        Ok(Answer::Summary(shapes.collect()))
    }
}

fn in_quarantine(found: crate::spool::Quarantined) -> Quarantined {
    let (id, recipient, at) = (found.id, found.n, found.at.0);
    Quarantined { id, recipient, state: QUARANTINED.to_owned(), at, reason: found.reason }
}

/// A recipient, with the scheduler's word on why it has not left. Every one has a state.
fn shown(
    recipient: &ListedRecipient,
    message: &Listed,
    now: Unix,
    sessions: &[SessionView],
    why: Option<WhyNot>,
) -> QueuedRecipient {
    let seconds = |wait: Duration| Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
    let own_time = "waits for its next attempt";
    let (state, next, why) = match why {
        Some(WhyNot::InHand) => ("active", None, in_hand(message.id, &recipient.destination, sessions)),
        Some(WhyNot::Held) => ("held", None, "an operator holds it until it is released".into()),
        Some(WhyNot::Suspended) => ("suspended", None, "an operator has suspended its destination".into()),
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
        Some(WhyNot::NoSlot(blocked)) => ("ready", None, format!("waits for a seat of the pool: {blocked}")),
        Some(WhyNot::Next) => ("ready", None, "its destination's turn comes next".into()),
        // Accepted or settled between the two questions.
        None if message.held.is_some() => ("held", None, "an operator holds it until it is released".into()),
        None if recipient.next > now => ("waiting", seconds(recipient.next.since(now)), own_time.into()),
        None => ("ready", None, "on its way to or from the scheduler".into()),
    };
    QueuedRecipient {
        to: recipient.address.to_string(),
        destination: recipient.destination.to_string(),
        attempts: recipient.attempts,
        redirected: recipient.redirected,
        state: state.to_owned(),
        why,
        next,
        last: recipient.last.as_ref().map(|last| Last {
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
