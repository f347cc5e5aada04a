//! What has waited long: expiry, in whatever state a message is, and the notice that it is late.

use std::ops::Bound;
use std::time::{Duration, Instant};

use super::queue::{Queue, State};
use crate::delivery::{DestinationId, Job, Ticket};
use crate::mail::QueueId;

impl Queue {
    /// The most entries looked at in one sweep: a million are gone through in less than half a minute.
    const SWEPT: usize = 20_000;
    /// What was handed out as expired and came back is looked at again after this long: the wall clock or the settings of
    /// that moment said otherwise.
    const AGAIN: Duration = Duration::from_secs(60);

    /// Hands out, as jobs without a slot, at most `most` messages that have expired, and those whose delay notice has
    /// come (`notice`: that long before their expiry), in whatever state they are; those in a worker's hand are looked at
    /// when they are settled. It goes on where it stopped the last time: expiries have no order, since settings change.
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        notice: Option<Duration>,
        most: usize,
        jobs: &mut dyn FnMut(Job),
    ) {
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut due, mut looked) = (Vec::new(), 0);
        let mut to_the_end = true;
        for (key, entry) in self.entries.range_mut((from, Bound::Unbounded)) {
            if due.len() >= most || looked >= Queue::SWEPT {
                to_the_end = false;
                break;
            }
            looked += 1;
            self.swept = Some(*key);
            // Neither does what an operator holds grow old.
            if matches!(entry.state, State::Out | State::Held) {
                continue;
            }
            let late = !entry.noticed && notice.is_some_and(|notice| entry.expires <= now + notice);
            let expired = entry.expires <= now;
            if expired {
                entry.expires = now + Queue::AGAIN;
            }
            if late || expired {
                entry.noticed = true;
                due.push(*key);
            }
        }
        if to_the_end {
            self.swept = None;
        }
        for key in due {
            self.pull(key, now, jobs);
        }
    }

    /// The patience with messages is another from now on, with those that are queued as well.
    pub(super) fn prolong(&mut self, old: Duration, new: Duration, now: Instant) {
        for entry in self.entries.values_mut() {
            let longer = entry.expires.checked_add(new.saturating_sub(old));
            let other = longer.and_then(|expires| expires.checked_sub(old.saturating_sub(new)));
            // Before the clock of this machine began is long over.
            entry.expires = other.unwrap_or(now);
        }
    }

    fn pull(&mut self, key: (QueueId, DestinationId), now: Instant, jobs: &mut dyn FnMut(Job)) {
        let (Some(entry), Some(site)) = (self.entries.get_mut(&key), self.sites.get_mut(&key.1)) else {
            return;
        };
        let wait = match entry.state {
            State::Out | State::Held => return,
            State::Ready => {
                site.remove_ready(|id| *id == key.0);
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
