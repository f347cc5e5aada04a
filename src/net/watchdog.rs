//! The watchdog: cuts sessions that are past their deadline though their own thread should have left.
//!
//! Every read and write ends by itself ([`super::Stream`]); this thread is for the defect nobody thought of. A session it
//! has to cut is logged as an error, because it is one: ours.
//!
//! Under [`Pressure`] it also ends the patience with hosts that let us wait for their banner.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use parking_lot::RwLock;

use super::{Pressure, Sessions};
use crate::config::Config;
use crate::metrics::{Cut, METRICS};
use crate::time::clock;

/// A running watchdog; stopped and joined by Drop.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// How often it looks.
    const ROUND: Duration = Duration::from_millis(20);
    /// The part of the pool that may lose its seats to others in one round. Sessions that began together would end together,
    /// and six hundred threads that settle, look up and connect at one moment keep healthy mail waiting for a processor
    /// (measured: 100 ms). So the whole pool is turned over within five seconds, not within one round.
    const PART: usize = 250;
    /// What a thread gets beyond its deadline to leave by itself.
    const GRACE: Duration = Duration::from_secs(1);

    /// Watches `sessions`, with the patience of the settings in force (`timeouts.patience`).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        sessions: Arc<Sessions>,
        pressure: Arc<Pressure>,
        config: Arc<RwLock<Arc<Config>>>,
    ) -> std::io::Result<Watchdog> {
        let (stop, stopped) = bounded::<()>(0);
        let rounds = move || {
            // Nothing is ever sent: the wait ends by its time, or because the other end is gone.
            while stopped.recv_timeout(Watchdog::ROUND) == Err(RecvTimeoutError::Timeout) {
                for view in sessions.cut_overdue(clock::now(), Watchdog::GRACE) {
                    METRICS.cuts.of(Cut::Overdue as usize).one();
                    let (id, destination, phase) = (view.id, view.destination, view.phase);
                    log::error!(
                        "session={id} destination={destination} phase={phase}: past its deadline, cut by the watchdog"
                    );
                }
                let (patience, pool) = {
                    let config = config.read();
                    (config.timeouts.patience, config.delivery.workers)
                };
                let most = (pool / Watchdog::PART).max(1);
                for view in sessions.cut_impatient(clock::now(), patience, &pressure, most) {
                    METRICS.cuts.of(Cut::Patience as usize).one();
                    let (id, destination, phase) = (view.id, view.destination, view.phase);
                    log::info!(
                        "session={id} destination={destination} phase={phase}: gives its seat to a destination that waits"
                    );
                }
            }
        };
        let thread = thread::Builder::new().name("watchdog".into()).stack_size(256 << 10).spawn(rounds)?;
        Ok(Watchdog { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the watchdog has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Destination;
    use crate::net::{Caps, Ledger, Standing, Stream};
    use crate::time::{Deadline, Limit};
    use std::io::Read;
    use std::net::{SocketAddr, TcpListener};

    /// A thread that waits far beyond what the table says: the defect the watchdog is for.
    #[test]
    fn a_wedged_thread_is_woken() {
        let sessions = Sessions::new();
        let config = Arc::new(RwLock::new(Arc::new(Config::default())));
        let _watchdog = Watchdog::start(Arc::clone(&sessions), Arc::default(), config).unwrap();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (now, peer) = (clock::now(), listener.local_addr().unwrap());
        let mut stream = Stream::dial(peer, Deadline::within(now, Duration::from_secs(600))).unwrap();
        let destination = Destination::parse("example.org").unwrap();
        let (freed, _) = crossbeam_channel::bounded(1);
        let caps = Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 };
        let slot = Ledger::new(caps, freed).try_acquire(&destination, Standing::New, 1).unwrap();
        let session = sessions.enter(&slot, now, &Deadline::within(now, Duration::from_millis(10)));
        session.attach("mx.example.org", peer, stream.line());
        assert!(stream.read(&mut [0; 8]).is_err());
        assert_eq!(session.cut(), Some(Limit::Phase));
    }
}
