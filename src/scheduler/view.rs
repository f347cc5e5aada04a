//! What the operator sees: every site, and why a message has not left. It is exact, because it reads what decides.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::queue::{Queue, State};
use super::site::{Obstacle, Site};
use crate::mail::{Destination, QueueId};
use crate::net::Standing;

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
    /// Its last failure as a site.
    pub last_failure: Option<String>,
    /// Messages: in all, ready, waiting for a time of their own, in hand or about to be.
    pub messages: usize,
    /// Messages that could go now.
    pub ready: usize,
    /// Messages that wait for a time of their own.
    pub waiting: usize,
    /// Sessions at work.
    pub sessions: usize,
    /// It waits for this address to have fewer connections.
    pub blocked_on: Option<IpAddr>,
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
    /// The sessions of its destination have other messages first.
    BehindOthers,
    /// No seat of the pool is free for its destination.
    NoSeat,
}

impl Queue {
    /// Every site that has mail, for the operator.
    pub(super) fn view(&self, now: Instant) -> Vec<SiteView> {
        let sites = self.sites.values().filter(|site| site.entries > 0 || site.failures > 0);
        sites.map(|site| self.seen(site, now)).collect()
    }

    /// One site, for the operator.
    pub(super) fn seen(&self, site: &Site, now: Instant) -> SiteView {
        SiteView {
            destination: site.destination.clone(),
            standing: site.standing,
            failures: site.failures,
            rests: site.rest_until.and_then(|until| until.checked_duration_since(now)),
            last_failure: site.last_failure.clone(),
            messages: site.entries,
            ready: site.ready(),
            waiting: site.waiting.len(),
            sessions: self.ledger.destination(&site.destination),
            blocked_on: site.blocked_on.as_ref().map(|on| on.address),
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
            State::Out => WhyNot::InHand,
            // The later of the two is what it waits for.
            State::Waiting(at) => match at.saturating_duration_since(now) {
                own if own < rest => WhyNot::SiteRests(rest, failure()),
                own => WhyNot::Waits(own),
            },
            State::Ready if !rest.is_zero() => WhyNot::SiteRests(rest, failure()),
            State::Ready => match &site.blocked_on {
                Some(Obstacle { address, silent: Some((until, words)) }) => {
                    WhyNot::AddressRests(*address, until.saturating_duration_since(now), words.clone())
                }
                Some(Obstacle { address, silent: None }) => WhyNot::AddressFull(*address),
                None if self.ledger.destination(&site.destination) > 0 => WhyNot::BehindOthers,
                None => WhyNot::NoSeat,
            },
        })
    }
}
