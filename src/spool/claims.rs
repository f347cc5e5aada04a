//! Which (message, destination) is being worked, so that none is worked twice; and which has never been, so that what was
//! kept in memory at acceptance still says the truth about it.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::SpoolError;
use crate::mail::{Destination, QueueId};

/// A message, for one destination.
pub(super) type Key = (QueueId, Destination);

#[derive(Default)]
struct State {
    claimed: HashSet<Key>,
    untouched: HashSet<Key>,
}

/// The claims of this process. They need no disk: a process that died holds none.
#[derive(Default)]
pub(super) struct Claims(Mutex<State>);

/// A claim. Its Drop gives it back, unless it is held for a settlement that is not on disk yet.
pub(super) struct Claim {
    claims: Arc<Claims>,
    key: Key,
    held: bool,
}

impl Claims {
    /// Claims `key`; says whether this is the first claim since [`Claims::mark`].
    pub(super) fn claim(self: &Arc<Self>, key: Key) -> Result<(Claim, bool), SpoolError> {
        let mut state = self.0.lock();
        let untouched = state.untouched.remove(&key);
        if !state.claimed.insert(key.clone()) {
            return Err(SpoolError::Claimed(key.0));
        }
        Ok((Claim { claims: Arc::clone(self), key, held: false }, untouched))
    }

    /// From now on the first claim of `key` is known to be the first.
    pub(super) fn mark(&self, key: Key) {
        self.0.lock().untouched.insert(key);
    }

    /// Forgets the mark: what was kept in memory is gone.
    pub(super) fn unmark(&self, key: &Key) {
        self.0.lock().untouched.remove(key);
    }
}

impl Claim {
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// From now on only [`Claim::release`] gives it back. A settlement that got lost with a dead writer keeps its claim:
    /// better not tried again before a restart than delivered twice.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Gives it back: the settlement is on disk.
    pub(super) fn release(mut self) {
        self.held = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.held {
            self.claims.0.lock().claimed.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        (QueueId::from_row(1), Destination::parse("a.example").unwrap())
    }

    #[test]
    fn a_claim_is_exclusive_and_its_drop_gives_it_back() {
        let claims = Arc::new(Claims::default());
        let (claim, _) = claims.claim(key()).unwrap();
        assert!(claims.claim(key()).is_err());
        drop(claim);
        let (mut claim, _) = claims.claim(key()).unwrap();
        claim.hold();
        drop(claim);
        assert!(claims.claim(key()).is_err(), "a held claim outlives its value");
    }

    #[test]
    fn only_the_first_claim_is_the_first() {
        let claims = Arc::new(Claims::default());
        claims.mark(key());
        assert!(claims.claim(key()).unwrap().1);
        assert!(!claims.claim(key()).unwrap().1);
    }
}
