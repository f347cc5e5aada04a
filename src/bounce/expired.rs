//! A message that was tried for too long: its last deferral becomes a failure.

use std::time::Duration;

use crate::mail::{Blame, Diagnostic, Failure};
use crate::smtp::EnhancedStatus;
use crate::time::Phase;

/// "Delivery time expired" (RFC 3463, 3.5), as a failure.
pub const EXPIRED: EnhancedStatus = EnhancedStatus::new(5, 4, 7);

/// "Other or undefined mail system status" (RFC 3463, 3.4): the operator of this system has given it up.
pub const RETURNED: EnhancedStatus = EnhancedStatus::new(5, 3, 0);

/// The failure of a recipient that an operator gives up, in the operator's words.
pub fn returned(reason: &str) -> Failure {
    Failure {
        blame: Blame::Message,
        phase: Phase::Dns,
        status: RETURNED,
        diagnostic: Diagnostic::Local(reason.to_owned()),
        remote: None,
        duplicate: false,
    }
}

/// The failure of a recipient whose last deferral was `failure`, given up after `age`. A reply that a server really gave stays
/// the diagnostic; where there was none, the words say how long it was tried, and of the last attempt which host, what and
/// when.
pub fn expired(failure: Failure, age: Duration) -> Failure {
    let diagnostic = match &failure.diagnostic {
        Diagnostic::Smtp(reply) => Diagnostic::Smtp(reply.clone()),
        Diagnostic::Local(_) => {
            Diagnostic::Local(format!("gave up after {}; last: {failure}", in_words(age)))
        }
    };
    Failure { status: EXPIRED, diagnostic, ..failure }
}

/// A span of time in its two largest units: `5 days`, `1 hour 30 minutes`. Less is left out, and zero is `0 seconds`.
pub fn in_words(age: Duration) -> String {
    let mut left = age.as_secs();
    let mut parts = Vec::new();
    for (unit, seconds) in [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)] {
        let count = left / seconds;
        left %= seconds;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        } else if !parts.is_empty() {
            break;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Remote;
    use crate::smtp::Reply;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn our_own_words_name_the_last_host_and_the_servers_stay_its_own() {
        let failure = Failure {
            blame: Blame::Site,
            phase: Phase::Banner,
            status: EnhancedStatus::new(4, 4, 2),
            diagnostic: Diagnostic::Local("timed out".into()),
            remote: Some(Remote::new("mx.example", Some([192, 0, 2, 1].into()))),
            duplicate: true,
        };
        let given_up = expired(failure.clone(), 5 * DAY);
        let words = "gave up after 5 days; last: mx.example[192.0.2.1] timed out while waiting for the banner; \
                     possible duplicate";
        assert_eq!(given_up.diagnostic, Diagnostic::Local(words.to_owned()));
        assert_eq!((given_up.status, given_up.duplicate), (EXPIRED, true));

        let said = Diagnostic::Smtp(Reply::new(451, "4.3.0 later"));
        let given_up = expired(Failure { diagnostic: said.clone(), ..failure }, 5 * DAY);
        assert_eq!((given_up.diagnostic, given_up.status.to_string().as_str()), (said, "5.4.7"));
    }

    #[test]
    fn ages_are_said_in_two_units() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (5_400, "1 hour 30 minutes"),
            (432_000, "5 days"),
            (432_059, "5 days"),
            (93_784, "1 day 2 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
