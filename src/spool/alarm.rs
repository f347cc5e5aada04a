//! One loud line for a trouble that meets every message: when it begins, each minute while it lasts, and when it is over.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::time::clock;

/// How often a trouble that lasts is said again.
const AGAIN: Duration = Duration::from_secs(60);
/// It is over when there was none of it for so long: a full disk takes a small message between two large ones.
const QUIET: Duration = Duration::from_secs(5);

/// Says one trouble. Share it by reference; every method may be called from every thread.
#[derive(Debug)]
pub struct Alarm {
    what: &'static str,
    over: &'static str,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    said: Instant,
    last: Instant,
    count: u64,
}

impl Alarm {
    /// An alarm that says `what` before the reason, and `over` when it is over.
    pub const fn new(what: &'static str, over: &'static str) -> Alarm {
        Alarm { what, over, trouble: Mutex::new(None) }
    }

    /// It has happened, for this reason.
    pub fn raise(&self, why: &dyn std::fmt::Display) {
        if let Some(line) = self.raised(why, clock::now()) {
            log::error!("{line}");
        }
    }

    /// It has gone well.
    pub fn clear(&self) {
        if let Some(line) = self.cleared(clock::now()) {
            log::warn!("{line}");
        }
    }

    fn raised(&self, why: &dyn std::fmt::Display, now: Instant) -> Option<String> {
        let mut trouble = self.trouble.lock();
        let Some(known) = &mut *trouble else {
            *trouble = Some(Trouble { since: now, said: now, last: now, count: 1 });
            return Some(format!("{}: {why}", self.what));
        };
        known.last = now;
        known.count += 1;
        if now.saturating_duration_since(known.said) < AGAIN {
            return None;
        }
        known.said = now;
        let since = now.saturating_duration_since(known.since).as_secs();
        Some(format!("{}, {} times in {since} s: {why}", self.what, known.count))
    }

    fn cleared(&self, now: Instant) -> Option<String> {
        let mut trouble = self.trouble.lock();
        let known = trouble.take_if(|known| now.saturating_duration_since(known.last) >= QUIET)?;
        let since = now.saturating_duration_since(known.since).as_secs();
        Some(format!("{} after {since} s and {} failures", self.over, known.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_when_it_begins_each_minute_and_when_it_is_over() {
        let (alarm, start) = (Alarm::new("no room", "there is room"), clock::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        assert_eq!(alarm.cleared(at(0)), None);
        assert_eq!(alarm.raised(&"why", at(0)).as_deref(), Some("no room: why"));
        for n in 1..600 {
            assert_eq!(alarm.raised(&"why", at(n * 100)), None);
            // A success between failures is not the end of it.
            assert_eq!(alarm.cleared(at(n * 100 + 50)), None);
        }
        let said = alarm.raised(&"still", at(60_000));
        assert_eq!(said.as_deref(), Some("no room, 601 times in 60 s: still"));
        assert_eq!(alarm.cleared(at(64_000)), None);
        let said = alarm.cleared(at(65_000));
        assert_eq!(said.as_deref(), Some("there is room after 65 s and 601 failures"));
        assert_eq!(alarm.cleared(at(66_000)), None);
        assert_eq!(alarm.raised(&"again", at(67_000)).as_deref(), Some("no room: again"));
    }
}
