//! What the writer is asked to do. Each operation carries who waits for it.

use crossbeam_channel::Sender;
use rusqlite::Connection;

use super::accepted::Message;
use super::claims::Claim;
use super::quarantine::Aside;
use super::records::DestinationRecord;
use super::ticket::Answer;
use super::{SpoolError, Verdict};
use crate::mail::{Destination, QueueId};
use crate::smtp::Mailbox;
use crate::time::Unix;

/// One operation; it is done wholly or not at all.
pub(super) enum Operation {
    /// Store a message.
    Accept(Accept),
    /// Write down what became of a lease.
    Settle(Box<Settlement>),
    /// Remove a message that became durable after its client had been told that it would not.
    Forget {
        /// The message.
        id: QueueId,
        /// Whether its body is a file.
        file: bool,
    },
    /// Recipients have another destination than when they were stored: the routes have changed.
    Reroute {
        /// Message, recipient, and the destination it has now.
        rows: Vec<(QueueId, u32, Destination)>,
        /// An operator has chosen it: from now on the routes do not.
        redirected: bool,
        /// Who waits.
        answer: Answer<Result<(), SpoolError>>,
    },
    /// An operator holds messages, or lets them go.
    Hold {
        /// The messages.
        ids: Vec<QueueId>,
        /// Since when; `None` lets them go.
        since: Option<Unix>,
        /// Who waits.
        answer: Answer<Result<(), SpoolError>>,
    },
    /// An operator suspends a destination, or lets it go on.
    Suspend {
        /// The destination.
        destination: Destination,
        /// Since when, and why; `None` lets it go on.
        suspended: Option<(Unix, String)>,
        /// Who waits.
        answer: Answer<Result<(), SpoolError>>,
    },
    /// Mark what cannot be read.
    SetAside(Vec<Aside>),
    /// Keep the standing of destinations.
    Remember(Vec<DestinationRecord>),
    /// Close the connection to the database, until another comes; the sender is dropped when it is closed.
    Close(Sender<()>),
    /// The connection to go on with.
    Open(Connection),
    /// Whatever a test wants to happen in the writer's thread, to its connection.
    #[cfg(test)]
    Test(Box<dyn Fn(&rusqlite::Connection) + Send>),
}

/// A message to store. It comes back with the answer, since its octets go to their first attempt from memory.
pub(super) struct Accept {
    pub(super) message: Message,
    pub(super) answer: Answer<Result<Message, SpoolError>>,
}

/// What became of a lease, and the letters that go with it.
pub(super) struct Settlement {
    pub(super) claim: Claim,
    pub(super) file: bool,
    pub(super) at: Unix,
    pub(super) verdicts: Vec<(u32, Mailbox, Verdict)>,
    pub(super) letters: Letters,
    /// Who waits, if anybody does: nobody any more when it could not be written at first.
    pub(super) answer: Option<Answer<Result<Letters, SpoolError>>>,
}

/// The letters we write ourselves.
#[derive(Default)]
pub(super) struct Letters {
    pub(super) bounce: Option<Message>,
    /// With it the message is marked: its reverse-path knows that it is late.
    pub(super) notice: Option<Message>,
}

impl Letters {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.bounce.iter().chain(&self.notice)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.bounce.iter_mut().chain(&mut self.notice)
    }
}

impl Operation {
    /// Whether it can wait a moment for others to share its sync: nobody waits for it, and if it is forgotten a message is
    /// only tried earlier.
    pub(super) fn is_patient(&self) -> bool {
        let later =
            |verdict: &Verdict| matches!(verdict, Verdict::Deferred { .. } | Verdict::Postponed { .. });
        match self {
            Operation::Settle(settlement) => {
                settlement.answer.is_none()
                    && settlement.verdicts.iter().all(|(_, _, verdict)| later(verdict))
            }
            Operation::Remember(_) => true,
            _ => false,
        }
    }

    /// About how much it writes.
    pub(super) fn octets(&self) -> u64 {
        let stored = |message: &Message| message.octets().map_or(0, |octets| octets.len() as u64);
        match self {
            Operation::Accept(accept) => stored(&accept.message),
            Operation::Settle(settlement) => settlement.letters.iter().map(stored).sum(),
            _ => 0,
        }
    }
}
