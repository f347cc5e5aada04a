//! A destination as the scheduler sees it: its standing, its messages, its feed, its rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::growth::{Allowed, Growth};
use super::queue::State;
use super::record::Record;
use crate::delivery::{DestinationId, Feed};
use crate::mail::{Destination, QueueId, cut};
use crate::net::Standing;

/// One destination. All of it is a function of what was reported and of `now`.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) destination: Destination,
    pub(super) standing: Standing,
    /// Failures as a site, in a row.
    pub(super) failures: u32,
    /// While this lasts, its messages rest untouched.
    pub(super) rest_until: Option<Instant>,
    /// An operator has suspended it.
    pub(super) suspended: bool,
    /// What became of its recipients.
    pub(super) record: Record,
    /// Messages that an operator holds.
    pub(super) held: BTreeSet<QueueId>,
    /// While this lasts, no further session is opened beside those at work.
    pub(super) narrow_until: Option<Instant>,
    /// How many sessions it may have: slow start, then up to its cap.
    pub(super) window: usize,
    /// How many of them would help it.
    growth: Growth,
    /// When there may be more of them.
    grow_at: Option<Instant>,
    /// Messages that were answered, for good or ill.
    answers: u64,
    /// When a session last got on well, and which one.
    pub(super) good: Option<(Instant, u64)>,
    pub(super) last_failure: Option<String>,
    /// When its last failure in a row was reported.
    failed_at: Option<Instant>,
    /// Ready: accepted and never tried, in that order, and come back, in that order. They take turns, so that fresh mail is
    /// not stuck behind a mountain of deferred mail. In trees, since what has expired is taken out of the middle.
    fresh: BTreeSet<QueueId>,
    again: BTreeMap<u64, QueueId>,
    /// The place of the last one that has come back; the first is 1.
    last_place: u64,
    turn_again: bool,
    /// Waiting for a time of their own.
    pub(super) waiting: BTreeSet<(Instant, QueueId)>,
    pub(super) feed: Feed,
    /// Entries in all, wherever they are.
    pub(super) entries: usize,
    /// Since when it has had none.
    pub(super) idle_since: Option<Instant>,
    /// It stands in the turn queue of its standing.
    pub(super) in_turn: bool,
    pub(super) wake: Option<Instant>,
    /// It has as many sessions as it may: looked at again when one ends, not by the clock.
    pub(super) at_limit: bool,
    /// No address of its could be tried: it waits for this one.
    pub(super) blocked_on: Option<Obstacle>,
    /// The addresses in whose lines it stands, once in each, though it may have been let go since.
    pub(super) lines: Vec<IpAddr>,
}

/// Where a message that is ready stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Among those that were never tried.
    Fresh,
    /// Among those that have come back.
    Again(u64),
}

/// How many connections a destination may have that is not proven.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    /// One of which nothing is known; what a proven one starts its window from.
    pub new: usize,
    /// One whose last attempt failed as a site.
    pub suspect: usize,
}

/// What is in the way of a site.
#[derive(Clone, Debug)]
pub(super) struct Obstacle {
    pub(super) address: IpAddr,
    /// It is left alone until then, because of this; without this it has as many connections as it may have.
    pub(super) silent: Option<(Instant, String)>,
}

/// The sites that wait for one address.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// In the order they came; some may have been let go since.
    pub(super) sites: VecDeque<DestinationId>,
    /// Some of them are finding out, and get until then.
    pub(super) probed_until: Option<Instant>,
    /// How many more may, until then.
    more: usize,
}

impl Line {
    /// How long a site gets to find out how an address is now, before others may.
    const PROBE: Duration = Duration::from_secs(30);
    /// Of so many one more may: ten thousand at once would be a herd, and one by one they would need days. Each may have
    /// another address that is well by now.
    const SHARE: usize = 64;

    /// Whether one of them may go now and find out, or when.
    pub(super) fn may_probe(&mut self, now: Instant) -> Result<(), Instant> {
        match self.probed_until.filter(|until| *until > now) {
            Some(until) if self.more == 0 => Err(until),
            Some(_) => {
                self.more -= 1;
                Ok(())
            }
            None => {
                (self.probed_until, self.more) = (Some(now + Line::PROBE), self.sites.len() / Line::SHARE);
                Ok(())
            }
        }
    }
}

impl Obstacle {
    /// Look again after this long though nobody said that there is room: against a word that was lost.
    pub(super) const LOST: Duration = Duration::from_secs(60);

    /// When to look again at the latest.
    fn until(&self, now: Instant) -> Instant {
        self.silent.as_ref().map_or(now + Obstacle::LOST, |(until, _)| *until)
    }
}

impl Site {
    /// When the oldest message in the feed has waited this long, those at work are not keeping up.
    pub(super) const BEHIND: Duration = Duration::from_millis(20);

    /// While others are at work, an answer to one of them counts for so long.
    const LATELY: Duration = Duration::from_secs(30);

    pub(super) fn new(destination: Destination, widths: Widths) -> Site {
        Site {
            destination,
            standing: Standing::New,
            failures: 0,
            rest_until: None,
            suspended: false,
            record: Record::default(),
            held: BTreeSet::new(),
            narrow_until: None,
            window: widths.new,
            growth: Growth::new(),
            grow_at: None,
            answers: 0,
            good: None,
            last_failure: None,
            failed_at: None,
            fresh: BTreeSet::new(),
            again: BTreeMap::new(),
            last_place: 0,
            turn_again: false,
            waiting: BTreeSet::new(),
            feed: Feed::default(),
            entries: 0,
            idle_since: None,
            in_turn: false,
            wake: None,
            at_limit: false,
            blocked_on: None,
            lines: Vec::new(),
        }
    }

    /// Messages that could go now.
    pub(super) fn ready(&self) -> usize {
        self.fresh.len() + self.again.len()
    }

    /// Messages in the feed, not yet taken by a session.
    pub(super) fn fed(&self) -> usize {
        self.feed.len()
    }

    /// A message that has never been tried becomes ready.
    pub(super) fn push_fresh(&mut self, id: QueueId) -> Place {
        self.fresh.insert(id);
        Place::Fresh
    }

    /// A message that has been tried, or was about to be, becomes ready: behind the others, since what is wrong with its
    /// destination may be this message.
    pub(super) fn push_again(&mut self, id: QueueId) -> Place {
        self.last_place += 1;
        self.again.insert(self.last_place, id);
        Place::Again(self.last_place)
    }

    /// A message gets a time of its own.
    pub(super) fn wait(&mut self, id: QueueId, at: Instant) -> State {
        self.waiting.insert((at, id));
        State::Waiting(at)
    }

    /// The next message that is ready: the two queues take turns.
    pub(super) fn pop_ready(&mut self) -> Option<QueueId> {
        let again_first = self.turn_again && !self.again.is_empty() || self.fresh.is_empty();
        self.turn_again = !again_first;
        if again_first { self.again.pop_first().map(|(_, id)| id) } else { self.fresh.pop_first() }
    }

    /// The one time at which it is to be looked at again, if nothing is reported before.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let has_mail = self.ready() > 0 || self.fed() > 0;
        let behind = self.feed.oldest().map(|at| (at + Site::BEHIND).max(now + Site::BEHIND / 4));
        let looks = [
            self.waiting.first().map(|(at, _)| *at),
            self.rest_until.filter(|until| has_mail && *until > now),
            // In turn it is looked at when a seat comes free.
            behind.filter(|_| !self.at_limit && !self.in_turn),
            self.narrow_until.filter(|until| has_mail && self.at_limit && *until > now),
            self.grow_at.filter(|until| has_mail && self.at_limit && *until > now),
            self.blocked_on.as_ref().map(|on| on.until(now)),
        ];
        looks.into_iter().flatten().min()
    }

    /// Takes a message out of the ready queue in which it is.
    pub(super) fn remove_ready(&mut self, id: QueueId, place: Place) {
        match place {
            Place::Fresh => drop(self.fresh.remove(&id)),
            Place::Again(place) => drop(self.again.remove(&place)),
        }
    }

    /// Whether it rests at `now`, after a failure or because an operator has suspended it.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.suspended || self.rest_until.is_some_and(|until| until > now)
    }

    /// How many sessions it may have at `now`, when those at work are behind; `most` is the cap.
    pub(super) fn allowance(&mut self, now: Instant, at_work: usize, widths: Widths, most: usize) -> usize {
        let may = self.width(now, at_work, widths);
        let Allowed { sessions, again } = self.growth.behind(now, at_work, self.answers, may.min(most));
        self.grow_at = again;
        may.min(sessions)
    }

    /// What [`Site::allowance`] would say, for whoever only looks.
    pub(super) fn would_allow(&self, now: Instant, at_work: usize, widths: Widths, most: usize) -> usize {
        let may = self.width(now, at_work, widths);
        let mut growth = self.growth;
        may.min(most).min(growth.behind(now, at_work, self.answers, may.min(most)).sessions)
    }

    fn width(&self, now: Instant, at_work: usize, widths: Widths) -> usize {
        match self.standing {
            Standing::Suspect => widths.suspect,
            _ if self.narrow_until.is_some_and(|until| until > now) => at_work.max(1),
            Standing::New => self.window.min(widths.new),
            Standing::Proven => self.window,
        }
    }

    /// The sessions at work are not behind.
    pub(super) fn keeps_up(&mut self) {
        self.growth.keeps_up();
        self.grow_at = None;
    }

    /// How many messages the feed may hold: one for a suspect, whose others rest untouched until it has shown itself.
    pub(super) fn feed_room(&self, at_work: usize) -> usize {
        let most = match self.standing {
            Standing::Suspect => 1,
            _ => 32 * at_work.clamp(1, 8),
        };
        most.saturating_sub(self.fed())
    }

    /// A session got on well: back-off ends, the window opens.
    pub(super) fn reached(&mut self, now: Instant, session: u64) {
        if self.good.is_none_or(|(_, last)| last != session) {
            self.window = (self.window * 2).min(1 << 16);
        }
        self.good = Some((now, session));
        self.standing = Standing::Proven;
        (self.failures, self.failed_at) = (0, None);
        self.rest_until = None;
    }

    /// A session was answered: it is well at this time.
    pub(super) fn answered(&mut self, now: Instant, session: u64) {
        self.answers += 1;
        self.good = Some((now, session));
    }

    /// A session failed as a site. True if the destination as a whole is to rest; false if another session got on well
    /// when that one failed: then it only gets no further sessions for a while. A host that answers one connection too
    /// many with 421 is such a site.
    pub(super) fn failed(&mut self, now: Instant, failed: Failed, widths: Widths) -> bool {
        self.last_failure = Some(cut(failed.words));
        self.window = widths.new;
        let lately = if failed.others > 0 { Site::LATELY } else { Duration::ZERO };
        if self.good.is_some_and(|(at, by)| by != failed.session && at + lately > failed.began) {
            self.narrow_until = Some(now + failed.rest);
            return false;
        }
        self.standing = Standing::Suspect;
        // Sessions that were under way when the last one failed met the same outage: together they are one failure.
        if self.failed_at.is_none_or(|at| at <= failed.began) {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(now);
        }
        self.rest_until = self.rest_until.max(Some(now + failed.rest));
        true
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.feed.close();
    }
}

/// A session that failed as a site.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) session: u64,
    pub(super) began: Instant,
    pub(super) rest: Duration,
    pub(super) words: String,
    /// How many sessions are at work beside it.
    pub(super) others: usize,
}
