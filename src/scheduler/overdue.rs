//! What has waited long: expiry, in whatever state a message is, and the notice that it is late.

use std::ops::Bound;
use std::time::{Duration, Instant};

use super::queue::{Queue, State};
use crate::delivery::{DestinationId, Job, Ticket};
use crate::mail::QueueId;

impl Queue {
    /// The time a message is tried has changed: every expiry moves with it, and notices are looked at anew.
    pub(super) fn expiry_moves(&mut self, old: Duration, new: Duration, now: Instant) {
        for entry in self.entries.values_mut() {
            let moved = entry.expires.checked_add(new.saturating_sub(old));
            // Before the clock of this machine began is long over.
            let moved = moved.and_then(|at| at.checked_sub(old.saturating_sub(new)));
            entry.expires = moved.unwrap_or(now);
        }
        self.noticed = None;
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
            let from = self.noticed.map_or(Bound::Unbounded, Bound::Excluded);
            let late = self.entries.range((from, Bound::Unbounded));
            let late = late.take_while(|(_, entry)| entry.expires <= now + notice).take(most);
            let late: Vec<_> = late.map(|(key, entry)| (*key, entry.state)).collect();
            self.noticed = late.last().map(|(key, _)| *key).or(self.noticed);
            due.extend(late.into_iter().filter(|(_, state)| *state != State::Out).map(|(key, _)| key));
        }
        due.dedup();
        for key in due {
            self.pull(key, now, jobs);
        }
    }

    fn pull(&mut self, key: (QueueId, DestinationId), now: Instant, jobs: &mut dyn FnMut(Job)) {
        let (Some(entry), Some(site)) = (self.entries.get_mut(&key), self.sites.get_mut(&key.1)) else {
            return;
        };
        let wait = match entry.state {
            State::Out => return,
            State::Ready => {
                site.remove_ready(key.0);
                Duration::ZERO
            }
            State::Waiting(at) => {
                site.waiting.remove(&(at, key.0));
                at.saturating_duration_since(now)
            }
        };
        entry.state = State::Out;
        let ticket = Ticket::new(key.1, key.0, self.fresh.remove(&key), self.reports.clone());
        jobs(Job::Overdue(ticket, site.destination.clone(), wait));
    }
}
