//! Destinations: their standing, their caps, what is in their way and what became of their mail; suspended and resumed.

use std::collections::HashMap;
use std::time::Duration;

use super::answers::{Answers, Refused, hop, silent, trouble};
use super::documents::{Counts, DestinationRow, Destinations};
use super::protocol::Answer;
use crate::delivery::Tally;
use crate::mail::Destination;
use crate::scheduler::SiteView;
use crate::spool::Suspended;
use crate::time::clock;

type Suspensions = HashMap<Destination, Suspended>;

impl Answers {
    pub(super) fn destinations(&self, limit: usize, one: Option<&str>) -> Result<Answer, Refused> {
        let one = one.map(hop).transpose()?;
        let suspensions = self.suspensions()?;
        let mut sites = self.scheduler.sites().ok_or_else(silent)?;
        // One that was suspended before it ever had mail is known to the spool alone.
        let unseen = suspensions.keys().filter(|to| sites.iter().all(|site| site.destination != **to));
        let unseen: Vec<_> = unseen.map(|to| self.empty(to, &suspensions)).collect();
        sites.retain(|site| one.as_ref().is_none_or(|one| site.destination == *one));
        let mut rows: Vec<_> = sites.into_iter().map(|site| self.destination(site, &suspensions)).collect();
        rows.extend(
            unseen
                .into_iter()
                .filter(|row| one.as_ref().is_none_or(|one| row.destination == one.to_string())),
        );
        let known = rows.len();
        rows.sort_by(|a, b| b.messages.cmp(&a.messages).then_with(|| a.destination.cmp(&b.destination)));
        rows.truncate(limit.clamp(1, Answers::PAGE));
        Ok(Answer::Destinations(Destinations { known, destinations: rows }))
    }

    pub(super) fn suspensions(&self) -> Result<Suspensions, Refused> {
        let suspended = self.shop.spool.suspended().map_err(trouble)?.into_iter();
        Ok(suspended.map(|suspended| (suspended.destination.clone(), suspended)).collect())
    }

    pub(super) fn destination(&self, site: SiteView, suspensions: &Suspensions) -> DestinationRow {
        let whole = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let suspended = suspensions.get(&site.destination).filter(|_| site.suspended);
        let counts = |tally: Tally| Counts {
            delivered: tally.delivered,
            deferred: tally.deferred,
            failed: tally.failed,
        };
        DestinationRow {
            destination: site.destination.to_string(),
            standing: site.standing.word().to_owned(),
            messages: site.messages,
            ready: site.ready,
            waiting: site.waiting,
            held: site.held,
            connections: site.sessions,
            allowance: if site.suspended { 0 } else { site.allowance },
            cap: self.ledger.caps().destination,
            failures: site.failures,
            rests: site.rests.map(whole),
            suspended: suspended.map(|suspended| suspended.since.0),
            reason: suspended.map(|suspended| suspended.reason.clone()),
            blocked_on: site.blocked_on.map(|(address, _)| address.to_string()),
            last_failure: site.last_failure,
            delivered_ago: site.last.0.map(|ago| ago.as_secs()),
            failed_ago: site.last.1.map(|ago| ago.as_secs()),
            total: counts(site.record.total),
            minute: counts(site.record.lately),
        }
    }

    /// A destination of which only its suspension is known.
    fn empty(&self, destination: &Destination, suspensions: &Suspensions) -> DestinationRow {
        let suspended = suspensions.get(destination);
        DestinationRow {
            destination: destination.to_string(),
            standing: "new".to_owned(),
            messages: 0,
            ready: 0,
            waiting: 0,
            held: 0,
            connections: 0,
            allowance: 0,
            cap: self.ledger.caps().destination,
            failures: 0,
            rests: None,
            suspended: suspended.map(|suspended| suspended.since.0),
            reason: suspended.map(|suspended| suspended.reason.clone()),
            blocked_on: None,
            last_failure: None,
            delivered_ago: None,
            failed_ago: None,
            total: Counts::default(),
            minute: Counts::default(),
        }
    }

    pub(super) fn suspend(&self, text: &str, reason: Option<&str>, by: &str) -> Result<Answer, Refused> {
        let destination = hop(text)?;
        let was = self.suspensions()?.contains_key(&destination);
        let order = reason.map(|reason| (clock::unix(), reason.to_owned()));
        // First the disk, then the queue: what has been answered survives a crash.
        self.shop.spool.suspend(destination.clone(), order, Answers::DISK).map_err(trouble)?;
        self.scheduler.suspend(&destination, reason.is_some()).ok_or_else(silent)?;
        let event = if reason.is_some() { "suspended" } else { "resumed" };
        log::warn!("destination={destination} by={by} event={event} reason={:?}", reason.unwrap_or_default());
        let sessions = self.ledger.destination(&destination);
        Ok(Answer::Done(match (reason, was) {
            (Some(_), true) => format!("{destination} was suspended already"),
            (Some(_), false) if sessions > 0 => {
                format!("{destination} is suspended; {sessions} open sessions end with the message in hand")
            }
            (Some(_), false) => {
                format!("{destination} is suspended; its mail waits, and expires as other mail")
            }
            (None, true) => format!("{destination} goes on"),
            (None, false) => format!("{destination} was not suspended"),
        }))
    }
}
