//! What the operator sees: every site, and why a message has not left. It is exact, because it reads what decides.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::queue::{Queue, State};
use super::record::Record;
use super::site::{Obstacle, Site};
use crate::mail::{Destination, QueueId};
use crate::net::{Blocked, Standing};

/// What the operator asks about a destination.
#[derive(Clone, Debug)]
pub struct SiteView {
    /// The destination.
    pub destination: Destination,
    /// Its standing.
    pub standing: Standing,
    /// Failures as a site, in a row.
    pub failures: u32,
    /// How long it still rests.
    pub rests: Option<Duration>,
    /// An operator has suspended it.
    pub suspended: bool,
    /// Its last failure as a site.
    pub last_failure: Option<String>,
    /// Messages: in all, ready, waiting for a time of their own, held, in hand or about to be.
    pub messages: usize,
    /// Messages that could go now.
    pub ready: usize,
    /// Messages that wait for a time of their own.
    pub waiting: usize,
    /// Messages that an operator holds.
    pub held: usize,
    /// Sessions at work.
    pub sessions: usize,
    /// How many sessions it may have now.
    pub allowance: usize,
    /// This address is in its way; for how long, if that is a matter of time.
    pub blocked_on: Option<(IpAddr, Option<Duration>)>,
    /// What became of its recipients.
    pub record: Record,
    /// How long ago its last delivery and its last failure were.
    pub last: (Option<Duration>, Option<Duration>),
}

/// Why a message is not being delivered at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It is: a session has it, or takes it next.
    InHand,
    /// It waits for its own next attempt.
    Waits(Duration),
    /// Its destination rests for so long after a failure as a site, and what that was.
    SiteRests(Duration, String),
    /// This address has as many connections as it may have.
    AddressFull(IpAddr),
    /// This address is left alone for so long, after what it did to other mail.
    AddressRests(IpAddr, Duration, String),
    /// An operator holds it.
    Held,
    /// An operator has suspended its destination.
    Suspended,
    /// The sessions of its destination have other messages first.
    BehindOthers,
    /// Its destination gets no slot: this limit is in the way.
    NoSlot(Blocked),
    /// Nothing is in its way but the turns of others.
    Next,
}

impl Queue {
    /// Every site that has mail, a failure, an operator's word, or a record, for the operator.
    pub(super) fn view(&self, now: Instant) -> Vec<SiteView> {
        let told = |site: &&Site| {
            site.entries > 0 || site.failures > 0 || site.suspended || !site.record.total.is_empty()
        };
        self.sites.values().filter(told).map(|site| self.look_at(site, now)).collect()
    }

    /// One site, whatever it has.
    pub(super) fn view_one(&self, destination: &Destination, now: Instant) -> Option<SiteView> {
        let site = self.sites.get(self.by_name.get(destination)?)?;
        Some(self.look_at(site, now))
    }

    /// As the operator sees it.
    pub(super) fn look_at(&self, site: &Site, now: Instant) -> SiteView {
        let left = |until: Instant| until.saturating_duration_since(now);
        let ago = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let sessions = self.ledger.destination(&site.destination);
        SiteView {
            destination: site.destination.clone(),
            standing: site.standing,
            failures: site.failures,
            rests: site.rest_until.map(left).filter(|left| !left.is_zero()),
            suspended: site.suspended,
            last_failure: site.last_failure.clone(),
            messages: site.entries,
            ready: site.ready() + site.fed(),
            waiting: site.waiting.len(),
            held: site.held.len(),
            sessions,
            allowance: site.would_allow(now, sessions, self.widths, self.ledger.caps().destination),
            blocked_on: site.blocked_on.as_ref().map(|on| {
                let wait = on.silent.as_ref().map(|(until, _)| left(*until));
                (on.address, wait)
            }),
            record: site.record.at(now),
            last: (ago(site.record.delivered_at), ago(site.record.failed_at)),
        }
    }

    /// When a message for a destination goes next: `None` if it is not in the queue; what, and in how long.
    pub(super) fn why_not_now(&self, id: QueueId, destination: &Destination, now: Instant) -> Option<WhyNot> {
        let site_id = *self.by_name.get(destination)?;
        let entry = self.entries.get(&(id, site_id))?;
        let site = self.sites.get(&site_id)?;
        let rest = site.rest_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let failure =
            || site.last_failure.clone().unwrap_or_else(|| "see the log before the restart".to_owned());
        Some(match entry.state {
            // In the feed of a site that has no session: nobody has it, and it waits for a slot.
            State::Out if site.fed() > 0 && self.ledger.destination(&site.destination) == 0 => {
                self.slot_for(site, now)
            }
            State::Out => WhyNot::InHand,
            State::Held => WhyNot::Held,
            _ if site.suspended => WhyNot::Suspended,
            // The later of the two is what it waits for.
            State::Waiting(at) => match at.saturating_duration_since(now) {
                own if own < rest => WhyNot::SiteRests(rest, failure()),
                own => WhyNot::Waits(own),
            },
            State::Ready(_) if !rest.is_zero() => WhyNot::SiteRests(rest, failure()),
            State::Ready(_) => match &site.blocked_on {
                Some(Obstacle { address, silent: Some((until, words)) }) => {
                    WhyNot::AddressRests(*address, until.saturating_duration_since(now), words.clone())
                }
                Some(Obstacle { address, silent: None }) => WhyNot::AddressFull(*address),
                None => self.slot_for(site, now),
            },
        })
    }

    /// What is in the way of a further session: the ledger's own word.
    fn slot_for(&self, site: &Site, now: Instant) -> WhyNot {
        let at_work = self.ledger.destination(&site.destination);
        let allowance = site.would_allow(now, at_work, self.widths, self.ledger.caps().destination);
        match self.ledger.may_acquire(&site.destination, site.standing, allowance) {
            _ if at_work > 0 => WhyNot::BehindOthers,
            Ok(()) | Err(Blocked::Destination) => WhyNot::Next,
            Err(blocked) => WhyNot::NoSlot(blocked),
        }
    }
}
