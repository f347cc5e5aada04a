//! What an operator orders: messages held, let go, hurried, or taken out of the queue to be worked on; destinations
//! suspended and resumed. Pure, as the rest of the queue.
//!
//! A message that is in a worker's hand is left there: nobody works it twice, and its attempt is brought to its end. A hold
//! then takes effect when it comes back; for the rest whoever ordered is told that it was in delivery.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::queue::{Queue, State};
use crate::delivery::{DestinationId, Ticket};
use crate::mail::{Destination, QueueId};

/// A message for a destination, for an operator to work on.
#[derive(Debug)]
pub enum Withdrawn {
    /// It is out of the queue until this is settled or dropped.
    Taken(Ticket),
    /// It is in delivery now.
    InHand,
    /// The queue does not have it: it has just left, or is on its way here.
    Unknown,
}

impl Queue {
    /// What is held let go before it is looked at for expiry: one more try, whatever its age.
    const AFTER_HOLD: Duration = Duration::from_secs(60);

    /// What was ordered before the start.
    pub(super) fn remember_orders(&mut self, held: Vec<QueueId>, suspended: Vec<Destination>) {
        self.held.extend(held);
        self.suspended.extend(suspended);
    }

    /// Holds messages, those included that have not come yet. Says of each that is in delivery now: it is held when, and if,
    /// it comes back.
    pub(super) fn hold(&mut self, ids: &[QueueId], now: Instant) -> Vec<QueueId> {
        self.held.extend(ids);
        let all: Vec<_> = ids.iter().flat_map(|id| self.places(*id)).collect();
        for (site, ids) in by_site(&all) {
            for id in self.set_aside(site, &ids, now) {
                if let (Some(entry), Some(site)) =
                    (self.entries.get_mut(&(id, site)), self.sites.get_mut(&site))
                {
                    entry.state = State::Held;
                    site.held.insert(id);
                }
            }
        }
        let in_hand = |id: &QueueId| {
            let mut places = self.entries.range((*id, DestinationId(0))..=(*id, DestinationId(u64::MAX)));
            places.any(|(_, entry)| entry.state == State::Out)
        };
        ids.iter().copied().filter(in_hand).collect()
    }

    /// Lets messages go that are held. They may go at once, and are tried once more even when they have expired meanwhile.
    pub(super) fn release(&mut self, ids: &[QueueId], now: Instant) {
        for id in ids {
            self.held.remove(id);
            for key in self.places(*id) {
                let (Some(entry), Some(site)) = (self.entries.get_mut(&key), self.sites.get_mut(&key.1))
                else {
                    continue;
                };
                if entry.state == State::Held {
                    entry.expires = entry.expires.max(now + Queue::AFTER_HOLD);
                    site.held.remove(id);
                    entry.state = State::Ready(site.push_again(*id));
                    self.turn(key.1, now);
                }
            }
        }
    }

    /// Ends the waits of messages; how many had one of their own. What rests with its destination goes when that does.
    pub(super) fn hurry(&mut self, which: &[(QueueId, Destination)], now: Instant) -> usize {
        let mut hurried = 0;
        for (id, destination) in which {
            let Some(site_id) = self.by_name.get(destination).copied() else { continue };
            let (Some(entry), Some(site)) =
                (self.entries.get_mut(&(*id, site_id)), self.sites.get_mut(&site_id))
            else {
                continue;
            };
            if let State::Waiting(at) = entry.state {
                site.waiting.remove(&(at, *id));
                entry.state = State::Ready(site.push_again(*id));
                hurried += 1;
                self.turn(site_id, now);
            }
        }
        hurried
    }

    /// Ends the rest of a destination, and gives the address that was in its way, if there was one.
    pub(super) fn wake_site(&mut self, destination: &Destination, now: Instant) -> Option<std::net::IpAddr> {
        let id = *self.by_name.get(destination)?;
        let site = self.sites.get_mut(&id)?;
        (site.rest_until, site.narrow_until) = (None, None);
        let obstacle = site.blocked_on.take();
        self.turn(id, now);
        obstacle.map(|on| on.address)
    }

    /// Takes messages out of the queue, for an operator to work on.
    pub(super) fn withdraw(&mut self, which: &[(QueueId, Destination)], now: Instant) -> Vec<Withdrawn> {
        let place = |(id, to): &(QueueId, Destination)| self.by_name.get(to).map(|site| (*id, *site));
        let places: Vec<_> = which.iter().map(place).collect();
        let known: Vec<_> = places.iter().flatten().copied().collect();
        let mut taken = HashSet::new();
        for (site, ids) in by_site(&known) {
            taken.extend(self.set_aside(site, &ids, now).into_iter().map(|id| (id, site)));
        }
        let mut withdrawn = Vec::new();
        for place in places {
            withdrawn.push(match place {
                // Each is given once, however often it was asked for.
                Some(key) if taken.remove(&key) => {
                    let fresh = self.fresh.remove(&key);
                    Withdrawn::Taken(Ticket::new(key.1, key.0, fresh, self.reports.clone()))
                }
                Some(key) if self.entries.contains_key(&key) => Withdrawn::InHand,
                _ => Withdrawn::Unknown,
            });
        }
        withdrawn
    }

    /// Suspends a destination, or lets it go on. Sessions that are open come to their end with the message in hand.
    pub(super) fn suspend(&mut self, destination: &Destination, suspend: bool, now: Instant) {
        match suspend {
            true => self.suspended.insert(destination.clone()),
            false => self.suspended.remove(destination),
        };
        let Some(id) = self.by_name.get(destination).copied() else { return };
        let Some(site) = self.sites.get_mut(&id) else { return };
        site.suspended = suspend;
        if suspend {
            site.in_turn = false;
            self.unfeed(id);
        }
        self.turn(id, now);
    }

    /// A message has gone from one of its places: when it was the last, its hold goes too.
    pub(super) fn forget_hold(&mut self, id: QueueId) {
        if self.held.contains(&id) && self.places(id).is_empty() {
            self.held.remove(&id);
        }
    }

    /// Where a message is.
    fn places(&self, id: QueueId) -> Vec<(QueueId, DestinationId)> {
        let places = self.entries.range((id, DestinationId(0))..=(id, DestinationId(u64::MAX)));
        places.map(|(key, _)| *key).collect()
    }

    /// Takes messages of a site out of every queue but the workers' hands; who of them has been taken is `Out` now.
    fn set_aside(&mut self, id: DestinationId, ids: &HashSet<QueueId>, now: Instant) -> Vec<QueueId> {
        let out = |queue: &Queue, message: &QueueId| {
            queue.entries.get(&(*message, id)).is_some_and(|entry| entry.state == State::Out)
        };
        if ids.iter().any(|message| out(self, message)) {
            // Some may be in the feed, where nobody has them yet.
            self.unfeed(id);
        }
        let Some(site) = self.sites.get_mut(&id) else { return Vec::new() };
        let mut taken = Vec::new();
        for message in ids {
            let Some(entry) = self.entries.get_mut(&(*message, id)) else { continue };
            match entry.state {
                State::Out => continue,
                State::Ready(place) => site.remove_ready(*message, place),
                State::Held => drop(site.held.remove(message)),
                State::Waiting(at) => drop(site.waiting.remove(&(at, *message))),
            }
            entry.state = State::Out;
            taken.push(*message);
        }
        self.turn(id, now);
        taken
    }
}

/// The messages of each site: a site with 100,000 of them is searched once.
fn by_site(keys: &[(QueueId, DestinationId)]) -> BTreeMap<DestinationId, HashSet<QueueId>> {
    let mut sites: BTreeMap<_, HashSet<_>> = BTreeMap::new();
    for (id, site) in keys {
        sites.entry(*site).or_default().insert(*id);
    }
    sites
}
