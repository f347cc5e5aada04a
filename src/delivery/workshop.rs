//! What every worker works with: the spool, the resolver, the session table, the settings, and the wires to the scheduler.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use parking_lot::RwLock;

use super::job::{self, Arrival, Report};
use crate::client::{Manner, Security};
use crate::config::Config;
use crate::dns::{Own, Resolver};
use crate::mail::Destination;
use crate::metrics::METRICS;
use crate::net::{Addresses, Pressure, Sessions};
use crate::sasl::Credentials;
use crate::spool::{Accepted, Spool};
use crate::time::{Jitter, Unix};
use crate::tls::Outbound;

/// The workers' tools.
pub struct Workshop {
    /// Where mail is kept.
    pub spool: Arc<Spool>,
    /// Who is asked for routes. Replaced when the settings are.
    pub resolver: RwLock<Arc<Resolver>>,
    /// The session table.
    pub sessions: Arc<Sessions>,
    /// The settings in force.
    pub config: Arc<RwLock<Arc<Config>>>,
    /// Who we are.
    pub own: RwLock<Arc<Own>>,
    /// What TLS handshakes are made with. Replaced when the settings are.
    pub tls: RwLock<Arc<Outbound>>,
    /// Who we are at smart hosts. Replaced when the settings are.
    pub credentials: RwLock<Arc<Credentials>>,
    /// To the scheduler: what was done.
    pub reports: Sender<Report>,
    /// To the scheduler: letters of our own, once they are durable.
    pub arrivals: Sender<Arrival>,
    /// Somebody waits for a seat: idle sessions end.
    pub pressure: Arc<Pressure>,
    /// What is known of addresses.
    pub addresses: Arc<Addresses>,
    /// We are shutting down: nobody takes another message.
    pub stopping: AtomicBool,
    /// Panics that have been caught. Each is a defect.
    pub panics: AtomicU64,
}

impl Workshop {
    /// How long a worker waits for the spool. What it has to write is kept and written later if that is not enough.
    pub(super) const SPOOL: Duration = Duration::from_secs(30);

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read())
    }

    /// How a destination is spoken to.
    pub(super) fn manner(&self, config: &Config, destination: &Destination) -> Arc<Manner> {
        let credential = self.credentials.read().of(destination);
        let outbound = Arc::clone(&self.tls.read());
        let security = Security::towards(&config.tls, destination, outbound, credential);
        let (hostname, timeouts) = (config.hostname.clone(), config.timeouts.clone());
        Arc::new(Manner { hostname, timeouts, security })
    }

    pub(super) fn report(&self, report: Report) {
        job::report(&self.reports, report);
    }

    pub(super) fn arrive(&self, arrival: Arrival) {
        arrive(&self.arrivals, arrival);
    }

    /// Whether an idle session should end: somebody waits for its seat, or we are shutting down.
    pub(super) fn pressed(&self) -> bool {
        self.pressure.is_on() || self.is_stopping()
    }

    pub(super) fn panicked(&self, where_: &str) {
        self.panics.fetch_add(1, Ordering::Relaxed);
        METRICS.panics.one();
        log::error!(
            "a worker panicked ({where_}): its slot is back, its message waits and will be tried again"
        );
    }

    /// From now on nobody takes another message; what is in hand is brought to its end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Tells the scheduler of mail that has become durable. It waits, for a bounded time, while the scheduler has more in hand
/// than it can take; after that the message is left to the next start, which takes up everything.
pub fn announce(arrivals: &Sender<Arrival>, accepted: Accepted, at: Unix) {
    let id = accepted.id();
    for (destination, fresh) in accepted.entries() {
        arrive(arrivals, Arrival { id, destination, fresh, next: Unix(0), accepted: at });
    }
}

fn arrive(arrivals: &Sender<Arrival>, arrival: Arrival) {
    if let Err(SendTimeoutError::Timeout(arrival)) = arrivals.send_timeout(arrival, Duration::from_secs(30)) {
        log::error!("id={}: the scheduler takes nothing; the message waits in the spool", arrival.id);
    }
}

/// Random bits: they spread retries and order hosts, and need no secrecy. So the system is asked once a thread and not with
/// each message; from there on it is splitmix64.
pub fn random() -> u64 {
    thread_local!(static STATE: Cell<u64> = Cell::new(seed()));
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn seed() -> u64 {
    use ring::rand::SecureRandom;
    let mut bits = [0; 8];
    // A system without random numbers gets no spread, and its mail all the same.
    let _ = ring::rand::SystemRandom::new().fill(&mut bits);
    u64::from_ne_bytes(bits)
}

/// Jitter for one retry.
pub(super) fn jitter() -> Jitter {
    Jitter::from_bits((random() >> 32) as u32)
}
