//! A message being taken. Small ones are gathered in memory, larger ones go to their file as they come, so that memory
//! does not grow with the size of a message.

use std::sync::Arc;
use std::time::Duration;

use super::SpoolError;
use super::accepted::{Accepted, Content, Message};
use super::files::BodyFile;
use super::operation::{Accept, Operation};
use super::store::Spool;
use super::ticket::{Waited, ticket};
use crate::mail::{Destination, Envelope, QueueId};
use crate::time::{Deadline, clock};

/// The largest body that is a row; also how much of a larger one is gathered before it is written.
const ROW: usize = 64 << 10;

/// A message that is not accepted yet. Its Drop leaves nothing behind.
pub struct Draft {
    spool: Arc<Spool>,
    id: QueueId,
    gathered: Vec<u8>,
    file: Option<BodyFile>,
}

impl Draft {
    pub(super) fn new(spool: Arc<Spool>, id: QueueId) -> Draft {
        Draft { spool, id, gathered: Vec::new(), file: None }
    }

    /// The queue id that it will have.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.file.as_ref().map_or(0, BodyFile::size) + self.gathered.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends octets.
    ///
    /// # Errors
    /// [`SpoolError::Full`] or [`SpoolError::Io`] when a large message cannot be written; the draft is of no use then.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.gathered.extend_from_slice(octets);
        if self.gathered.len() > ROW { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), SpoolError> {
        if self.file.is_none() {
            self.file = Some(self.spool.files.create(self.id)?);
        }
        if let Some(file) = &mut self.file {
            file.write(&self.gathered)?;
            self.gathered.clear();
        }
        Ok(())
    }

    /// Accepts the message: it is durable when this returns Ok, and not stored when it returns an error. `destinations[i]`
    /// belongs to `envelope.recipients[i]`. Waits at most `limit` for the writer; the sync of a large body comes before.
    ///
    /// # Errors
    /// [`SpoolError`]; the client keeps the message.
    pub fn commit(
        self,
        envelope: Envelope,
        destinations: Vec<Destination>,
        limit: Duration,
    ) -> Result<Accepted, SpoolError> {
        let spool = Arc::clone(&self.spool);
        let message = self.finish(envelope, destinations)?;
        let end = Deadline::within(clock::now(), limit).ends().0;
        let (ticket, answer) = ticket();
        spool.queue.put(Operation::Accept(Accept { message, answer }), end)?;
        match ticket.wait(end) {
            Waited::Answered(result) => Ok(result?.into_accepted(&spool.claims)),
            Waited::Lost => Err(SpoolError::Closed),
            // The writer does not store it now, or removes it again.
            Waited::Late => Err(SpoolError::Temporary("the disk is too slow".into())),
        }
    }

    /// What is to be stored; a large body is on disk.
    fn finish(mut self, envelope: Envelope, destinations: Vec<Destination>) -> Result<Message, SpoolError> {
        if self.file.is_some() && !self.gathered.is_empty() {
            self.spill()?;
        }
        let content = match self.file.take() {
            Some(file) => {
                file.sync()?;
                Content::File(file)
            }
            None => {
                let octets = std::mem::take(&mut self.gathered);
                Content::octets(&self.spool.budget, octets, envelope.recipients.len())
            }
        };
        Message::new(self.id, envelope, destinations, content)
    }
}
