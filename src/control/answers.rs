//! The answers: asked of the spool, the scheduler, the ledger and the session table themselves, so that what the operator
//! sees is what decides.

use std::sync::Arc;
use std::time::Duration;

use super::documents::{Connections, Seats, SessionRow};
use super::protocol::{Answer, Request};
use crate::delivery::Workshop;
use crate::mail::{Destination, QueueId};
use crate::net::{Ledger, SessionView, Standing};
use crate::scheduler::Scheduler;
use crate::spool::SpoolError;
use crate::time::clock;

/// Exit codes of sysexits(3).
pub(super) mod exit {
    pub(in crate::control) const USAGE: u8 = 64;
    pub(in crate::control) const DATAERR: u8 = 65;
    pub(in crate::control) const NOINPUT: u8 = 66;
    pub(in crate::control) const SOFTWARE: u8 = 70;
    pub(in crate::control) const TEMPFAIL: u8 = 75;
}

/// Why something was not done: a code of sysexits(3), and words.
pub(super) type Refused = (u8, String);

/// Whom the door asks.
pub struct Answers {
    /// The spool, the session table, the settings in force: what the workers work with.
    pub shop: Arc<Workshop>,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The ledger.
    pub ledger: Arc<Ledger>,
}

impl Answers {
    /// How long a change waits for the disk.
    pub(super) const DISK: Duration = Duration::from_secs(20);

    /// Answers a question of `by`, or does what it asks.
    pub fn answer(&self, request: &Request, by: &str) -> Answer {
        let answer = match request {
            Request::Queue { after, limit, which } => self.queue(after.as_deref(), *limit, which),
            Request::Show { id, part } => self.show(id, *part),
            Request::Summary { limit } => self.summary(*limit),
            Request::Act { action, ids, which, all, after, up_to } => {
                let page = (after.as_deref(), up_to.as_deref());
                self.act(action, ids, which, *all, page, by)
            }
            Request::Explain { what } => self.explain(what),
            Request::Connections => Ok(Answer::Connections(self.connections())),
            Request::Overview => self.overview().map(|overview| Answer::Overview(Box::new(overview))),
            Request::Kill { session } => self.kill(*session, by),
            Request::Destinations { limit, destination } => self.destinations(*limit, destination.as_deref()),
            Request::Suspend { destination, reason } => self.suspend(destination, Some(reason), by),
            Request::Resume { destination } => self.suspend(destination, None, by),
            Request::Submit { .. } | Request::Trace { .. } => {
                Err((exit::SOFTWARE, "this is answered by the door itself".into()))
            }
        };
        answer.unwrap_or_else(|(exit, reason)| Answer::Error { exit, reason })
    }

    pub(super) fn connections(&self) -> Connections {
        let (counts, caps) = (self.ledger.counts(), self.ledger.caps());
        Connections {
            slots: counts.total(),
            seats: Seats {
                proven: counts.seats(Standing::Proven),
                new: counts.seats(Standing::New),
                suspect: counts.seats(Standing::Suspect),
                pool: caps.pool,
            },
            connections: self.shop.sessions.view(clock::now()).into_iter().map(row).collect(),
        }
    }

    fn kill(&self, session: u64, by: &str) -> Result<Answer, Refused> {
        let Some(view) = self.shop.sessions.kill(session, clock::now()) else {
            return Err((exit::NOINPUT, format!("there is no session {session}, or it is ending already")));
        };
        let (destination, phase) = (&view.destination, view.phase);
        log::warn!("session={session} destination={destination} phase={phase} by={by} event=killed");
        let message = view.message.map_or_else(String::new, |id| format!("; {id} is tried again later"));
        Ok(Answer::Done(format!(
            "session {session} with {destination} is cut while {}{message}",
            phase.words()
        )))
    }
}

/// A session, as a row of the table.
pub(super) fn row(view: SessionView) -> SessionRow {
    SessionRow {
        session: view.id,
        destination: view.destination.to_string(),
        mx: view.mx,
        address: view.address.map(|address| address.to_string()),
        phase: view.phase.word().to_owned(),
        tls: view.channel.map(|channel| channel.to_string()),
        message: view.message.map(|id| id.to_string()),
        delivered: view.delivered,
        age: rounded(view.age),
        in_phase: rounded(view.in_phase),
        left: rounded(view.left),
        limit: view.limit.to_string(),
    }
}

/// Seconds, to the millisecond.
fn rounded(duration: Duration) -> f64 {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).as_secs_f64()
}

/// Our own trouble, as the operator is told.
pub(super) fn trouble(error: SpoolError) -> Refused {
    (exit::TEMPFAIL, error.to_string())
}

/// The scheduler is not there, or stuck: a defect, but it may pass.
pub(super) fn silent() -> Refused {
    (exit::TEMPFAIL, "the scheduler does not answer".to_owned())
}

/// A queue id.
pub(super) fn queue_id(text: &str) -> Result<QueueId, Refused> {
    QueueId::parse(text).ok_or_else(|| (exit::DATAERR, format!("{text}: no queue id")))
}

/// A destination.
pub(super) fn hop(text: &str) -> Result<Destination, Refused> {
    Destination::parse(text).ok_or_else(|| (exit::DATAERR, format!("{text}: no destination")))
}
