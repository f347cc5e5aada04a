//! The beginning: the scheduler before its thread runs takes up what the spool has held, message by message, so that a
//! queue of a million is never in memory twice.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::queue::Queue;
use super::spread::Spread;
use super::{Desk, Known, Orders, Scheduler, Terms, Wires};
use crate::delivery::{Arrival, random};
use crate::net::Ledger;
use crate::time::{Unix, clock};

/// A scheduler that does not run yet.
#[derive(Debug)]
pub struct Beginning {
    desk: Desk,
    spread: Spread,
    now: Instant,
    unix: Unix,
}

impl Beginning {
    pub(super) fn new(
        ledger: Arc<Ledger>,
        terms: Terms,
        wires: Wires,
        known: Vec<Known>,
        orders: Orders,
    ) -> Beginning {
        let mut queue = Queue::new(
            Arc::clone(&ledger),
            wires.reports.0.clone(),
            Arc::clone(&wires.pressure),
            terms.widths,
        );
        // Before any mail comes, so that nothing that is held ever stands in turn.
        queue.remember_orders(orders.held, orders.suspended);
        let (now, unix) = (clock::now(), clock::unix());
        let desk = Desk { queue, ledger, terms, wires, sweep: now };
        let mut beginning = Beginning { desk, spread: Spread::default(), now, unix };
        for Known { destination, failures, until } in known {
            let mut rest = until.since(unix).min(terms.longest_wait);
            if failures > 0 && rest.is_zero() {
                rest = beginning.begins(&destination);
            }
            beginning.desk.queue.recall(&destination, failures, rest, now);
        }
        beginning
    }

    /// A message that the spool has held.
    pub fn arrive(&mut self, arrival: Arrival) {
        let tried = arrival.next > Unix(0);
        let over = if tried && arrival.next <= self.unix {
            self.begins(&arrival.destination)
        } else {
            Duration::ZERO
        };
        self.desk.arrive(arrival, over, self.now, self.unix);
    }

    /// When what came due while we were away goes to a destination.
    fn begins(&mut self, destination: &crate::mail::Destination) -> Duration {
        let begins = self.spread.begins(destination, || (random() >> 32) as u32);
        begins.min(self.desk.terms.longest_wait)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<(Scheduler, JoinHandle<()>)> {
        let mut desk = self.desk;
        let arriving = desk.wires.arrivals.1.clone();
        let (requests, requested) = bounded(16);
        let body = move || desk.run(&arriving, &requested);
        let thread = thread::Builder::new().name("scheduler".into()).spawn(body)?;
        Ok((Scheduler { requests }, thread))
    }
}
