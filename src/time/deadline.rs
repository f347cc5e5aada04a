//! A deadline: the narrowest of the limits that hold at the moment.
//!
//! SO_RCVTIMEO bounds one `recv`, not a phase: a peer that drips a byte every four minutes would live for ever. So a
//! [`Deadline`] holds the end of the phase, the end of the session and, while a body is sent, a minimum data rate. Each
//! read and each write asks for what [`Remaining`] there is; when nothing remains, [`Expired`] says which limit fired.

use std::fmt;
use std::time::{Duration, Instant};

/// Which limit ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The limit of the phase.
    Phase,
    /// The limit of the session as a whole.
    Session,
    /// The minimum data rate.
    Rate,
    /// Sendoff is shutting down, and the grace period is over.
    Shutdown,
    /// Somebody else needed the seat more (`timeouts.patience`).
    Patience,
    /// An operator has ended the session.
    Operator,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Phase => "time limit of the phase",
            Limit::Session => "time limit of the session",
            Limit::Rate => "minimum data rate",
            Limit::Shutdown => "shutdown",
            Limit::Patience => "patience under pressure",
            Limit::Operator => "the operator's word",
        })
    }
}

/// A wait that has reached its end, and by which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired(pub Limit);

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Limit::Operator => f.write_str("cut by the operator"),
            limit => write!(f, "timed out ({limit})"),
        }
    }
}

impl std::error::Error for Expired {}

/// What remains of a wait. Never zero: to a socket, a time-out of zero means "for ever", and socket2 takes it (and
/// anything under a microsecond) without complaint.
///
/// Made only by [`Deadline::remaining`]; every socket time-out needs one.
///
/// ```compile_fail
/// use sendoff::time::Remaining;
/// let forever = Remaining(std::time::Duration::ZERO); // the field is private
/// ```
/// ```
/// use sendoff::time::{Deadline, clock};
/// use std::time::Duration;
/// let now = clock::now();
/// let deadline = Deadline::within(now, Duration::from_secs(5));
/// assert_eq!(deadline.remaining(now).unwrap().get(), Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remaining(Duration);

impl Remaining {
    /// The smallest wait: the kernel counts socket time-outs in jiffies, and less would only spin.
    pub const LEAST: Duration = Duration::from_millis(1);

    /// The time left; at least [`Remaining::LEAST`].
    pub fn get(self) -> Duration {
        self.0
    }
}

/// The minimum data rate of a body in flight.
#[derive(Clone, Copy, Debug)]
struct Pace {
    started: Instant,
    bytes: u64,
    per_second: u64,
    grace: Duration,
}

impl Pace {
    fn ends(&self) -> Instant {
        let earned = self.bytes.saturating_mul(1000) / self.per_second.max(1);
        let end = self
            .started
            .checked_add(self.grace)
            .and_then(|end| end.checked_add(Duration::from_millis(earned)));
        end.unwrap_or(self.started)
    }
}

/// The limits that hold now: the end of the phase, of the session, and of the patience with a slow body.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    phase: Instant,
    session: Instant,
    pace: Option<Pace>,
}

impl Deadline {
    /// A deadline `limit` from `now`; phase and session are the same until [`Deadline::enter`].
    pub fn within(now: Instant, limit: Duration) -> Deadline {
        let end = far(now, limit);
        Deadline { phase: end, session: end, pace: None }
    }

    /// Begins a phase that may take `limit`. The session's end stays, a data rate ends.
    pub fn enter(&mut self, now: Instant, limit: Duration) {
        self.phase = far(now, limit);
        self.pace = None;
    }

    /// From `now` on at least `per_second` bytes a second must pass on average, after a `grace`.
    pub fn demand(&mut self, now: Instant, per_second: u64, grace: Duration) {
        self.pace = Some(Pace { started: now, bytes: 0, per_second, grace });
    }

    /// `bytes` have passed: the block's limit starts anew, and the data rate is credited.
    pub fn progress(&mut self, now: Instant, bytes: usize, block: Duration) {
        if let Some(pace) = &mut self.pace {
            pace.bytes = pace.bytes.saturating_add(bytes as u64);
            self.phase = far(now, block);
        }
    }

    /// The moment the narrowest limit fires, and which it is.
    pub fn ends(&self) -> (Instant, Limit) {
        let mut narrowest = (self.phase, Limit::Phase);
        if self.session < narrowest.0 {
            narrowest = (self.session, Limit::Session);
        }
        if let Some(pace) = &self.pace
            && pace.ends() < narrowest.0
        {
            narrowest = (pace.ends(), Limit::Rate);
        }
        narrowest
    }

    /// What remains at `now`.
    ///
    /// # Errors
    /// [`Expired`], with the limit that fired, when nothing remains.
    pub fn remaining(&self, now: Instant) -> Result<Remaining, Expired> {
        let (end, limit) = self.ends();
        match end.checked_duration_since(now) {
            Some(left) if !left.is_zero() => Ok(Remaining(left.max(Remaining::LEAST))),
            _ => Err(Expired(limit)),
        }
    }
}

/// `now + limit`, or a day when that cannot be represented: a wait without an end does not exist here.
fn far(now: Instant, limit: Duration) -> Instant {
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_narrowest_limit_fires_and_is_named() {
        let now = clock::now();
        let mut deadline = Deadline::within(now, 10 * SECOND);
        deadline.enter(now, 5 * SECOND);
        assert_eq!(deadline.remaining(now + 5 * SECOND), Err(Expired(Limit::Phase)));
        deadline.enter(now + 4 * SECOND, 60 * SECOND);
        assert_eq!(deadline.remaining(now + 9 * SECOND).map(Remaining::get), Ok(SECOND));
        assert_eq!(deadline.remaining(now + 10 * SECOND), Err(Expired(Limit::Session)));
    }

    #[test]
    fn nothing_that_remains_is_ever_zero() {
        let now = clock::now();
        let deadline = Deadline::within(now, Duration::from_nanos(3));
        assert_eq!(deadline.remaining(now).map(Remaining::get), Ok(Remaining::LEAST));
        assert!(deadline.remaining(now + Duration::from_nanos(3)).is_err());
    }

    #[test]
    fn a_dripped_body_is_ended_by_its_rate() {
        let now = clock::now();
        let mut deadline = Deadline::within(now, 10_000 * SECOND);
        deadline.enter(now, 180 * SECOND);
        deadline.demand(now, 500, 10 * SECOND);
        let mut at = now;
        // One byte a second is far below 500: the grace of 10 s is all it gets.
        while deadline.remaining(at).is_ok() {
            at += SECOND;
            deadline.progress(at, 1, 180 * SECOND);
            assert!(at < now + 20 * SECOND, "a drip must not live on");
        }
        assert_eq!(deadline.ends().1, Limit::Rate);
    }

    #[test]
    fn a_limit_beyond_the_clock_is_no_panic() {
        let now = clock::now();
        assert!(Deadline::within(now, Duration::MAX).remaining(now).is_ok());
    }
}
