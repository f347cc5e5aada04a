//! What the scheduler hands to the workers, and what they hand back.
//!
//! A [`Visit`] is a job with its slot in its hand: workers never wait for one. Its messages come through the [`Feed`] of
//! the destination, so that a session which is already at work takes the next message itself, without a further
//! connection and without asking the scheduler. A [`Ticket`] is one message for one destination; dropped without a word,
//! by a panic say, it goes back to the queue.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};

use super::feed::Feed;
use crate::mail::{Destination, QueueId};
use crate::net::{Slot, Standing};
use crate::spool::Fresh;
use crate::time::Unix;

/// A message for a destination that is to be in the queue: just accepted, or found in the spool.
#[derive(Debug)]
pub struct Arrival {
    /// The message.
    pub id: QueueId,
    /// Where to.
    pub destination: Destination,
    /// What is still in memory of it.
    pub fresh: Option<Fresh>,
    /// Not before this; 0 is at once.
    pub next: Unix,
    /// When it was accepted.
    pub accepted: Unix,
}

/// The scheduler's number for a destination; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub u64);

/// Work for the pool.
#[derive(Debug)]
pub enum Job {
    /// Open a session and deliver what the feed holds.
    Visit(Visit),
    /// The message has waited long: it has expired, or its reverse-path is to be told. Needs no slot. If it stays queued, it
    /// waits on for so long.
    Overdue(Ticket, Destination, Duration),
}

/// A job with its slot.
#[derive(Debug)]
pub struct Visit {
    /// The right to one connection.
    pub slot: Slot,
    /// The scheduler's number for its destination.
    pub id: DestinationId,
    /// The messages.
    pub feed: Feed,
    /// Failures of the destination as a site, in a row, so far.
    pub failures: u32,
}

/// What becomes of a message's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resting {
    /// Nothing is left for this destination.
    Gone,
    /// It has a time of its own.
    For(Duration),
    /// It goes when its destination goes.
    WithSite,
}

/// How many recipients an attempt, or many, brought to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Another host is responsible for them.
    pub delivered: u64,
    /// They are tried again.
    pub deferred: u64,
    /// They have bounced.
    pub failed: u64,
}

impl Tally {
    /// More of them.
    pub fn add(&mut self, other: Tally) {
        self.delivered += other.delivered;
        self.deferred += other.deferred;
        self.failed += other.failed;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Tally::default()
    }
}

/// What workers tell the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A message's attempt is over.
    Settled {
        /// The destination.
        destination: DestinationId,
        /// The message.
        id: QueueId,
        /// What becomes of it.
        resting: Resting,
        /// The session that the host answered, if it did: the site is well at this time.
        answered: Option<u64>,
        /// What became of its recipients.
        tally: Tally,
    },
    /// A session had its first message answered, for good or ill: the destination is proven.
    Reached {
        /// The destination.
        destination: DestinationId,
        /// The session.
        session: u64,
    },
    /// An address that had been left alone until now has answered EHLO: whoever waits for it may go.
    Recovered(IpAddr),
    /// A session, or all addresses of an attempt, failed as a site.
    SiteFailed {
        /// The destination.
        destination: DestinationId,
        /// The session.
        session: u64,
        /// When the session began: what another session has reached since then weighs more.
        began: Instant,
        /// How long the destination is to rest.
        rest: Duration,
        /// In one line, why.
        words: String,
    },
    /// No address of the destination may be tried now; nothing was, and the slot is back.
    Blocked {
        /// The destination.
        destination: DestinationId,
        /// One of its addresses.
        address: IpAddr,
        /// It is left alone for so long, because of this; or, without this, it has as many connections as it may have.
        silent: Option<(Duration, String)>,
    },
}

/// One message for one destination, on its way to an attempt. Dropped unsettled, it reports that it is to be tried again.
#[derive(Debug)]
pub struct Ticket {
    destination: DestinationId,
    id: QueueId,
    fresh: Option<Fresh>,
    answered: Option<u64>,
    tally: Tally,
    reports: Option<Sender<Report>>,
}

impl Ticket {
    /// How long a message rests whose attempt ended in a panic: ours, so nobody else's patience is asked for.
    const AFTER_PANIC: Duration = Duration::from_secs(60);

    /// A ticket; `reports` is where it reports to.
    pub fn new(
        destination: DestinationId,
        id: QueueId,
        fresh: Option<Fresh>,
        reports: Sender<Report>,
    ) -> Ticket {
        Ticket { destination, id, fresh, answered: None, tally: Tally::default(), reports: Some(reports) }
    }

    /// The message.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// What was kept in memory of a message that has just been accepted; once.
    pub fn fresh(&mut self) -> Option<Fresh> {
        self.fresh.take()
    }

    /// The host answered the attempt, in this session.
    pub fn answered(&mut self, session: u64) {
        self.answered = Some(session);
    }

    /// What became of the recipients.
    pub fn tally(&mut self, tally: Tally) {
        self.tally = tally;
    }

    /// The attempt is over.
    pub fn settle(mut self, resting: Resting) {
        self.report(resting);
    }

    /// Back into the queue, untouched and unreported: the scheduler takes back what it gave.
    pub fn take_back(mut self) -> (QueueId, Option<Fresh>) {
        self.reports = None;
        (self.id, self.fresh.take())
    }

    fn report(&mut self, resting: Resting) {
        if let Some(reports) = self.reports.take() {
            let (destination, id, answered, tally) = (self.destination, self.id, self.answered, self.tally);
            report(&reports, Report::Settled { destination, id, resting, answered, tally });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        self.report(if panicking { Resting::For(Ticket::AFTER_PANIC) } else { Resting::WithSite });
    }
}

/// Tells the scheduler. It does no I/O, so the channel has room at once; a scheduler that takes nothing for this long is
/// gone, and the message is safe in the spool.
pub fn report(reports: &Sender<Report>, report: Report) {
    if let Err(SendTimeoutError::Timeout(report)) = reports.send_timeout(report, Duration::from_secs(30)) {
        log::error!("the scheduler takes no reports; lost until the next start: {report:?}");
    }
}

impl Visit {
    /// The destination.
    pub fn destination(&self) -> &Destination {
        self.slot.destination()
    }

    /// Its standing when the slot was acquired.
    pub fn standing(&self) -> Standing {
        self.slot.standing()
    }
}
