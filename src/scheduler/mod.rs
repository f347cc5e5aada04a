//! The scheduler (floor 5): what goes next, to whom, and when.
//!
//! One thread owns the `queue`. It hears of arrivals, of reports and of what the ledger has got back, and hands out jobs
//! with their slots. It does no disk and no network I/O, so nothing that misbehaves outside can make it wait.

#[cfg(test)]
mod bugs;
mod dispatch;
mod growth;
mod overdue;
mod pace;
mod queue;
mod site;
mod summary;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::delivery::{Arrival, Job, Report};
use crate::mail::{Destination, QueueId};
use crate::net::{Freed, Ledger, Pressure};
use crate::time::{Unix, clock};
use queue::Queue;
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
    Sites(Sender<Vec<SiteView>>),
    Summary(Sender<Summary>),
    WhyNot(Vec<(QueueId, Destination)>, Sender<Vec<Option<WhyNot>>>),
    Terms(Terms),
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
    /// The most overdue messages handed out at a time.
    const OVERDUE: usize = 64;
    /// The most events taken before jobs are handed out.
    const BURST: usize = 1024;

    /// Starts the thread. `known` and `queued` are what the spool held.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        ledger: Arc<Ledger>,
        terms: Terms,
        wires: Wires,
        known: Vec<Known>,
        queued: Vec<Arrival>,
    ) -> std::io::Result<(Scheduler, JoinHandle<()>)> {
        let arriving = wires.arrivals.1.clone();
        let (requests, requested) = bounded(16);
        let queue = Queue::new(
            Arc::clone(&ledger),
            wires.reports.0.clone(),
            Arc::clone(&wires.pressure),
            terms.widths,
        );
        let mut desk = Desk { queue, ledger, terms, wires, swept: None };
        desk.begin(known, queued);
        let body = move || desk.run(&arriving, &requested);
        let thread = thread::Builder::new().name("scheduler".into()).spawn(body)?;
        Ok((Scheduler { requests }, thread))
    }

    /// Every destination that has mail or a failure.
    pub fn sites(&self) -> Option<Vec<SiteView>> {
        let (answer, answered) = bounded(1);
        self.requests.send_timeout(Request::Sites(answer), Scheduler::PATIENCE).ok()?;
        answered.recv_timeout(Scheduler::PATIENCE).ok()
    }

    /// The queue at a glance; `None` when the scheduler does not answer within `limit`.
    pub fn summary(&self, limit: Duration) -> Option<Summary> {
        let (answer, answered) = bounded(1);
        self.requests.send_timeout(Request::Summary(answer), limit).ok()?;
        answered.recv_timeout(limit).ok()
    }

    /// Why each of these messages has not left.
    pub fn why_not(&self, which: Vec<(QueueId, Destination)>) -> Option<Vec<Option<WhyNot>>> {
        let (answer, answered) = bounded(1);
        self.requests.send_timeout(Request::WhyNot(which, answer), Scheduler::PATIENCE).ok()?;
        answered.recv_timeout(Scheduler::PATIENCE).ok()
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
struct Desk {
    wires: Wires,
    queue: Queue,
    ledger: Arc<Ledger>,
    terms: Terms,
    swept: Option<Instant>,
}

impl Desk {
    fn begin(&mut self, known: Vec<Known>, queued: Vec<Arrival>) {
        let (now, unix) = (clock::now(), clock::unix());
        for site in known {
            self.queue.recall(
                &site.destination,
                site.failures,
                site.until.since(unix).min(self.terms.longest_wait),
                now,
            );
        }
        for arrival in queued {
            self.arrive(arrival, now, unix);
        }
    }

    fn run(&mut self, arriving: &Receiver<Arrival>, requested: &Receiver<Request>) {
        let (reports, freed) = (self.wires.reports.1.clone(), self.wires.freed.clone());
        loop {
            let wait = self.hand_out(clock::now());
            select! {
                recv(arriving) -> arrival => if let Ok(arrival) = arrival {
                    self.arrive(arrival, clock::now(), clock::unix());
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
            arriving.try_iter().take(Scheduler::BURST).for_each(|arrival| self.arrive(arrival, now, unix));
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
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= Scheduler::SWEEP) {
            self.swept = Some(now);
            let notice = self.terms.delay_notice.map(|late| self.terms.expire_after.saturating_sub(late));
            let most = Scheduler::OVERDUE.saturating_sub(jobs.len());
            self.queue.overdue(now, notice, most, &mut send);
        }
        let next = self.queue.next_wake().map(|at| at.saturating_duration_since(now));
        next.unwrap_or(Scheduler::SWEEP).min(Scheduler::SWEEP)
    }

    fn arrive(&mut self, arrival: Arrival, now: Instant, unix: Unix) {
        // In whole seconds, as the worker counts who has the last word; a clock that went back prolongs nothing.
        let patience = Unix(0).after(self.terms.expire_after);
        let left = arrival.accepted.after(self.terms.expire_after).since(unix).min(patience.since(Unix(0)));
        let expires = now.checked_add(left).unwrap_or(now);
        let after = arrival.next.since(unix).min(self.terms.longest_wait);
        let tried = arrival.next > Unix(0);
        self.queue.add(arrival.id, &arrival.destination, arrival.fresh, (after, tried), expires, now);
    }

    fn answer(&mut self, request: Request) {
        let now = clock::now();
        // Whoever asked may have left; then nobody needs the answer.
        match request {
            Request::Sites(answer) => drop(answer.try_send(self.queue.view(now))),
            Request::Summary(answer) => drop(answer.try_send(self.queue.summary(now))),
            Request::WhyNot(which, answer) => {
                let why = which.iter().map(|(id, to)| self.queue.why_not_now(*id, to, now)).collect();
                drop(answer.try_send(why));
            }
            Request::Terms(terms) => {
                self.queue.prolong(self.terms.expire_after, terms.expire_after, now);
                self.terms = terms;
                self.queue.widths = terms.widths;
            }
            Request::Reconsider => self.queue.reconsider(now),
            Request::Stop => {}
        }
    }
}
