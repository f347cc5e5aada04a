//! The relay at a glance: what `sendoff top` and the page in a browser show. Rates are made by whoever looks twice: what is
//! counted here only grows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answers::{Answers, Refused, silent, trouble};
use super::documents::{QueuedMessage, Seats, SessionRow};
use super::protocol::{Answer, Which};
use crate::delivery::RECENT;
use crate::metrics::{Cut, METRICS, Told};
use crate::scheduler::{SiteView, Summary};
use crate::time::clock;

/// The relay at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Who it is: what it says in EHLO.
    pub hostname: String,
    /// Its version.
    pub version: String,
    /// The moment, in microseconds of the Unix clock.
    pub at: u64,
    /// What has happened since the start.
    pub counts: Happened,
    /// What is queued.
    pub queue: States,
    /// Slots in use in the ledger.
    pub slots: usize,
    /// By standing, and the most there may be.
    pub seats: Seats,
    /// Sessions by phase; phases without one are left out.
    pub phases: BTreeMap<String, usize>,
    /// Clients being served.
    pub clients: u64,
    /// The most clients that are.
    pub clients_most: usize,
    /// The destinations with the most messages.
    pub busiest: Vec<SiteRow>,
    /// The destinations with the most failures in a row.
    pub worst: Vec<SiteRow>,
    /// The sessions that have been in their phase the longest.
    pub longest: Vec<SessionRow>,
    /// The oldest messages, and why they have not left.
    pub oldest: Vec<QueuedMessage>,
    /// The last failures, the newest first.
    pub failures: Vec<FailureRow>,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Happened {
    /// Messages taken.
    pub accepted: u64,
    /// Recipients delivered.
    pub delivered: u64,
    /// Attempts at recipients that were deferred.
    pub deferred: u64,
    /// Recipients that failed for good.
    pub failed: u64,
    /// Negative replies to clients.
    pub refused: u64,
    /// Sessions that were past their deadline, and were cut by the watchdog. Each is a defect.
    pub overdue: u64,
    /// Panics that were caught. Each is a defect.
    pub panics: u64,
}

/// What is queued; a message counts once for each of its destinations, but for the first two.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct States {
    /// Messages.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// In hand, or next.
    pub active: usize,
    /// Could go now.
    pub ready: usize,
    /// Waiting for a time of their own.
    pub waiting: usize,
    /// Resting with their destination.
    pub resting: usize,
    /// Behind an address that is full, or left alone.
    pub blocked: usize,
    /// Held by an operator.
    pub held: usize,
    /// For a destination that an operator has suspended.
    pub suspended: usize,
    /// Messages, or recipients of them, that cannot be read; they are not among the others.
    pub quarantined: u64,
    /// Destinations that have mail.
    pub destinations: usize,
    /// Destinations that rest.
    pub destinations_resting: usize,
    /// Destinations that an operator has suspended.
    pub destinations_suspended: usize,
}

/// A destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteRow {
    /// Its name.
    pub destination: String,
    /// `proven`, `new` or `suspect`.
    pub standing: String,
    /// An operator has suspended it.
    pub suspended: bool,
    /// Messages.
    pub messages: usize,
    /// Of them, held by an operator.
    pub held: usize,
    /// Sessions at work.
    pub sessions: usize,
    /// Failures as a site, in a row.
    pub failures: u32,
    /// For how many seconds it still rests.
    pub rests: Option<u64>,
    /// Its last failure as a site.
    pub last: Option<String>,
}

/// A failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureRow {
    /// When, in Unix seconds.
    pub at: i64,
    /// The message.
    pub id: String,
    /// The forward-path.
    pub to: String,
    /// The next hop.
    pub destination: String,
    /// `deferred` or `failed`.
    pub outcome: String,
    /// The phase.
    pub phase: String,
    /// The enhanced status code.
    pub status: String,
    /// One sentence.
    pub text: String,
}

impl From<SiteView> for SiteRow {
    fn from(view: SiteView) -> SiteRow {
        SiteRow {
            destination: view.destination.to_string(),
            standing: view.standing.word().to_owned(),
            suspended: view.suspended,
            messages: view.messages,
            held: view.held,
            sessions: view.sessions,
            failures: view.failures,
            rests: view.rests.map(|rests| rests.as_secs()),
            last: view.last_failure,
        }
    }
}

impl Answers {
    /// How long the scheduler is waited for.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How many messages and sessions are shown.
    const SHOWN: usize = 10;

    /// The relay at a glance.
    ///
    /// # Errors
    /// A code of sysexits(3) and words, when a part of the relay does not answer.
    pub fn overview(&self) -> Result<Overview, Refused> {
        let summary = self.scheduler.summary(Answers::PATIENCE).ok_or_else(silent)?;
        let totals = self.shop.spool.totals().map_err(trouble)?;
        let Answer::Queue(oldest) = self.queue(None, Answers::SHOWN, &Which::default())? else {
            return Err(silent());
        };
        let connections = self.connections();
        let mut phases = BTreeMap::new();
        for session in &connections.connections {
            *phases.entry(session.phase.clone()).or_default() += 1;
        }
        let mut longest = connections.connections;
        longest.sort_by(|a, b| b.in_phase.total_cmp(&a.in_phase));
        longest.truncate(Answers::SHOWN);
        let config = std::sync::Arc::clone(&self.shop.config.read());
        Ok(Overview {
            hostname: config.hostname.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: clock::unix_micros(),
            counts: happened(),
            queue: states(&summary, totals, oldest.quarantined),
            slots: connections.slots,
            seats: connections.seats,
            phases,
            clients: METRICS.clients_now(),
            clients_most: config.listen.clients,
            busiest: summary.busiest.into_iter().map(SiteRow::from).collect(),
            worst: summary.worst.into_iter().map(SiteRow::from).collect(),
            longest,
            oldest: oldest.queue,
            failures: failures(),
        })
    }
}

fn happened() -> Happened {
    let told = |told: Told| METRICS.recipients[told as usize].sum();
    Happened {
        accepted: METRICS.accepted.sum(),
        delivered: told(Told::Delivered),
        deferred: told(Told::Deferred),
        failed: told(Told::Failed),
        refused: METRICS.refusals.sum(),
        overdue: METRICS.cuts.of(Cut::Overdue as usize).get(),
        panics: METRICS.panics.get(),
    }
}

fn states(summary: &Summary, totals: crate::spool::Totals, quarantined: u64) -> States {
    States {
        messages: totals.messages,
        recipients: totals.recipients,
        active: summary.active,
        ready: summary.ready,
        waiting: summary.waiting,
        resting: summary.resting,
        blocked: summary.blocked,
        held: summary.held,
        suspended: summary.suspended,
        quarantined,
        destinations: summary.destinations,
        destinations_resting: summary.destinations_resting,
        destinations_suspended: summary.destinations_suspended,
    }
}

fn failures() -> Vec<FailureRow> {
    let rows = RECENT.view().into_iter().map(|recent| FailureRow {
        at: recent.at.0,
        id: recent.id.to_string(),
        to: recent.to,
        destination: recent.destination,
        outcome: recent.outcome.to_owned(),
        phase: recent.failure.phase.word().to_owned(),
        status: recent.failure.status.to_string(),
        text: recent.failure.to_string(),
    });
    rows.collect()
}
