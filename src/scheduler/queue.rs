//! The queue: every (message, destination) that is to leave, and the order in which they go. Pure: reports and `now` in,
//! jobs out; it never waits.
//!
//! Destinations take turns, in three queues by standing, so that neither one with 100,000 messages nor 10,000 silent ones
//! delay the first message of another. A job leaves only with its slot in its hand.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::pace::Pace;
use super::site::{Failed, Line, Obstacle, Place, Site, Widths};
use crate::delivery::{DestinationId, Report, Resting};
use crate::mail::{Destination, QueueId, cut};
use crate::net::{Freed, Ledger, Pressure, Standing};
use crate::spool::Fresh;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In a ready queue of its site.
    Ready(Place),
    /// Waits for a time of its own.
    Waiting(Instant),
    /// An operator holds it.
    Held,
    /// In the feed, in a worker's hand, or in an operator's.
    Out,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) expires: Instant,
    /// Recipients were added to it while it was out: it is not gone when it is settled.
    more: bool,
    /// Its delay notice has been looked at.
    pub(super) noticed: bool,
    /// It is out because it has waited long, and not for an attempt.
    pub(super) overdue: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) ledger: Arc<Ledger>,
    pub(super) reports: Sender<Report>,
    /// Where it is said who waits for a seat.
    pub(super) pressure: Arc<Pressure>,
    pub(super) widths: Widths,
    pub(super) sites: HashMap<DestinationId, Site>,
    pub(super) by_name: HashMap<Destination, DestinationId>,
    pub(super) last_site: u64,
    /// Sites without entries, remembered for their standing; the longest idle is forgotten first.
    pub(super) idle: BTreeSet<(Instant, DestinationId)>,
    pub(super) entries: BTreeMap<(QueueId, DestinationId), Entry>,
    pub(super) fresh: HashMap<(QueueId, DestinationId), Fresh>,
    pub(super) turns: [VecDeque<DestinationId>; 3],
    /// How fast sessions with hosts that are not proven begin, and when they go on if some were held back.
    pub(super) pace: Pace,
    pub(super) paced_until: Option<Instant>,
    /// Which standing comes first at the next dispatch.
    pub(super) first: usize,
    pub(super) wakes: BTreeSet<(Instant, DestinationId)>,
    /// Sites that wait for an address; some may have been let go since.
    pub(super) waiting_for: HashMap<IpAddr, Line>,
    /// Messages that an operator holds, those included that are on their way to us.
    pub(super) held: HashSet<QueueId>,
    /// Destinations that an operator has suspended.
    pub(super) suspended: HashSet<Destination>,
    /// How far the sweep for what is overdue has come; from the beginning again without this.
    pub(super) swept: Option<(QueueId, DestinationId)>,
    /// How many are out because they have waited long.
    pub(super) overdue_out: usize,
}

impl Queue {
    /// How many sites without mail are remembered.
    const REMEMBERED: usize = 20_000;

    pub(super) fn new(
        ledger: Arc<Ledger>,
        reports: Sender<Report>,
        pressure: Arc<Pressure>,
        widths: Widths,
    ) -> Queue {
        Queue {
            ledger,
            reports,
            pressure,
            widths,
            sites: HashMap::new(),
            by_name: HashMap::new(),
            last_site: 0,
            idle: BTreeSet::new(),
            entries: BTreeMap::new(),
            fresh: HashMap::new(),
            turns: Default::default(),
            pace: Pace::of(std::thread::available_parallelism().map_or(1, usize::from)),
            paced_until: None,
            first: 0,
            wakes: BTreeSet::new(),
            waiting_for: HashMap::new(),
            held: HashSet::new(),
            suspended: HashSet::new(),
            swept: None,
            overdue_out: 0,
        }
    }

    /// A message for a destination: just accepted, or taken up at start. It goes after `after`, and has been tried or not:
    /// new mail does not stand behind what has come due while we were away.
    pub(super) fn add(
        &mut self,
        id: QueueId,
        destination: &Destination,
        fresh: Option<Fresh>,
        (after, tried): (Duration, bool),
        expires: Instant,
        now: Instant,
    ) {
        let site_id = self.site_of(destination, now);
        let key = (id, site_id);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.more = true;
            return;
        }
        let Some(site) = self.sites.get_mut(&site_id) else { return };
        let state = match after {
            _ if self.held.contains(&id) => {
                site.held.insert(id);
                State::Held
            }
            _ if !after.is_zero() => site.wait(id, now + after),
            _ if tried => State::Ready(site.push_again(id)),
            _ => State::Ready(site.push_fresh(id)),
        };
        self.entries.insert(key, Entry { state, expires, more: false, noticed: false, overdue: false });
        if let Some(fresh) = fresh.filter(|_| !site.rests(now) && site.blocked_on.is_none()) {
            self.fresh.insert(key, fresh);
        }
        site.entries += 1;
        if let Some(since) = site.idle_since.take() {
            self.idle.remove(&(since, site_id));
        }
        self.turn(site_id, now);
    }

    /// What was known of a destination before the restart.
    pub(super) fn recall(&mut self, destination: &Destination, failures: u32, rests: Duration, now: Instant) {
        let id = self.site_of(destination, now);
        let Some(site) = self.sites.get_mut(&id) else { return };
        if failures == 0 {
            site.standing = Standing::Proven;
        } else {
            (site.standing, site.failures, site.rest_until) =
                (Standing::Suspect, failures, Some(now + rests));
        }
    }

    fn site_of(&mut self, destination: &Destination, now: Instant) -> DestinationId {
        if let Some(id) = self.by_name.get(destination) {
            return *id;
        }
        self.last_site += 1;
        let id = DestinationId(self.last_site);
        self.by_name.insert(destination.clone(), id);
        let mut site = Site::new(destination.clone(), self.widths);
        site.suspended = self.suspended.contains(destination);
        site.idle_since = Some(now);
        self.sites.insert(id, site);
        self.idle.insert((now, id));
        self.forget_idle();
        id
    }

    /// Forgets sites that have been without mail for the longest, down to the bound.
    fn forget_idle(&mut self) {
        while self.idle.len() > Queue::REMEMBERED
            && let Some((_, id)) = self.idle.pop_first()
        {
            if let Some(site) = self.sites.remove(&id) {
                self.by_name.remove(&site.destination);
                site.wake.map(|at| self.wakes.remove(&(at, id)));
            }
        }
    }

    /// A worker's report.
    pub(super) fn report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Settled { destination, id, resting, answered, tally } => {
                if let (false, Some(site)) = (tally.is_empty(), self.sites.get_mut(&destination)) {
                    site.record.add(tally, now);
                }
                if let (Some(session), Some(site)) = (answered, self.sites.get_mut(&destination)) {
                    site.answered(now, session);
                }
                self.settled(destination, id, resting, now);
            }
            Report::Recovered(address) => self.unblock(address, usize::MAX, now),
            Report::Reached { destination, session } => {
                if let Some(site) = self.sites.get_mut(&destination) {
                    site.reached(now, session);
                    // Its place in the queue of its old standing is void.
                    site.in_turn = false;
                    self.turn(destination, now);
                }
            }
            Report::SiteFailed { destination, session, began, rest, words } => {
                let Some(site) = self.sites.get_mut(&destination) else { return };
                let others = self.ledger.destination(&site.destination);
                if site.failed(now, Failed { session, began, rest, words, others }, self.widths) {
                    site.in_turn = false;
                    self.unfeed(destination);
                }
                self.turn(destination, now);
            }
            Report::Blocked { destination, address, silent } => {
                let Some(site) = self.sites.get_mut(&destination) else { return };
                if self.ledger.destination(&site.destination) > 0 {
                    // It has sessions, and they go on: only a further one is in nobody's power for a while.
                    site.narrow_until = Some(now + Obstacle::LOST);
                    return self.turn(destination, now);
                }
                let silent = silent.map(|(wait, words)| (now + wait, cut(words)));
                let full = silent.is_none();
                site.blocked_on = Some(Obstacle { address, silent });
                site.in_turn = false;
                if !site.lines.contains(&address) {
                    site.lines.push(address);
                    self.waiting_for.entry(address).or_default().sites.push_back(destination);
                }
                self.unfeed(destination);
                self.arm(destination, now);
                if full {
                    self.pressure.want(address);
                    // It may have got room while the report was on its way.
                    self.unblock(address, self.ledger.room(address), now);
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
            Freed::Address(address) => self.unblock(*address, self.ledger.room(*address), now),
        }
    }

    /// Everything is looked at once: the ledger had more to say than was heard.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        self.waiting_for.clear();
        self.pressure.unwant_all();
        let all: Vec<_> = self.sites.keys().copied().collect();
        for id in all {
            if let Some(site) = self.sites.get_mut(&id) {
                site.blocked_on = None;
                site.lines.clear();
            }
            self.turn(id, now);
        }
    }

    /// Every rest ends, and everything is looked at once.
    pub(super) fn reconsider(&mut self, now: Instant) {
        for site in self.sites.values_mut() {
            (site.rest_until, site.narrow_until) = (None, None);
        }
        self.look_at_all(now);
    }

    /// Lets at most `most` sites go that wait for an address.
    pub(super) fn unblock(&mut self, address: IpAddr, most: usize, now: Instant) {
        let mut left = most;
        while left > 0
            && let Some(id) = self.waiting_for.get_mut(&address).and_then(|line| line.sites.pop_front())
        {
            // Whoever has been let go otherwise has its place in the line still, and gives it up here.
            let Some(site) = self.sites.get_mut(&id) else { continue };
            site.lines.retain(|line| *line != address);
            if site.blocked_on.take_if(|on| on.address == address).is_some() {
                left -= 1;
                self.turn(id, now);
            }
        }
        if self.waiting_for.get(&address).is_some_and(|line| line.sites.is_empty()) {
            self.waiting_for.remove(&address);
            self.pressure.unwant(address);
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
        if std::mem::take(&mut entry.overdue) {
            self.overdue_out -= 1;
        }
        match resting {
            Resting::Gone if entry.more => {
                (entry.state, entry.more) = (State::Ready(site.push_again(id)), false);
            }
            Resting::Gone => {
                self.entries.remove(&key);
                self.fresh.remove(&key);
                self.forget_hold(id);
                let Some(site) = self.sites.get_mut(&site_id) else { return };
                site.entries -= 1;
                if site.entries == 0 {
                    site.idle_since = Some(now);
                    self.idle.insert((now, site_id));
                    self.forget_idle();
                }
            }
            _ if self.held.contains(&id) => {
                entry.state = State::Held;
                site.held.insert(id);
            }
            Resting::For(wait) => {
                entry.state = site.wait(id, now + wait);
            }
            Resting::WithSite => {
                entry.state = State::Ready(site.push_again(id));
            }
        }
        self.turn(site_id, now);
    }

    /// Takes back what is in the feed and in nobody's hand.
    pub(super) fn unfeed(&mut self, site_id: DestinationId) {
        let Some(site) = self.sites.get_mut(&site_id) else { return };
        while let Some(ticket) = site.feed.take() {
            // What was kept of it in memory is let go: it rests now, and others have more use for the room.
            let (id, _) = ticket.take_back();
            if let Some(entry) = self.entries.get_mut(&(id, site_id)) {
                entry.state = State::Ready(site.push_again(id));
            }
        }
    }

    /// Puts a site in turn if it has something to send and may; otherwise sees that it is woken.
    pub(super) fn turn(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        let has_mail = site.ready() > 0 || site.fed() > 0;
        if has_mail && !site.in_turn && !site.rests(now) && site.blocked_on.is_none() {
            (site.in_turn, site.at_limit) = (true, false);
            self.turns[site.standing as usize].push_back(id);
        }
        self.arm(id, now);
    }

    /// Sets the one time at which a site is looked at again.
    pub(super) fn arm(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        let next = site.next_look(now);
        if site.wake != next {
            site.wake.map(|at| self.wakes.remove(&(at, id)));
            next.map(|at| self.wakes.insert((at, id)));
            site.wake = next;
        }
    }
}
