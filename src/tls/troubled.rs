//! Addresses whose last TLS handshake came to nothing: where nobody insists on TLS, they get their mail in the clear for a
//! while, so that not every message pays for finding out again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The addresses, each with its port, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Troubled {
    notes: Mutex<HashMap<SocketAddr, (Instant, Arc<str>)>>,
}

impl Troubled {
    /// How long a handshake that failed is remembered. A handshake that is never answered costs two minutes and a rest of its
    /// destination; once an hour is often enough.
    const WHILE: Duration = Duration::from_secs(3600);
    /// The most addresses.
    const MOST: usize = 10_000;

    /// A handshake failed.
    pub(super) fn note(&self, address: SocketAddr, now: Instant, words: &str) {
        let mut notes = self.notes.lock();
        if notes.len() >= Troubled::MOST && !notes.contains_key(&address) {
            notes.retain(|_, (since, _)| now.saturating_duration_since(*since) < Troubled::WHILE);
            if notes.len() >= Troubled::MOST {
                // What is lost is found out again.
                notes.clear();
            }
        }
        notes.insert(address, (now, words.into()));
    }

    /// What went wrong with `address` lately, if something did.
    pub(super) fn lately(&self, address: SocketAddr, now: Instant) -> Option<Arc<str>> {
        let mut notes = self.notes.lock();
        let (since, words) = notes.get(&address)?;
        if now.saturating_duration_since(*since) < Troubled::WHILE {
            return Some(Arc::clone(words));
        }
        notes.remove(&address);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;

    #[test]
    fn trouble_is_forgotten_after_a_while_and_never_too_much() {
        let (troubled, now) = (Troubled::default(), clock::now());
        let address = |n: u32| SocketAddr::from((n.to_be_bytes(), 25));
        troubled.note(address(1), now, "reset");
        assert_eq!(troubled.lately(address(1), now + Troubled::WHILE / 2).as_deref(), Some("reset"));
        assert_eq!(troubled.lately(address(2), now), None);
        assert_eq!(troubled.lately(address(1), now + Troubled::WHILE), None);
        for n in 0..25_000 {
            troubled.note(address(n), now, "reset");
            assert!(troubled.notes.lock().len() <= Troubled::MOST);
        }
        assert!(troubled.lately(address(24_999), now).is_some());
    }
}
