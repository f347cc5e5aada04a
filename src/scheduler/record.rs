//! What became of a destination's recipients: counts since the start, rates of the last minutes, and when it last did well
//! and ill. A function of what was reported and of `now`.

use std::time::{Duration, Instant};

use crate::delivery::Tally;

/// The record of a destination.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record {
    /// Since the start, or since it was last forgotten.
    pub total: Tally,
    /// In the last whole minutes: see [`Record::WINDOW`].
    pub lately: Tally,
    /// The last delivery.
    pub(super) delivered_at: Option<Instant>,
    /// The last failure, for good or not.
    pub(super) failed_at: Option<Instant>,
    parts: [(u64, Tally); Record::PARTS],
    began: Option<Instant>,
}

impl Record {
    const PARTS: usize = 6;
    const PART: Duration = Duration::from_secs(10);
    /// What `lately` covers.
    pub const WINDOW: Duration = Duration::from_secs(60);

    /// An attempt was settled.
    pub(super) fn add(&mut self, tally: Tally, now: Instant) {
        let part = self.part(now);
        self.total.add(tally);
        let slot = &mut self.parts[(part % Record::PARTS as u64) as usize];
        if slot.0 != part {
            *slot = (part, Tally::default());
        }
        slot.1.add(tally);
        if tally.delivered > 0 {
            self.delivered_at = Some(now);
        }
        if tally.deferred + tally.failed > 0 {
            self.failed_at = Some(now);
        }
    }

    /// As it is at `now`: what was too long ago is not `lately`.
    pub(super) fn at(&self, now: Instant) -> Record {
        let (mut record, mut lately) = (*self, Tally::default());
        let part = record.part(now);
        for (of, tally) in self.parts {
            if part - of.min(part) < Record::PARTS as u64 {
                lately.add(tally);
            }
        }
        record.lately = lately;
        record
    }

    /// The number of the part of time, from 0 at the first word.
    fn part(&mut self, now: Instant) -> u64 {
        let began = *self.began.get_or_insert(now);
        now.saturating_duration_since(began).as_secs() / Record::PART.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    #[test]
    fn what_was_a_minute_ago_is_not_lately() {
        let (mut record, now) = (Record::default(), clock::now());
        let one = Tally { delivered: 1, deferred: 0, failed: 0 };
        for n in 0..12 {
            record.add(one, now + n * Record::PART);
        }
        let at = |after: u32| record.at(now + after * Record::PART).lately.delivered;
        assert_eq!((at(11), at(12), at(16), at(17), at(1000)), (6, 5, 1, 0, 0));
        assert_eq!(record.total.delivered, 12);
        assert_eq!(record.delivered_at, Some(now + 11 * Record::PART));
    }
}
