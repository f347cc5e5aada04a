//! The verdict on each recipient after an attempt, and where the message's place in the queue is then. Pure.

use std::time::Duration;

use super::job::Resting;
use crate::bounce::expired;
use crate::config::Config;
use crate::mail::{Blame, Failure, Outcome};
use crate::spool::Verdict;
use crate::time::{Jitter, Phase, Unix};

/// What decides about a deferral besides its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// The time, on the wall clock.
    pub(super) now: Unix,
    /// When the message was accepted.
    pub(super) accepted: Unix,
    /// Attempts before this one, the most of any of the recipients.
    pub(super) attempts: u32,
    /// How long the destination rests if it failed as a site.
    pub(super) site_rest: Duration,
    /// The spread of this retry.
    pub(super) jitter: Jitter,
}

/// The verdict on each recipient, in order. A recipient without an outcome was not tried: it is postponed, and no attempt
/// is counted.
pub(super) fn judge(
    outcomes: Vec<Option<Outcome>>,
    config: &Config,
    at: Circumstances,
) -> (Vec<Verdict>, Resting) {
    let age = at.now.since(at.accepted);
    let own = config.retry.message.wait(at.attempts + 1, at.jitter);
    let mut resting = Resting::Gone;
    let verdicts = outcomes.into_iter().map(|outcome| match outcome {
        Some(Outcome::Delivered(remote, _)) => Verdict::Delivered(Some(remote)),
        Some(Outcome::Failed(failure)) => Verdict::Failed { failure },
        Some(Outcome::Deferred(failure)) if age >= config.delivery.expire_after => {
            Verdict::Failed { failure: expired(failure, age) }
        }
        Some(Outcome::Deferred(failure)) => {
            let (wait, rests) = match rests_with_site(&failure) {
                true => (at.site_rest, Resting::WithSite),
                false => (own, Resting::For(own)),
            };
            resting = sooner(resting, rests);
            Verdict::Deferred { failure, next: at.now.after(wait) }
        }
        None => {
            resting = Resting::WithSite;
            Verdict::Postponed { next: at.now }
        }
    });
    (verdicts.collect(), resting)
}

/// A failure before the message was spoken of is the site's alone, and the message goes when the site does. One that came
/// later also gives the message a time of its own: it may be this message that the site cannot stand, and it must not be
/// the first to go at every try.
fn rests_with_site(failure: &Failure) -> bool {
    failure.blame == Blame::Site && failure.phase < Phase::Mail
}

/// Recipients of one destination are tried together, at the earlier time.
fn sooner(a: Resting, b: Resting) -> Resting {
    match (a, b) {
        (Resting::Gone, other) | (other, Resting::Gone) => other,
        (Resting::WithSite, _) | (_, Resting::WithSite) => Resting::WithSite,
        (Resting::For(a), Resting::For(b)) => Resting::For(a.min(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Diagnostic, Remote};
    use crate::smtp::{EnhancedStatus, Reply};

    fn failure(blame: Blame, phase: Phase, class: u8) -> Failure {
        Failure {
            blame,
            phase,
            status: EnhancedStatus::new(class, 0, 0),
            diagnostic: Diagnostic::Local("x".into()),
            remote: None,
            duplicate: false,
        }
    }

    fn at(age: i64) -> Circumstances {
        Circumstances {
            now: Unix(1_000_000 + age),
            accepted: Unix(1_000_000),
            attempts: 0,
            site_rest: Duration::from_secs(60),
            jitter: Jitter::NONE,
        }
    }

    fn one(outcome: Option<Outcome>, age: i64) -> (Verdict, Resting) {
        let (mut verdicts, resting) = judge(vec![outcome], &Config::default(), at(age));
        (verdicts.remove(0), resting)
    }

    #[test]
    fn a_site_takes_its_messages_with_it_until_they_are_spoken_of() {
        let (_, resting) = one(Some(Outcome::of(failure(Blame::Site, Phase::Banner, 4))), 1);
        assert_eq!(resting, Resting::WithSite);
        let (_, resting) = one(Some(Outcome::of(failure(Blame::Site, Phase::FinalDot, 4))), 1);
        assert_eq!(resting, Resting::For(Duration::from_secs(300)));
    }

    #[test]
    fn a_deferral_expires_a_postponement_does_not_count() {
        let late = 5 * 86_400;
        let (verdict, resting) = one(Some(Outcome::of(failure(Blame::Recipient, Phase::Rcpt, 4))), late);
        assert!(matches!(verdict, Verdict::Failed { .. }) && resting == Resting::Gone);
        let (verdict, resting) = one(None, late);
        assert!(matches!(verdict, Verdict::Postponed { .. }) && resting == Resting::WithSite);
    }

    #[test]
    fn what_is_decided_for_all_leaves_nothing() {
        let remote = Remote::new("mx", None);
        let outcomes = vec![
            Some(Outcome::Delivered(remote, Reply::new(250, "ok"))),
            Some(Outcome::of(failure(Blame::Recipient, Phase::Rcpt, 5))),
        ];
        assert_eq!(judge(outcomes, &Config::default(), at(1)).1, Resting::Gone);
    }
}
