//! The operators' door to the scheduler's thread: a question or an order goes in, its answer comes out, both within a limit.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use super::queue::Queue;
use super::{Request, Scheduler, SiteView, Summary, WhyNot, Withdrawn};
use crate::mail::{Destination, QueueId};

/// A question or an order, and where its answer goes.
pub(super) enum Order {
    Sites(Sender<Vec<SiteView>>),
    Summary(Sender<Summary>),
    Site(Destination, Sender<Option<SiteView>>),
    WhyNot(Vec<(QueueId, Destination)>, Sender<Vec<Option<WhyNot>>>),
    Hold(Vec<QueueId>, Sender<Vec<QueueId>>),
    Release(Vec<QueueId>, Sender<()>),
    Hurry(Vec<(QueueId, Destination)>, Sender<usize>),
    WakeSite(Destination, Sender<Option<IpAddr>>),
    Withdraw(Vec<(QueueId, Destination)>, Sender<Vec<Withdrawn>>),
    Suspend(Destination, bool, Sender<()>),
}

impl Order {
    /// Carries it out in the scheduler's thread. Whoever asked may have left: then nobody needs the answer, and tickets go
    /// back to the queue in their Drop.
    pub(super) fn carry_out(self, queue: &mut Queue, now: Instant) {
        match self {
            Order::Sites(answer) => drop(answer.try_send(queue.view(now))),
            Order::Summary(answer) => drop(answer.try_send(queue.summary(now))),
            Order::Site(destination, answer) => drop(answer.try_send(queue.view_one(&destination, now))),
            Order::WhyNot(which, answer) => {
                let why = which.iter().map(|(id, to)| queue.why_not_now(*id, to, now)).collect();
                drop(answer.try_send(why));
            }
            Order::Hold(ids, answer) => drop(answer.try_send(queue.hold(&ids, now))),
            Order::Release(ids, answer) => {
                queue.release(&ids, now);
                let _ = answer.try_send(());
            }
            Order::Hurry(which, answer) => drop(answer.try_send(queue.hurry(&which, now))),
            Order::WakeSite(destination, answer) => drop(answer.try_send(queue.wake_site(&destination, now))),
            Order::Withdraw(which, answer) => drop(answer.try_send(queue.withdraw(&which, now))),
            Order::Suspend(destination, suspend, answer) => {
                queue.suspend(&destination, suspend, now);
                let _ = answer.try_send(());
            }
        }
    }
}

/// Every answer is `None` when the scheduler does not answer in time, which it otherwise does in microseconds.
impl Scheduler {
    fn order<T>(&self, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        self.order_within(Scheduler::PATIENCE, order)
    }

    fn order_within<T>(&self, limit: Duration, order: impl FnOnce(Sender<T>) -> Order) -> Option<T> {
        let (answer, answered) = bounded(1);
        self.requests.send_timeout(Request::Order(order(answer)), limit).ok()?;
        answered.recv_timeout(limit).ok()
    }

    /// The queue at a glance; `limit` is how long it is waited for.
    pub fn summary(&self, limit: Duration) -> Option<Summary> {
        self.order_within(limit, Order::Summary)
    }

    /// Every destination that has mail, a failure or a record, or is suspended.
    pub fn sites(&self) -> Option<Vec<SiteView>> {
        self.order(Order::Sites)
    }

    /// One destination; `Some(None)` when nothing is known of it.
    pub fn site(&self, destination: &Destination) -> Option<Option<SiteView>> {
        self.order(|answer| Order::Site(destination.clone(), answer))
    }

    /// Why each of these messages has not left.
    pub fn why_not(&self, which: Vec<(QueueId, Destination)>) -> Option<Vec<Option<WhyNot>>> {
        self.order(|answer| Order::WhyNot(which, answer))
    }

    /// Holds messages; the spool knows already. Says which are in delivery now, and are held when they come back.
    pub fn hold(&self, ids: Vec<QueueId>) -> Option<Vec<QueueId>> {
        self.order(|answer| Order::Hold(ids, answer))
    }

    /// Lets messages go that were held; the spool knows already.
    pub fn release(&self, ids: Vec<QueueId>) -> Option<()> {
        self.order(|answer| Order::Release(ids, answer))
    }

    /// Ends the waits of messages; says how many had one of their own.
    pub fn hurry(&self, which: Vec<(QueueId, Destination)>) -> Option<usize> {
        self.order(|answer| Order::Hurry(which, answer))
    }

    /// Ends the rest of a destination; says which address was in its way, if one was.
    pub fn wake_site(&self, destination: &Destination) -> Option<Option<IpAddr>> {
        self.order(|answer| Order::WakeSite(destination.clone(), answer))
    }

    /// Takes messages out of the queue. Each ticket brings its message back when it is settled, or dropped.
    pub fn withdraw(&self, which: Vec<(QueueId, Destination)>) -> Option<Vec<Withdrawn>> {
        self.order(|answer| Order::Withdraw(which, answer))
    }

    /// Suspends a destination, or lets it go on; the spool knows already.
    pub fn suspend(&self, destination: &Destination, suspend: bool) -> Option<()> {
        self.order(|answer| Order::Suspend(destination.clone(), suspend, answer))
    }
}
