//! Dispatch: which site goes next, and with how many sessions. A job leaves only with its slot in its hand.

use std::net::IpAddr;
use std::time::Instant;

use super::queue::{Queue, State};
use super::site::Site;
use crate::delivery::{DestinationId, Job, Ticket, Visit};
use crate::net::{Blocked, Standing};

impl Queue {
    /// When to call [`Queue::dispatch`] again though nothing was reported.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.wakes.first().map(|(at, _)| *at).into_iter().chain(self.paced_until).min()
    }

    /// Moves what has become due, and hands out jobs while there are slots for them.
    pub(super) fn dispatch(&mut self, now: Instant, jobs: &mut dyn FnMut(Job)) {
        while let Some((at, id)) = self.wakes.first().copied()
            && at <= now
        {
            self.wakes.remove(&(at, id));
            self.wake(id, now);
        }
        // Suspects wait for each other; nobody else makes room for them.
        let (mut pool, mut new) = (0, 0);
        let (mut served, mut full) = (false, false);
        self.paced_until = None;
        let mut standings = [Standing::Proven, Standing::New, Standing::Suspect];
        standings.rotate_left(self.first);
        for standing in standings {
            while let Some(id) = self.turns[standing as usize].pop_front() {
                if standing != Standing::Proven
                    && let Err(until) = self.pace.next(now)
                {
                    self.turns[standing as usize].push_front(id);
                    self.paced_until = Some(until);
                    break;
                }
                let mut begun = false;
                let mut job = |job| {
                    begun = true;
                    jobs(job);
                };
                let blocked = self.serve(id, standing, now, &mut job);
                served |= begun;
                if begun && standing != Standing::Proven {
                    self.pace.begin(now);
                }
                let Some(blocked) = blocked else { continue };
                full |= blocked == Blocked::Pool;
                self.turns[standing as usize].push_front(id);
                let waiting = self.turns[standing as usize].len();
                match (standing, blocked) {
                    (Standing::Suspect, _) => {}
                    (_, Blocked::Standing(_)) => new = waiting,
                    _ => pool += waiting,
                }
                break;
            }
        }
        if served && full {
            // Whoever comes first takes the seats that have come free. That is somebody else the next time, or proven
            // destinations with more mail than the pool can take would leave none to the others, for ever.
            self.first = (self.first + 1) % standings.len();
        }
        if self.paced_until.is_none() {
            self.pressure.set(pool, new);
        }
    }

    fn wake(&mut self, id: DestinationId, now: Instant) {
        let Some(site) = self.sites.get_mut(&id) else { return };
        site.wake = None;
        while let Some((at, message)) = site.waiting.first().copied()
            && at <= now
        {
            site.waiting.pop_first();
            if let Some(entry) = self.entries.get_mut(&(message, id)) {
                entry.state = State::Ready(site.push_again(message));
            }
        }
        // Whatever was in its way may be gone; if it is still there, the next attempt finds it.
        match site.blocked_on.as_ref().map(|on| (on.address, on.silent.as_ref().map(|(until, _)| *until))) {
            Some((_, None)) => site.blocked_on = None,
            Some((address, Some(until))) if until <= now => self.probe(id, address, now),
            _ => {}
        }
        self.turn(id, now);
    }

    /// The time is over for which `id` was to leave an address alone. Of all that wait for it a few may find out how it is
    /// now: those that have not for the longest. The others, and perhaps this one, wait a little longer.
    fn probe(&mut self, id: DestinationId, address: IpAddr, now: Instant) {
        let line = self.waiting_for.entry(address).or_default();
        let later = line.may_probe(now);
        let mut first = None;
        if later.is_ok() {
            while let Some(next) = line.sites.pop_front() {
                // Who has been forgotten, or let go otherwise, gives its place up, or the line would grow for ever.
                let Some(site) = self.sites.get_mut(&next) else { continue };
                if site.blocked_on.take_if(|on| on.address == address).is_some() {
                    line.sites.push_back(next);
                    first = Some(next);
                    break;
                }
                site.lines.retain(|line| *line != address);
            }
        }
        let later = later.err().or(line.probed_until).unwrap_or(now + Site::BEHIND);
        let still = self.sites.get_mut(&id).and_then(|site| site.blocked_on.as_mut());
        if let Some((until, _)) = still.and_then(|on| on.silent.as_mut()) {
            *until = later;
        }
        if let Some(first) = first.filter(|first| *first != id) {
            self.turn(first, now);
        }
    }

    /// A site's turn: its feed is filled, and it gets one more session if it needs one and may have it. Returns what
    /// is in the way when there is no seat for its standing: then there is none for those behind it either.
    fn serve(
        &mut self,
        id: DestinationId,
        queue: Standing,
        now: Instant,
        jobs: &mut dyn FnMut(Job),
    ) -> Option<Blocked> {
        let site = self.sites.get_mut(&id)?;
        if site.standing != queue || !site.in_turn {
            // Its standing has changed since; it stands in the other queue.
            return None;
        }
        site.in_turn = false;
        if site.rests(now) || site.blocked_on.is_some() {
            self.arm(id, now);
            return None;
        }
        let at_work = self.ledger.destination(&site.destination);
        self.fill(id, at_work, now);
        let site = self.sites.get_mut(&id)?;
        let oldest = site.feed.oldest();
        let behind = oldest.is_some_and(|at| now.saturating_duration_since(at) >= Site::BEHIND);
        if oldest.is_none() || (at_work > 0 && !behind) {
            site.keeps_up();
            self.arm(id, now);
            return None;
        }
        let allowance = site.allowance(now, at_work, self.widths, self.ledger.caps().destination);
        match self.ledger.try_acquire(&site.destination, site.standing, allowance) {
            Ok(slot) => {
                jobs(Job::Visit(Visit { slot, id, feed: site.feed.clone(), failures: site.failures }));
                self.arm(id, now);
                None
            }
            Err(Blocked::Destination) => {
                site.at_limit = true;
                self.arm(id, now);
                None
            }
            Err(blocked) => {
                site.in_turn = true;
                Some(blocked)
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
            site.feed.put(ticket, now);
            room -= 1;
            if site.standing == Standing::Proven {
                self.pace.healthy(now);
            }
        }
    }
}
