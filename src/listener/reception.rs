//! The reception: the spool, as the incoming side sees it. What has become durable is told to the scheduler here.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::RwLock;

use crate::config::Config;
use crate::delivery::{Arrival, announce};
use crate::mail::{Envelope, QueueId};
use crate::metrics::{METRICS, Source};
use crate::server::{self, Proof};
use crate::smtp::{Mailbox, Refusal};
use crate::spool::{Accepted, Alarm, Draft, Marks, Spool, SpoolError};

/// Every message meets the same disk: one line for all of them.
static ALARM: Alarm = Alarm::new("mail cannot be taken", "mail is taken again");

/// Takes mail into the spool.
#[derive(Clone)]
pub struct Reception {
    /// The spool.
    pub spool: Arc<Spool>,
    /// The settings in force: the routes.
    pub config: Arc<RwLock<Arc<Config>>>,
    /// To the scheduler.
    pub arrivals: Sender<Arrival>,
}

/// A message on its way into the spool.
pub struct Incoming {
    draft: Draft,
    reception: Reception,
    /// Octets written since there was last a look at the room.
    unlooked: usize,
}

impl Reception {
    fn room_for(&self, octets: u64, recipients: usize) -> Result<(), Refusal> {
        let marks = Marks::of(&self.config.read());
        self.spool.room(&marks, octets, recipients as u64).map_err(refusal)
    }
}

/// So much of a message is written between two looks at the room: what all clients together may overrun the mark by.
const LOOK: usize = 1 << 20;

/// The proof that a message is durable, after the scheduler has been told; made from nothing but [`Accepted`].
#[derive(Debug)]
pub struct Queued(QueueId);

impl Queued {
    fn announce(accepted: Accepted, reception: &Reception) -> Queued {
        let (id, at) = (accepted.id(), accepted.envelope().accepted);
        METRICS.accepted.of(Source::Smtp as usize).one();
        announce(&reception.arrivals, accepted, at);
        Queued(id)
    }
}

impl Proof for Queued {
    fn id(&self) -> QueueId {
        self.0
    }
}

impl server::Reception for Reception {
    type Draft = Incoming;

    fn room(&self, octets: u64) -> Result<(), Refusal> {
        self.room_for(octets, 1)
    }

    fn draft(&self) -> Result<Incoming, Refusal> {
        self.room_for(0, 1)?;
        Ok(Incoming { draft: self.spool.draft(), reception: self.clone(), unlooked: 0 })
    }
}

impl server::Draft for Incoming {
    type Accepted = Queued;

    fn id(&self) -> QueueId {
        self.draft.id()
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        self.unlooked += octets.len();
        if self.unlooked > LOOK {
            self.unlooked = 0;
            self.reception.room_for(0, 1)?;
        }
        self.draft.write(octets).map_err(refusal)
    }

    fn commit(self, envelope: Envelope, limit: Duration) -> Result<Queued, Refusal> {
        let Incoming { draft, reception, .. } = self;
        reception.room_for(0, envelope.recipients.len())?;
        let config = Arc::clone(&reception.config.read());
        let hosts = envelope.recipients.iter().map(Mailbox::host);
        let destinations = hosts.map(|host| config.routes.destination(host)).collect();
        let accepted = draft.commit(envelope, destinations, limit).map_err(refusal)?;
        ALARM.clear();
        Ok(Queued::announce(accepted, &reception))
    }
}

/// What the client is told (RFC 5321, 4.2.3; RFC 3463, 3.4). What exactly is wrong is for the log, not for strangers.
fn refusal(error: SpoolError) -> Refusal {
    // That a mark is reached has been said once.
    if !matches!(error, SpoolError::Low(_)) {
        ALARM.raise(&error);
    }
    match error {
        SpoolError::Full | SpoolError::Low(_) => {
            Refusal::new(452, 3, 1, "the mail system is full, try again later")
        }
        _ => Refusal::new(451, 3, 0, "the message could not be stored, try again later"),
    }
}
