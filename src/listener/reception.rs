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
use crate::spool::{Accepted, Alarm, Draft, Spool, SpoolError};

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
}

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

    fn draft(&self) -> Result<Incoming, Refusal> {
        Ok(Incoming { draft: self.spool.draft(), reception: self.clone() })
    }
}

impl server::Draft for Incoming {
    type Accepted = Queued;

    fn id(&self) -> QueueId {
        self.draft.id()
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        self.draft.write(octets).map_err(refusal)
    }

    fn commit(self, envelope: Envelope, limit: Duration) -> Result<Queued, Refusal> {
        let Incoming { draft, reception } = self;
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
    ALARM.raise(&error);
    match error {
        SpoolError::Full => Refusal::new(452, 3, 1, "the mail system is full, try again later"),
        _ => Refusal::new(451, 3, 0, "the message could not be stored, try again later"),
    }
}
