//! The scheduler (floor 5): what goes next, to whom, and when.
//!
//! One thread owns the `queue`. It hears of arrivals, of reports and of what the ledger has got back, and hands out jobs
//! with their slots. It does no disk and no network I/O, so nothing that misbehaves outside can make it wait.

mod beginning;
#[cfg(test)]
mod bugs;
mod dispatch;
mod door;
mod growth;
mod orders;
#[cfg(test)]
mod orders_tests;
mod overdue;
mod pace;
mod queue;
mod record;
mod site;
mod spread;
mod summary;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use crate::delivery::{Arrival, Job, Report};
use crate::mail::{Destination, QueueId};
use crate::net::{Freed, Ledger, Pressure};
use crate::time::{Unix, clock};
pub use beginning::Beginning;
use door::Order;
pub use orders::Withdrawn;
use queue::Queue;
pub use record::Record;
pub use site::Widths;
pub use summary::Summary;
pub use view::{SiteView, WhyNot};

/// What was known of a destination before the restart.
#[derive(Clone, Debug)]
pub struct Known {
    /// The destination.
    pub destination: Destination,
    /// Failures as a site, in a row; 0 for one that is proven.
    pub failures: u32,
    /// It rests until then.
    pub until: Unix,
}

/// What operators ordered before the restart.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Messages that are held.
    pub held: Vec<QueueId>,
    /// Destinations that are suspended.
    pub suspended: Vec<Destination>,
}

/// The settings the scheduler goes by.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a message is tried.
    pub expire_after: Duration,
    /// After how long its reverse-path is told that it is late.
    pub delay_notice: Option<Duration>,
    /// The longest that a message or a destination is ever told to wait: what the disk says beyond it was written by a
    /// clock that has gone back since.
    pub longest_wait: Duration,
    /// How wide destinations are that are not proven.
    pub widths: Widths,
}

/// The wires of the scheduler's thread.
#[derive(Debug)]
pub struct Wires {
    /// Where mail that has become durable comes from.
    pub arrivals: (Sender<Arrival>, Receiver<Arrival>),
    /// Where jobs go; has room for every seat of the pool.
    pub jobs: Sender<Job>,
    /// Where reports come from.
    pub reports: (Sender<Report>, Receiver<Report>),
    /// Where the ledger tells what it has got back.
    pub freed: Receiver<Freed>,
    /// Where it is said who waits for a seat.
    pub pressure: Arc<Pressure>,
}

/// A question or an order to the scheduler's thread.
enum Request {
    Terms(Terms),
    Order(Order),
    Reconsider,
    Stop,
}

/// The door to the scheduler. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scheduler {
    requests: Sender<Request>,
}

impl Scheduler {
    /// How long a question waits for the scheduler, which answers in microseconds.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// How often the whole queue is looked through for what has expired.
    const SWEEP: Duration = Duration::from_millis(500);
    /// How soon it goes on when more have expired than may be out at a time: a million are gone in minutes.
    const SWEEP_ON: Duration = Duration::from_millis(5);
    /// The most overdue messages that are out at a time: a quarter of the pool, and within these bounds, so that jobs with
    /// slots never wait long behind them, and the spool writes many with one sync.
    const OVERDUE: (usize, usize) = (16, 256);
    /// The most events taken before jobs are handed out.
    const BURST: usize = 1024;

    /// A scheduler that does not run yet: it is given what the spool held, and then started. `known` is what was known of
    /// destinations before the restart, `orders` what an operator had ordered.
    pub fn begin(
        ledger: Arc<Ledger>,
        terms: Terms,
        wires: Wires,
        known: Vec<Known>,
        orders: Orders,
    ) -> Beginning {
        Beginning::new(ledger, terms, wires, known, orders)
    }

    /// Other settings from now on, for messages that are queued as well.
    pub fn set_terms(&self, terms: Terms) {
        if self.requests.send_timeout(Request::Terms(terms), Scheduler::PATIENCE).is_err() {
            log::error!("the scheduler takes no settings");
        }
    }

    /// The settings may have made better what has failed: every destination that rests is tried once more.
    pub fn reconsider(&self) {
        if self.requests.send_timeout(Request::Reconsider, Scheduler::PATIENCE).is_err() {
            log::error!("the scheduler does not reconsider");
        }
    }

    /// No further jobs: the pool runs out of work and its threads end.
    pub fn stop(&self) {
        // A scheduler that is gone has stopped.
        let _ = self.requests.send_timeout(Request::Stop, Scheduler::PATIENCE);
    }
}

/// What the thread owns. The order of the fields is the order of their drop: the wires go first, so that the pool ends, and
/// so that tickets which are dropped with the queue do not wait for somebody to read their reports.
#[derive(Debug)]
struct Desk {
    wires: Wires,
    queue: Queue,
    ledger: Arc<Ledger>,
    terms: Terms,
    /// When the queue is looked through next for what has expired.
    sweep: Instant,
}

impl Desk {
    fn run(&mut self, arriving: &Receiver<Arrival>, requested: &Receiver<Request>) {
        let (reports, freed) = (self.wires.reports.1.clone(), self.wires.freed.clone());
        loop {
            let wait = self.hand_out(clock::now());
            select! {
                recv(arriving) -> arrival => if let Ok(arrival) = arrival {
                    self.arrive(arrival, Duration::ZERO, clock::now(), clock::unix());
                },
                recv(reports) -> report => if let Ok(report) = report {
                    self.queue.report(report, clock::now());
                },
                recv(freed) -> freed => if let Ok(freed) = freed {
                    self.queue.freed(&freed, clock::now());
                },
                recv(requested) -> request => match request {
                    Ok(Request::Stop) | Err(_) => return,
                    Ok(request) => self.answer(request),
                },
                default(wait) => {}
            }
            let now = clock::now();
            // What has gathered meanwhile is one look at the queue, not many.
            freed.try_iter().take(Scheduler::BURST).for_each(|freed| self.queue.freed(&freed, now));
            reports.try_iter().take(Scheduler::BURST).for_each(|report| self.queue.report(report, now));
            let unix = clock::unix();
            arriving.try_iter().take(Scheduler::BURST).for_each(|arrival| {
                self.arrive(arrival, Duration::ZERO, now, unix);
            });
        }
    }

    /// Hands out what may go, and says how long nothing will become due by itself.
    fn hand_out(&mut self, now: Instant) -> Duration {
        if self.ledger.missed() {
            self.queue.look_at_all(now);
        }
        let jobs = &self.wires.jobs;
        let mut send = |job| {
            // The channel has room for every slot and every overdue message there can be; a job that does not fit is
            // dropped, which gives its slot back and its ticket to the queue.
            if jobs.try_send(job).is_err() {
                log::error!("the pool takes no jobs");
            }
        };
        self.queue.dispatch(now, &mut send);
        if now >= self.sweep {
            let notice = self.terms.delay_notice.map(|late| self.terms.expire_after.saturating_sub(late));
            let most = (self.ledger.caps().pool / 4).clamp(Scheduler::OVERDUE.0, Scheduler::OVERDUE.1);
            let more = self.queue.overdue(now, notice, most, &mut send);
            self.sweep = now + if more { Scheduler::SWEEP_ON } else { Scheduler::SWEEP };
        }
        let next = self.queue.next_wake().map_or(self.sweep, |at| at.min(self.sweep));
        next.saturating_duration_since(now)
    }

    /// Mail for the queue, which goes after `least` at the earliest.
    fn arrive(&mut self, arrival: Arrival, least: Duration, now: Instant, unix: Unix) {
        // In whole seconds, as the worker counts who has the last word; a clock that went back prolongs nothing.
        let patience = Unix(0).after(self.terms.expire_after);
        let left = arrival.accepted.after(self.terms.expire_after).since(unix).min(patience.since(Unix(0)));
        let expires = now.checked_add(left).unwrap_or(now);
        let after = arrival.next.since(unix).min(self.terms.longest_wait).max(least);
        let tried = arrival.next > Unix(0);
        self.queue.add(arrival.id, &arrival.destination, arrival.fresh, (after, tried), expires, now);
    }

    fn answer(&mut self, request: Request) {
        let now = clock::now();
        match request {
            Request::Terms(terms) => {
                self.queue.prolong(self.terms.expire_after, terms.expire_after, now);
                self.terms = terms;
                self.queue.widths = terms.widths;
            }
            Request::Order(order) => order.carry_out(&mut self.queue, now),
            Request::Reconsider => self.queue.reconsider(now),
            Request::Stop => {}
        }
    }
}
