//! The fixed pool: threads that take a job, do it, and take the next. A panic within an attempt is caught
//! around it, where the message is still in hand; any other is caught here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::claim::claim;
use super::job::Job;
use super::settle;
use super::visit::visit;
use super::workshop::Workshop;
use crate::time::{Deadline, clock};

/// The running pool.
#[derive(Debug)]
pub struct Pool {
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Threads beyond the seats: what needs no slot (expiry, notices) is never behind 1,000 sessions that wait.
    pub const SPARE: usize = 2;
    /// The stack of a worker. Address space, not memory: pages are there once they are used.
    const STACK: usize = 512 << 10;

    /// Starts `workers` threads and the spare ones. They end when `jobs` has no sender left and nothing in it.
    ///
    /// # Errors
    /// When the system does not give that many threads.
    pub fn start(workers: usize, shop: &Arc<Workshop>, jobs: &Receiver<Job>) -> std::io::Result<Pool> {
        let mut threads = Vec::with_capacity(workers + Pool::SPARE);
        for n in 0..workers + Pool::SPARE {
            let (shop, jobs) = (Arc::clone(shop), jobs.clone());
            let body = move || work(&shop, &jobs);
            threads.push(
                thread::Builder::new().name(format!("worker-{n}")).stack_size(Pool::STACK).spawn(body)?,
            );
        }
        Ok(Pool { threads })
    }

    /// Waits, no longer than the deadline, for the threads to end; says how many have not.
    pub fn join(&mut self, deadline: &Deadline) -> usize {
        // A thread has no join with a time-out: one is only joined once it has ended.
        while deadline.remaining(clock::now()).is_ok()
            && self.threads.iter().any(|thread| !thread.is_finished())
        {
            thread::park_timeout(std::time::Duration::from_millis(5));
        }
        let (ended, running): (Vec<_>, Vec<_>) = self.threads.drain(..).partition(JoinHandle::is_finished);
        // Panics of jobs are caught inside; a thread that ended otherwise has nothing to say.
        ended.into_iter().for_each(|thread| drop(thread.join()));
        self.threads = running;
        self.threads.len()
    }
}

fn work(shop: &Workshop, jobs: &Receiver<Job>) {
    // A worker that waits for work waits under no peer; the round only keeps the rule that every wait ends.
    const ROUND: std::time::Duration = std::time::Duration::from_secs(3600);
    loop {
        let job = match jobs.recv_timeout(ROUND) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Nothing of ours is left half-changed by an unwinding job: slots, leases and tickets settle in their Drop.
        if catch_unwind(AssertUnwindSafe(|| run(shop, job))).is_err() {
            shop.panicked("between two attempts");
        }
    }
}

fn run(shop: &Workshop, job: Job) {
    match job {
        // Its slot and its tickets go back in their Drop.
        _ if shop.is_stopping() => {}
        Job::Visit(job) => visit(shop, job),
        Job::Overdue(ticket, destination, wait) => {
            if let Some((ticket, lease)) = claim(shop, &destination, ticket) {
                settle::overdue(shop, &destination, ticket, lease, wait);
            }
        }
    }
}
