//! A message on its way into the spool, and the proof that it is there.

use std::fmt;
use std::sync::Arc;

use super::SpoolError;
use super::claims::{Claims, Key};
use super::files::BodyFile;
use crate::mail::{Body, Destination, Envelope, MemoryBudget, QueueId};
use crate::smtp::Mailbox;

/// The most recipients of a message whose envelope is kept in memory with its body: the budget counts bodies only.
const MOST_FRESH_RECIPIENTS: usize = 100;

/// A message that we write ourselves: a bounce, or a notice of delay.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Its envelope.
    pub envelope: Envelope,
    /// The destination of each of the envelope's recipients, in their order.
    pub destinations: Vec<Destination>,
    /// Headers, empty line, body; CRLF line ends.
    pub octets: Vec<u8>,
}

/// Where the octets of a message to be stored are.
pub(super) enum Content {
    /// In memory: they become a row. `fresh` says whether they are within the budget, to be kept for the first attempt.
    Octets { body: Body, fresh: bool },
    /// In a file that is on disk already.
    File(BodyFile),
}

impl Content {
    /// Octets that become a row, within the budget if it has room.
    pub(super) fn octets(budget: &Arc<MemoryBudget>, mut octets: Vec<u8>) -> Content {
        // The budget counts octets, not capacity.
        octets.shrink_to_fit();
        match budget.keep(octets) {
            Ok(body) => Content::Octets { body, fresh: true },
            Err(octets) => Content::Octets { body: Body::from_octets(octets), fresh: false },
        }
    }
}

/// A message to be stored.
pub(super) struct Message {
    pub(super) id: QueueId,
    pub(super) envelope: Arc<Envelope>,
    pub(super) destinations: Vec<Destination>,
    content: Content,
}

impl Message {
    /// A message with a destination for each recipient, and at least one.
    pub(super) fn new(
        id: QueueId,
        envelope: Envelope,
        destinations: Vec<Destination>,
        content: Content,
    ) -> Result<Message, SpoolError> {
        if envelope.recipients.is_empty() || envelope.recipients.len() != destinations.len() {
            return Err(SpoolError::Temporary(
                "an envelope needs recipients, and each its destination".into(),
            ));
        }
        Ok(Message { id, envelope: Arc::new(envelope), destinations, content })
    }

    pub(super) fn size(&self) -> u64 {
        match &self.content {
            Content::Octets { body, .. } => body.len(),
            Content::File(file) => file.size(),
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.content, Content::File(_))
    }

    pub(super) fn octets(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Octets { body, .. } => body.octets(),
            Content::File(_) => None,
        }
    }

    /// Its row is on disk; from now on a body file stays.
    pub(super) fn committed(&mut self) {
        if let Content::File(file) = &mut self.content {
            file.keep();
        }
    }

    /// Whether its row will be there after a crash is not known: a body file stays, until that is known.
    pub(super) fn in_doubt(&mut self) -> Option<QueueId> {
        match &mut self.content {
            Content::File(file) => {
                file.keep();
                Some(self.id)
            }
            Content::Octets { .. } => None,
        }
    }

    /// The proof. Only for what has been committed.
    pub(super) fn into_accepted(self, claims: &Arc<Claims>) -> Accepted {
        let body = match self.content {
            Content::Octets { body, fresh: true } if self.destinations.len() <= MOST_FRESH_RECIPIENTS => {
                Some(body)
            }
            _ => None,
        };
        let mut destinations: Vec<&Destination> = Vec::new();
        for destination in &self.destinations {
            if !destinations.contains(&destination) {
                destinations.push(destination);
            }
        }
        let entry = |destination: &Destination| {
            let fresh = body.as_ref().map(|body| {
                let places = self.destinations.iter().enumerate().filter(|(_, other)| *other == destination);
                let fresh = Part {
                    key: (self.id, destination.clone()),
                    claims: Arc::clone(claims),
                    envelope: Arc::clone(&self.envelope),
                    places: places.map(|(n, _)| n).collect(),
                    body: body.clone(),
                };
                claims.mark(fresh.key.clone());
                Fresh(Arc::new(fresh))
            });
            (destination.clone(), fresh)
        };
        let entries = destinations.into_iter().map(entry).collect();
        Accepted { id: self.id, envelope: Arc::clone(&self.envelope), entries }
    }
}

/// The proof that a message is on disk: made by the spool alone, after the sync. `250` needs it.
///
/// ```compile_fail,E0451
/// use sendoff::{mail::{Envelope, QueueId}, spool::Accepted};
/// fn forge(id: QueueId, envelope: std::sync::Arc<Envelope>) -> Accepted {
///     Accepted { id, envelope, entries: Vec::new() } // the fields are private
/// }
/// ```
/// ```
/// fn reply(accepted: &sendoff::spool::Accepted) -> String {
///     format!("250 2.0.0 queued as {}", accepted.id())
/// }
/// ```
#[derive(Debug)]
pub struct Accepted {
    id: QueueId,
    envelope: Arc<Envelope>,
    entries: Vec<(Destination, Option<Fresh>)>,
}

impl Accepted {
    /// The queue id.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// The envelope, with all recipients.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The destinations, each once, in the order of their first recipients; with what the first attempt needs not read.
    pub fn entries(self) -> Vec<(Destination, Option<Fresh>)> {
        self.entries
    }
}

/// A just-accepted message for one destination, in memory within the budget, so that its first attempt reads no disk.
/// Cheap to clone; only the first claim uses it, since afterwards the disk knows better.
#[derive(Clone)]
pub struct Fresh(Arc<Part>);

struct Part {
    key: Key,
    claims: Arc<Claims>,
    envelope: Arc<Envelope>,
    places: Vec<usize>,
    body: Body,
}

impl Drop for Part {
    fn drop(&mut self) {
        self.claims.unmark(&self.key);
    }
}

impl Fresh {
    /// Whether this is that message for that destination.
    pub(super) fn is_for(&self, key: &Key) -> bool {
        self.0.key == *key
    }

    pub(super) fn envelope(&self) -> &Envelope {
        &self.0.envelope
    }

    pub(super) fn body(&self) -> &Body {
        &self.0.body
    }

    /// The recipients for this destination, with their places in the envelope.
    pub(super) fn recipients(&self) -> impl Iterator<Item = (u32, &Mailbox)> {
        let recipients = &self.0.envelope.recipients;
        self.0.places.iter().filter_map(|n| Some((u32::try_from(*n).ok()?, recipients.get(*n)?)))
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fresh({} for {})", self.0.key.0, self.0.key.1)
    }
}
