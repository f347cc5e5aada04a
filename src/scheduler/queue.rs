//! The queue: every (message, destination) that is to leave, and the order in which they go. Pure: reports and `now` in,
//! jobs out; it never waits.
//!
//! Destinations take turns, in three queues by standing, so that neither one with 100,000 messages nor 10,000 silent ones
//! delay the first message of another. A job leaves only with its slot in its hand.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::site::Site;
use crate::delivery::{DestinationId, Job, Report, Resting, Ticket, Visit};
use crate::mail::{Destination, QueueId};
use crate::net::{Blocked, Freed, Ledger, Standing};
use crate::spool::Fresh;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a ready queue of its site.
    Ready,
    /// Waits for a time of its own.
    Waiting(Instant),
    /// In the feed, or in a worker's hand.
    Out,
}

#[derive(Debug)]
struct Entry {
    state: State,
    expires: Instant,
    /// Recipients were added to it while it was out: it is not gone when it is settled.
    more: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    ledger: Arc<Ledger>,
    reports: Sender<Report>,
    /// Idle sessions look at it: somebody waits for a seat.
    pressure: Arc<AtomicBool>,
    sites: HashMap<DestinationId, Site>,
    by_name: HashMap<Destination, DestinationId>,
    last_site: u64,
    /// Sites without entries, remembered for their standing; the longest idle is forgotten first.
    idle: VecDeque<DestinationId>,
    entries: BTreeMap<(QueueId, DestinationId), Entry>,
    fresh: HashMap<(QueueId, DestinationId), Fresh>,
    turns: [VecDeque<DestinationId>; 3],
    wakes: BTreeSet<(Instant, DestinationId)>,
    full: HashMap<IpAddr, VecDeque<DestinationId>>,
    /// Entries up to here have had their delay notice looked at.
    noticed: Option<(QueueId, DestinationId)>,
}

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

impl Queue {
    /// How many sites without mail are remembered.
    const REMEMBERED: usize = 20_000;
    /// Look again after this long, though nothing was said: against a word that was lost.
    const BLOCKED: Duration = Duration::from_secs(5);

    pub(super) fn new(ledger: Arc<Ledger>, reports: Sender<Report>, pressure: Arc<AtomicBool>) -> Queue {
        Queue {
            ledger,
            reports,
            pressure,
            sites: HashMap::new(),
            by_name: HashMap::new(),
            last_site: 0,
            idle: VecDeque::new(),
            entries: BTreeMap::new(),
            fresh: HashMap::new(),
            turns: Default::default(),
            wakes: BTreeSet::new(),
            full: HashMap::new(),
            noticed: None,
        }
    }

    /// A message for a destination: just accepted (`after` is zero), or taken up at start.
    pub(super) fn add(
        &mut self,
        id: QueueId,
        destination: &Destination,
        fresh: Option<Fresh>,
        after: Duration,
        expires: Instant,
        now: Instant,
    ) {
        let site_id = self.site_of(destination);
        let key = (id, site_id);
        let state = if after.is_zero() { State::Ready } else { State::Waiting(now + after) };
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.more = true;
            return;
        }
        self.entries.insert(key, Entry { state, expires, more: false });
        if let Some(fresh) = fresh {
            self.fresh.insert(key, fresh);
        }
        let Some(site) = self.sites.get_mut(&site_id) else { return };
        site.entries += 1;
        match state {
            State::Waiting(at) => drop(site.waiting.insert((at, id))),
            _ => site.push_fresh(id),
        }
        self.turn(site_id, now);
    }

    /// What was known of a destination before the restart.
    pub(super) fn recall(&mut self, destination: &Destination, failures: u32, rests: Duration, now: Instant) {
        let id = self.site_of(destination);
        let Some(site) = self.sites.get_mut(&id) else { return };
        if failures == 0 {
            site.standing = Standing::Proven;
        } else {
            (site.standing, site.failures, site.rest_until) =
                (Standing::Suspect, failures, Some(now + rests));
        }
        self.idle.push_back(id);
    }

    fn site_of(&mut self, destination: &Destination) -> DestinationId {
        if let Some(id) = self.by_name.get(destination) {
            return *id;
        }
        self.forget_idle();
        self.last_site += 1;
        let id = DestinationId(self.last_site);
        self.by_name.insert(destination.clone(), id);
        self.sites.insert(id, Site::new(destination.clone()));
        id
    }

    /// Forgets sites that have been without mail for the longest, down to the bound.
    fn forget_idle(&mut self) {
        while self.idle.len() > Queue::REMEMBERED {
            let Some(id) = self.idle.pop_front() else { return };
            let Some(site) = self.sites.get(&id) else { continue };
            // It has mail again, and will come back to the end of the line; or a session still ends.
            if site.entries > 0 || self.ledger.destination(&site.destination) > 0 {
                continue;
            }
            if let Some(site) = self.sites.remove(&id) {
                self.by_name.remove(&site.destination);
                site.wake.map(|at| self.wakes.remove(&(at, id)));
            }
        }
    }

    /// A worker's report.
    pub(super) fn report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Settled { destination, id, resting } => self.settled(destination, id, resting, now),
            Report::Reached { destination, session } => {
                if let Some(site) = self.sites.get_mut(&destination) {
                    site.reached(now, session);
                    self.turn(destination, now);
                }
            }
            Report::SiteFailed { destination, session, began, rest, words } => {
                let Some(site) = self.sites.get_mut(&destination) else { return };
                if site.failed(now, session, began, rest, words) {
                    self.unfeed(destination);
                }
                self.turn(destination, now);
            }
            Report::Busy { destination, address } => {
                if let Some(site) = self.sites.get_mut(&destination) {
                    site.blocked_on = Some(address);
                    self.full.entry(address).or_default().push_back(destination);
                    self.unfeed(destination);
                    self.arm(destination, now);
                }
            }
        }
    }

    /// The ledger has room again.
    pub(super) fn freed(&mut self, freed: &Freed, now: Instant) {
        match freed {
            Freed::Slot(destination) => {
                if let Some(id) = self.by_name.get(destination) {
                    self.turn(*id, now);
                }
            }
            Freed::Address(address) => self.unblock(*address, now),
        }
    }

    /// Everything is looked at once: the ledger had more to say than was heard.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        self.full.clear();
        let all: Vec<_> = self.sites.keys().copied().collect();
        for id in all {
            if let Some(site) = self.sites.get_mut(&id) {
                site.blocked_on = None;
            }
            self.turn(id, now);
        }
    }

    fn unblock(&mut self, address: IpAddr, now: Instant) {
        let room = self.ledger.room(address);
        for _ in 0..room {
            let Some(id) = self.full.get_mut(&address).and_then(VecDeque::pop_front) else { break };
            if let Some(site) = self.sites.get_mut(&id) {
                site.blocked_on = None;
                self.turn(id, now);
            }
        }
        if self.full.get(&address).is_some_and(VecDeque::is_empty) {
            self.full.remove(&address);
        }
    }

    fn settled(&mut self, site_id: DestinationId, id: QueueId, resting: Resting, now: Instant) {
        let key = (id, site_id);
        let (Some(entry), Some(site)) = (self.entries.get_mut(&key), self.sites.get_mut(&site_id)) else {
            return;
        };
        if entry.state != State::Out {
            return;
        }
        match resting {
            Resting::Gone if entry.more => {
                (entry.state, entry.more) = (State::Ready, false);
                site.push_again(id);
            }
            Resting::Gone => {
                self.entries.remove(&key);
                self.fresh.remove(&key);
                site.entries -= 1;
                if site.entries == 0 {
                    self.idle.push_back(site_id);
                    self.forget_idle();
                }
            }
            Resting::For(wait) => {
                entry.state = State::Waiting(now + wait);
                site.waiting.insert((now + wait, id));
            }
            Resting::WithSite => {
                entry.state = State::Ready;
                site.push_again(id);
            }
        }
        self.turn(site_id, now);
    }

    /// Takes back what is in the feed and in nobody's hand.
    fn unfeed(&mut self, site_id: DestinationId) {
        let Some(site) = self.sites.get_mut(&site_id) else { return };
        while let Some(ticket) = site.feed.take() {
            let (id, fresh) = ticket.take_back();
            if let Some(entry) = self.entries.get_mut(&(id, site_id)) {
                entry.state = State::Ready;
                site.push_again(id);
                fresh.map(|fresh| self.fresh.insert((id, site_id), fresh));
            }
        }
    }

    /// Puts a site in turn if it has something to send and may; otherwise sees that it is woken.
    fn turn(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        let has_mail = site.ready() > 0 || site.fed() > 0;
        if has_mail && !site.in_turn && !site.rests(now) && site.blocked_on.is_none() {
            (site.in_turn, site.at_limit) = (true, false);
            self.turns[site.standing as usize].push_back(id);
        }
        self.arm(id, now);
    }

    /// Sets the one time at which a site is looked at again.
    fn arm(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        let next = site.next_look(now, Queue::BLOCKED);
        if site.wake != next {
            site.wake.map(|at| self.wakes.remove(&(at, id)));
            next.map(|at| self.wakes.insert((at, id)));
            site.wake = next;
        }
    }

    /// When to call [`Queue::dispatch`] again though nothing was reported.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Moves what has become due, and hands out jobs while there are slots for them.
    pub(super) fn dispatch(&mut self, now: Instant, jobs: &mut dyn FnMut(Job)) {
        while let Some((at, id)) = self.wakes.first().copied()
            && at <= now
        {
            self.wakes.remove(&(at, id));
            self.wake(id, now);
        }
        let mut short = false;
        for standing in [Standing::Proven, Standing::New, Standing::Suspect] {
            while let Some(id) = self.turns[standing as usize].pop_front() {
                if self.serve(id, standing, now, jobs).is_none() {
                    self.turns[standing as usize].push_front(id);
                    short = true;
                    break;
                }
            }
        }
        self.pressure.store(short, Ordering::Relaxed);
    }

    fn wake(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        site.wake = None;
        while let Some((at, message)) = site.waiting.first().copied()
            && at <= now
        {
            site.waiting.pop_first();
            if let Some(entry) = self.entries.get_mut(&(message, id)) {
                entry.state = State::Ready;
                site.push_again(message);
            }
        }
        if site.blocked_on.take().is_some() {
            self.full.values_mut().for_each(|waiting| waiting.retain(|other| *other != id));
        }
        self.turn(id, now);
    }

    /// A site's turn: its feed is filled, and it gets one more session if it needs one and may have it. `None` when there
    /// is no seat for its standing: then there is none for those behind it either.
    fn serve(
        &mut self,
        id: DestinationId,
        queue: Standing,
        now: Instant,
        jobs: &mut dyn FnMut(Job),
    ) -> Option<()> {
        let Some(site) = self.sites.get_mut(&id) else { return Some(()) };
        site.in_turn = false;
        if site.rests(now) || site.blocked_on.is_some() || site.standing != queue {
            // Its standing has changed since it was put in turn, or it may not go now.
            self.turn(id, now);
            return Some(());
        }
        let at_work = self.ledger.destination(&site.destination);
        self.fill(id, at_work, now);
        let Some(site) = self.sites.get_mut(&id) else { return Some(()) };
        let oldest = site.oldest_fed();
        let behind = oldest.is_some_and(|at| now.saturating_duration_since(at) >= Site::BEHIND);
        if oldest.is_none() || (at_work > 0 && !behind) {
            self.arm(id, now);
            return Some(());
        }
        let allowance = site.allowance(now, at_work);
        match self.ledger.try_acquire(&site.destination, site.standing, allowance) {
            Ok(slot) => {
                jobs(Job::Visit(Visit { slot, id, feed: site.feed.clone(), failures: site.failures }));
                self.arm(id, now);
                Some(())
            }
            Err(Blocked::Destination) => {
                site.at_limit = true;
                self.arm(id, now);
                Some(())
            }
            Err(Blocked::Pool | Blocked::Standing(_)) => {
                site.in_turn = true;
                None
            }
        }
    }

    fn fill(&mut self, id: DestinationId, at_work: usize, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        let mut room = site.feed_room(at_work);
        while room > 0
            && let Some(message) = site.pop_ready()
        {
            let key = (message, id);
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.state = State::Out;
            let ticket = Ticket::new(id, message, self.fresh.remove(&key), self.reports.clone());
            site.feed(ticket, now);
            room -= 1;
        }
    }

    /// Hands out, as jobs without a slot, at most `most` messages that have expired, and those whose delay notice has
    /// come (`notice`: that long before their expiry), in whatever state they are; those in a worker's hand are looked at
    /// when they are settled.
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        notice: Option<Duration>,
        most: usize,
        jobs: &mut dyn FnMut(Job),
    ) {
        let expired = self.entries.iter().take_while(|(_, entry)| entry.expires <= now);
        let mut due: Vec<_> =
            expired.filter(|(_, entry)| entry.state != State::Out).map(|(key, _)| *key).take(most).collect();
        if let Some(notice) = notice {
            let from = self.noticed.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            let late = self.entries.range((from, std::ops::Bound::Unbounded));
            let late = late.take_while(|(_, entry)| entry.expires <= now + notice).take(most);
            let late: Vec<_> = late.map(|(key, entry)| (*key, entry.state)).collect();
            self.noticed = late.last().map(|(key, _)| *key).or(self.noticed);
            due.extend(late.into_iter().filter(|(_, state)| *state != State::Out).map(|(key, _)| key));
        }
        due.dedup();
        for key in due {
            self.pull(key, jobs);
        }
    }

    fn pull(&mut self, key: (QueueId, DestinationId), jobs: &mut dyn FnMut(Job)) {
        let (Some(entry), Some(site)) = (self.entries.get_mut(&key), self.sites.get_mut(&key.1)) else {
            return;
        };
        match entry.state {
            State::Out => return,
            State::Ready => site.remove_ready(key.0),
            State::Waiting(at) => drop(site.waiting.remove(&(at, key.0))),
        }
        entry.state = State::Out;
        let ticket = Ticket::new(key.1, key.0, self.fresh.remove(&key), self.reports.clone());
        jobs(Job::Overdue(ticket, site.destination.clone()));
    }

    /// Every site that has mail, for the operator.
    pub(super) fn view(&self, now: Instant) -> Vec<SiteView> {
        let sites = self.sites.values().filter(|site| site.entries > 0 || site.failures > 0);
        sites
            .map(|site| SiteView {
                destination: site.destination.clone(),
                standing: site.standing,
                failures: site.failures,
                rests: site.rest_until.and_then(|until| until.checked_duration_since(now)),
                last_failure: site.last_failure.clone(),
                messages: site.entries,
                ready: site.ready(),
                waiting: site.waiting.len(),
                sessions: self.ledger.destination(&site.destination),
                blocked_on: site.blocked_on,
            })
            .collect()
    }

    /// When a message for a destination goes next: `None` if it is not in the queue; what, and in how long.
    pub(super) fn why_not_now(&self, id: QueueId, destination: &Destination, now: Instant) -> Option<WhyNot> {
        let site_id = *self.by_name.get(destination)?;
        let entry = self.entries.get(&(id, site_id))?;
        let site = self.sites.get(&site_id)?;
        Some(match entry.state {
            State::Out => WhyNot::InHand,
            State::Waiting(at) => WhyNot::Waits(at.saturating_duration_since(now)),
            State::Ready if site.rests(now) => {
                let until =
                    site.rest_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
                WhyNot::SiteRests(until)
            }
            State::Ready => match site.blocked_on {
                Some(address) => WhyNot::AddressFull(address),
                None if self.ledger.destination(&site.destination) > 0 => WhyNot::BehindOthers,
                None => WhyNot::NoSeat,
            },
        })
    }
}

/// Why a message is not being delivered at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It is: a session has it, or takes it next.
    InHand,
    /// It waits for its own next attempt.
    Waits(Duration),
    /// Its destination rests after a failure as a site.
    SiteRests(Duration),
    /// This address has as many connections as it may have.
    AddressFull(IpAddr),
    /// The sessions of its destination have other messages first.
    BehindOthers,
    /// No seat of the pool is free for its destination.
    NoSeat,
}

#[cfg(test)]
mod tests;
