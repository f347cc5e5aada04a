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

    /// Hands out, as jobs without a slot, messages that have expired, and those whose delay notice has come (`notice`: that
    /// long before their expiry), in whatever state they are; those in a worker's hand are looked at when they are settled.
    /// At most `most` are out at a time. It goes on where it stopped the last time: expiries have no order, since settings
    /// change. True when it stopped for want of room, and there may be more.
    pub(super) fn overdue(
        &mut self,
        now: Instant,
        notice: Option<Duration>,
        most: usize,
        jobs: &mut dyn FnMut(Job),
    ) -> bool {
        let most = most.saturating_sub(self.overdue_out);
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut due, mut looked) = (Vec::new(), 0);
        let (mut to_the_end, mut full) = (true, false);
        for (key, entry) in self.entries.range_mut((from, Bound::Unbounded)) {
            if due.len() >= most || looked >= Queue::SWEPT {
                (to_the_end, full) = (false, due.len() >= most);
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
        full
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
            State::Ready(place) => {
                site.remove_ready(key.0, place);
                Duration::ZERO
            }
            State::Waiting(at) => {
                site.waiting.remove(&(at, key.0));
                at.saturating_duration_since(now)
            }
        };
        (entry.state, entry.overdue) = (State::Out, true);
        self.overdue_out += 1;
        let ticket = Ticket::new(key.1, key.0, self.fresh.remove(&key), self.reports.clone());
        jobs(Job::Overdue(ticket, site.destination.clone(), wait));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, Desk, SECOND, destination};
    use super::*;

    /// Sixty-four in half a second: a million messages needed two hours, and each was searched for among all.
    #[test]
    fn many_expire_as_fast_as_they_are_settled() {
        const MANY: usize = 50_000;
        let mut desk = Desk::new();
        desk.queue.recall(&destination("full.example"), 1, 30 * DAY, desk.now);
        for _ in 0..MANY {
            desk.add("full.example");
        }
        desk.now += 6 * DAY;
        let (mut rounds, mut gone) = (0, 0);
        while gone < MANY {
            let mut out = Vec::new();
            let full = desk.queue.overdue(desk.now, None, 250, &mut |job| match job {
                Job::Overdue(ticket, ..) => out.push(ticket),
                Job::Visit(_) => panic!("a visit"),
            });
            gone += out.len();
            assert_eq!((full, out.len()), (gone < MANY, 250), "after {gone}");
            desk.queue.overdue(desk.now, None, 250, &mut |_| panic!("no more may be out"));
            out.into_iter().for_each(|ticket| ticket.settle(crate::delivery::Resting::Gone));
            assert!(desk.after(SECOND / 200).is_empty(), "its destination rests");
            rounds += 1;
        }
        assert_eq!((rounds, desk.queue.overdue_out), (MANY / 250, 0));
        assert!(desk.queue.entries.is_empty());
    }
}
