//! Growth: whether a further session would help a destination whose sessions are behind.
//!
//! A further session helps when the host is what the others wait for, and does harm when we are: then it only adds threads
//! that want the same processors (measured, 20 destinations on two cores: 4,300 messages a second with two sessions each,
//! 2,000 with twenty). So their number doubles step by step, and each step must show more answered messages a second than the
//! one before; after one that does not, it stays for a while as it is. All of it is a function of counts and of `now`.

use std::time::{Duration, Instant};

/// How many sessions a destination may have for the sake of speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    allowed: usize,
    /// What is being measured, while the sessions are behind.
    window: Option<Window>,
    /// Before the last step: how many sessions, and answered messages a second.
    before: Option<(usize, f64)>,
    /// It stays as it is until then.
    rests_until: Option<Instant>,
    /// Steps in a row that did not help.
    misses: u32,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    answered: u64,
}

/// What a destination may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// So many sessions.
    pub(super) sessions: usize,
    /// More, perhaps, from then on.
    pub(super) again: Option<Instant>,
}

impl Growth {
    /// Without asking whether it helps: hosts that answer slowly are many, and the second costs little.
    const FREE: usize = 2;
    /// A rate is known after so many messages, or after so much time.
    const ENOUGH: u64 = 16;
    const WINDOW: Duration = Duration::from_secs(1);
    /// Fewer messages in that time prove nothing: the host is slow, and sessions with it cost us little.
    const SLOW: u64 = 8;
    /// The part of the proportional gain that a step must show.
    const GAIN: f64 = 0.25;
    /// How long it stays as it is after a step that did not help: doubled with each further one, up to the last.
    const REST: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(80));

    pub(super) fn new() -> Growth {
        Growth { allowed: Growth::FREE, window: None, before: None, rests_until: None, misses: 0 }
    }

    /// The sessions at work keep up: what was being measured says nothing.
    pub(super) fn keeps_up(&mut self) {
        (self.window, self.before) = (None, None);
    }

    /// `at_work` sessions are behind, have had `answered` messages answered in all, and there may be `most` of them.
    pub(super) fn behind(&mut self, now: Instant, at_work: usize, answered: u64, most: usize) -> Allowed {
        let stays = |sessions, again| Allowed { sessions, again };
        if at_work < self.allowed || self.allowed >= most {
            self.window = None;
            return stays(self.allowed, None);
        }
        if let Some(until) = self.rests_until.filter(|until| *until > now) {
            return stays(self.allowed, Some(until));
        }
        let window = *self.window.get_or_insert(Window { since: now, answered });
        let (count, time) = (answered - window.answered, now.saturating_duration_since(window.since));
        if count < Growth::ENOUGH && time < Growth::WINDOW {
            return stays(self.allowed, Some(window.since + Growth::WINDOW));
        }
        self.window = None;
        #[allow(clippy::cast_precision_loss)] // Counts of messages in a second.
        let rate = count as f64 / time.max(Duration::from_micros(1)).as_secs_f64();
        if let Some((sessions, earlier)) = self.before
            && count >= Growth::SLOW
        {
            #[allow(clippy::cast_precision_loss)]
            let more = self.allowed as f64 / sessions.max(1) as f64 - 1.0;
            if rate < earlier * (1.0 + Growth::GAIN * more) {
                let rest = Growth::REST.0.saturating_mul(1 << self.misses.min(8)).min(Growth::REST.1);
                self.misses = self.misses.saturating_add(1);
                (self.before, self.rests_until) = (None, Some(now + rest));
                return stays(self.allowed, self.rests_until);
            }
            self.misses = 0;
        }
        self.before = Some((self.allowed, rate));
        self.allowed = self.allowed.saturating_mul(2).min(most);
        stays(self.allowed, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    /// Sessions that are always behind, at a host that answers `rate` messages a second when there are so many of them.
    fn settled(rate: impl Fn(usize) -> f64) -> (usize, Duration) {
        let (mut growth, begin, mut answered) = (Growth::new(), clock::now(), 0.0);
        let (mut at_work, mut last) = (1, Duration::ZERO);
        for millis in 0..9000 {
            let now = Duration::from_millis(millis);
            answered += rate(at_work) / 1000.0;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let allowed = growth.behind(begin + now, at_work, answered as u64, 20).sessions;
            if allowed > at_work {
                (at_work, last) = (allowed, now);
            }
        }
        (at_work, last)
    }

    #[test]
    fn a_host_that_is_slow_gets_all_its_sessions_soon() {
        let (sessions, after) = settled(|sessions| sessions as f64 / 0.15);
        assert_eq!(sessions, 20);
        assert!(after < Duration::from_secs(5), "{after:?}");
        assert_eq!(settled(|sessions| sessions as f64 / 5.0).0, 20);
    }

    #[test]
    fn where_we_are_what_is_slow_there_is_one_step_and_no_more() {
        assert_eq!(settled(|_| 200.0).0, 4);
        assert_eq!(settled(|_| 20.0).0, 4);
    }

    #[test]
    fn a_step_that_did_not_help_is_tried_again_later() {
        let (mut growth, now) = (Growth::new(), clock::now());
        assert_eq!(growth.behind(now, 1, 0, 20), Allowed { sessions: 2, again: None });
        assert_eq!(growth.behind(now, 2, 0, 20).again, Some(now + Growth::WINDOW));
        let mut at = |millis: u64, at_work, answered| {
            growth.behind(now + Duration::from_millis(millis), at_work, answered, 20)
        };
        assert_eq!(at(1000, 2, 100).sessions, 4);
        at(1000, 4, 100);
        let rests = at(2000, 4, 200);
        assert_eq!(rests.sessions, 4);
        assert_eq!(rests.again, Some(now + Duration::from_secs(2) + Growth::REST.0));
        assert_eq!(at(12_001, 4, 1000).again, Some(now + Duration::from_millis(12_001) + Growth::WINDOW));
        assert_eq!(at(13_001, 4, 1100).sessions, 8);
    }

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let (mut growth, now) = (Growth::new(), clock::now());
        for second in 0..60 {
            let now = now + Duration::from_secs(second);
            assert!(growth.behind(now, 5, second, 5).sessions <= 5);
        }
        assert_eq!(growth.allowed, 5);
    }
}
