//! The feed: the messages that wait for a session of one destination.
//!
//! There is one for every destination that has mail, ten thousand of them and more, so it costs next to nothing while it is
//! empty: an unbounded channel kept room for 31 messages from its first one on, which was five kilobytes a destination.
//! The scheduler, which alone fills it, puts no more into it than a few sessions take at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::job::Ticket;

/// The feed of one destination. Clones are the same feed.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// With the moment at which each was put in.
    tickets: VecDeque<(Ticket, Instant)>,
    /// Nothing more is coming.
    closed: bool,
}

impl Feed {
    /// Room for so many is kept when it is empty.
    const KEPT: usize = 4;

    /// Puts a message in, at `now`.
    pub fn put(&self, ticket: Ticket, now: Instant) {
        self.0.state.lock().tickets.push_back((ticket, now));
        self.0.filled.notify_one();
    }

    /// The next message, if one is there.
    pub fn take(&self) -> Option<Ticket> {
        self.0.state.lock().take()
    }

    /// The next message, waited for no longer than `limit`, and only while `may_wait` says so (asked ten times a second).
    pub fn wait(&self, limit: Duration, may_wait: &dyn Fn() -> bool) -> Option<Ticket> {
        const SLICE: Duration = Duration::from_millis(100);
        let mut left = limit;
        while !left.is_zero() && may_wait() {
            let slice = left.min(SLICE);
            let mut state = self.0.state.lock();
            if state.tickets.is_empty() && !state.closed {
                self.0.filled.wait_for(&mut state, slice);
            }
            match state.take() {
                None if state.closed => return None,
                None => left -= slice,
                ticket => return ticket,
            }
        }
        self.take()
    }

    /// How many messages are in it.
    pub fn len(&self) -> usize {
        self.0.state.lock().tickets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When its oldest message was put in.
    pub fn oldest(&self) -> Option<Instant> {
        self.0.state.lock().tickets.front().map(|(_, at)| *at)
    }

    /// Nothing more is coming: nobody waits for it. What is in it can still be taken.
    pub fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.filled.notify_all();
    }
}

impl State {
    fn take(&mut self) -> Option<Ticket> {
        let (ticket, _) = self.tickets.pop_front()?;
        if self.tickets.is_empty() && self.tickets.capacity() > Feed::KEPT {
            self.tickets = VecDeque::new();
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{DestinationId, Report};
    use crate::mail::QueueId;
    use crate::time::clock;
    use crossbeam_channel::{Sender, unbounded};

    fn ticket(n: u64, reports: &Sender<Report>) -> Ticket {
        Ticket::new(DestinationId(1), QueueId::from_row(n), None, reports.clone())
    }

    #[test]
    fn messages_come_in_their_order_and_whoever_waits_is_woken() {
        let (reports, _heard) = unbounded();
        let (feed, now) = (Feed::default(), clock::now());
        assert!(feed.take().is_none());
        (1..=40).for_each(|n| feed.put(ticket(n, &reports), now));
        assert_eq!((feed.len(), feed.oldest()), (40, Some(now)));
        for n in 1..=40 {
            assert_eq!(feed.take().map(|ticket| ticket.take_back().0), Some(QueueId::from_row(n)));
        }
        assert!(feed.0.state.lock().tickets.capacity() <= Feed::KEPT, "an empty feed keeps no room");
        let waiting = {
            let feed = feed.clone();
            std::thread::spawn(move || feed.wait(Duration::from_secs(60), &|| true).map(|t| t.take_back().0))
        };
        feed.put(ticket(7, &reports), now);
        assert_eq!(waiting.join().unwrap(), Some(QueueId::from_row(7)));
    }

    #[test]
    fn nobody_waits_at_a_closed_feed_nor_when_he_may_not() {
        let (reports, _heard) = unbounded();
        let feed = Feed::default();
        assert!(feed.wait(Duration::from_secs(60), &|| false).is_none());
        feed.put(ticket(1, &reports), clock::now());
        feed.close();
        assert!(feed.wait(Duration::from_secs(60), &|| true).is_some(), "what is in it can be taken");
        assert!(feed.wait(Duration::from_secs(60), &|| true).is_none());
    }
}
