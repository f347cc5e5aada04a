//! The gate: whether a client is who it says it is, and what it costs to have said so in vain.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};

use super::checks::Checks;
use super::tries::Tries;
use super::{Claim, Evidence, Kept, Users, UsersFile};

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is true.
    True,
    /// It is not; the answer is to leave so long after the claim was heard.
    False(Duration),
    /// Nobody had the time to find out.
    Busy,
    /// This address has failed too often to be heard now.
    TooOften,
}

/// The gate of the house.
#[derive(Debug)]
pub struct Gate {
    users: Kept<UsersFile>,
    tries: Tries,
    checks: Checks,
    random: SystemRandom,
}

impl Gate {
    /// How long a claim waits in line for its check.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// A gate for these users.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(users: UsersFile) -> Result<Gate, String> {
        let (tries, checks) = (Tries::default(), Checks::fitting());
        Ok(Gate { users: Kept::open(users)?, tries, checks, random: SystemRandom::new() })
    }

    /// Where the users are kept.
    pub fn source(&self) -> &Kept<UsersFile> {
        &self.users
    }

    /// The users in force, if there are any to be.
    pub fn users(&self) -> Arc<Option<Users>> {
        self.users.get()
    }

    /// Our half of a nonce: 24 random printable octets. `None` when the system has no random numbers.
    pub fn nonce(&self) -> Option<String> {
        let mut octets = [0; 18];
        self.random.fill(&mut octets).ok()?;
        Some(STANDARD.encode(octets))
    }

    /// Whether `claim` is true; `now` is when it was heard from `client`. Takes the time of a check, and five seconds at most
    /// to begin it.
    pub fn judge(&self, claim: &Claim, client: IpAddr, now: Instant) -> Verdict {
        if self.tries.is_too_much(client, now) {
            return Verdict::TooOften;
        }
        let users = self.users.get();
        let truth = match (&claim.evidence, users.as_ref()) {
            (Evidence::Proof(proof), _) => proof.is_some(),
            (Evidence::Password(_), None) => false,
            (Evidence::Password(password), Some(users)) => {
                let Some(_check) = self.checks.enter(Gate::PATIENCE) else { return Verdict::Busy };
                // Those that came at once wait in line here, and none of them had failed when it came.
                if self.tries.is_too_much(client, now) {
                    return Verdict::TooOften;
                }
                users.is(&claim.name, password)
            }
        };
        if truth { Verdict::True } else { Verdict::False(self.tries.failed(client, now)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Verifier;
    use crate::smtp::Secret;
    use crate::time::clock;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn claims_are_judged_and_failures_cost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, format!("ann:{}\n", Verifier::of(b"sesame", [1; 16]))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let gate = Gate::open(UsersFile(Some(path))).unwrap();
        let (now, client) = (clock::now(), "192.0.2.1".parse().unwrap());
        let try_it = |name: &str, evidence| gate.judge(&Claim { name: name.into(), evidence }, client, now);
        let password = |text: &str| Evidence::Password(Secret::from(text.as_bytes()));
        assert_eq!(try_it("ann", password("sesame")), Verdict::True);
        let (half, one) = (Duration::from_millis(500), Duration::from_secs(1));
        assert_eq!(try_it("ann", password("x")), Verdict::False(half));
        assert_eq!(try_it("nobody", password("sesame")), Verdict::False(one));
        assert_eq!(try_it("ann", Evidence::Proof(Some("v=".into()))), Verdict::True);
        for _ in 0..30 {
            try_it("ann", Evidence::Proof(None));
        }
        assert_eq!(try_it("ann", password("sesame")), Verdict::TooOften);
        assert_ne!(gate.nonce(), gate.nonce());
        let empty = Gate::open(UsersFile(None)).unwrap();
        assert!(empty.users().is_none());
    }

    /// Whoever opened a hundred sessions had a hundred tries at once, and not thirty: each looked before it waited in line.
    #[test]
    fn tries_at_the_same_time_are_no_more_than_tries_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        // Few rounds: all of them would have their turn within the patience of the line.
        let pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                      wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        fs::write(&path, format!("ann:{pencil}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let gate = Gate::open(UsersFile(Some(path))).unwrap();
        let (now, client) = (clock::now(), "192.0.2.1".parse().unwrap());
        // All are in line before the first of them is heard.
        let line: Vec<_> = std::iter::from_fn(|| gate.checks.enter(Duration::ZERO)).collect();
        let abreast = line.len();
        let judged = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let evidence = Evidence::Password(Secret::from(&b"x"[..]));
                    let claim = Claim { name: "ann".into(), evidence };
                    if matches!(gate.judge(&claim, client, now), Verdict::False(_)) {
                        judged.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            std::thread::yield_now();
            drop(line);
        });
        let judged = judged.into_inner();
        assert!(judged <= 30 + 2 * abreast, "{judged} tries");
    }
}
