//! The claim on a message for one destination: what a worker holds while it works.

use std::sync::Arc;
use std::time::Duration;

use super::accepted::{Accepted, Content, Fresh, Message, NewMessage};
use super::claims::{Claim, Key};
use super::operation::{Letters, Operation, Settlement};
use super::quarantine::Aside;
use super::rows::{self, Readable};
use super::store::Spool;
use super::ticket::{Answer, Ticket, Waited, ticket};
use super::{Last, SpoolError};
use crate::mail::{Body, Channel, Destination, Envelope, Failure, QueueId, Remote};
use crate::smtp::Mailbox;
use crate::time::{Deadline, Unix, clock};

/// The most that may wait to be written before a settlement waits for the disk: what a killed process would have forgotten.
const MOST_UNWAITED: usize = 256;

/// A message claimed for one destination. Nobody else gets it meanwhile. Its Drop without [`Lease::settle`] returns it
/// untouched: a deferral.
///
/// ```compile_fail,E0599
/// fn twice(lease: sendoff::spool::Lease) -> (sendoff::spool::Lease, sendoff::spool::Lease) {
///     (lease.clone(), lease) // no message is worked twice
/// }
/// ```
/// ```
/// fn once(lease: sendoff::spool::Lease) -> sendoff::spool::Lease {
///     lease
/// }
/// ```
pub struct Lease {
    spool: Arc<Spool>,
    claim: Claim,
    envelope: Envelope,
    recipients: Vec<LeasedRecipient>,
    body: Body,
    file: bool,
    delay_notified: bool,
}

/// A recipient of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasedRecipient {
    /// Its place in the envelope, from 0: what a verdict names it by.
    pub n: u32,
    /// The forward-path.
    pub address: Mailbox,
    /// How often it has been tried before.
    pub attempts: u32,
    /// Its last failure, for the bounce of a message that has expired.
    pub last: Option<Last>,
    /// An operator has chosen its destination: the routes do not.
    pub redirected: bool,
}

/// What became of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another host is responsible; the recipient goes. Which host it is, is for the history.
    Delivered(Option<Remote>),
    /// Not now; again from `next` on.
    Deferred {
        /// Why.
        failure: Failure,
        /// Not before.
        next: Unix,
    },
    /// Never; the recipient goes, and the bounce with it says so.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// An operator has removed it: the recipient goes, and nobody is told.
    Removed,
    /// For reasons of our own, which count as no attempt.
    Postponed {
        /// Not before.
        next: Unix,
    },
}

impl Verdict {
    /// The word of the history and the failure, if it was an attempt.
    pub(super) fn word(&self) -> Option<(&'static str, Option<&Failure>)> {
        match self {
            Verdict::Delivered(_) => Some(("delivered", None)),
            Verdict::Deferred { failure, .. } => Some(("deferred", Some(failure))),
            Verdict::Failed { failure } => Some(("failed", Some(failure))),
            Verdict::Removed => Some(("removed", None)),
            Verdict::Postponed { .. } => None,
        }
    }

    /// Whether TLS protected the session, if it came to that.
    pub fn channel(&self) -> Option<&Channel> {
        let remote = match self {
            Verdict::Delivered(remote) => remote.as_ref(),
            Verdict::Deferred { failure, .. } | Verdict::Failed { failure } => failure.remote.as_ref(),
            Verdict::Removed | Verdict::Postponed { .. } => None,
        };
        remote?.channel.as_deref()
    }

    /// The words of the history: the failure or the host, and whether TLS protected the session.
    pub(super) fn words(&self) -> Option<String> {
        let (words, channel) = match self {
            Verdict::Delivered(remote) => (remote.as_ref()?.to_string(), self.channel()),
            Verdict::Deferred { failure, .. } | Verdict::Failed { failure } => {
                (failure.to_string(), self.channel())
            }
            Verdict::Removed | Verdict::Postponed { .. } => return None,
        };
        Some(channel.map_or_else(|| words.clone(), |channel| format!("{words} ({channel})")))
    }
}

/// The letters that a settlement has stored; they are queued like other mail.
#[derive(Debug, Default)]
pub struct Settled {
    /// The bounce.
    pub bounce: Option<Accepted>,
    /// The notice of delay.
    pub notice: Option<Accepted>,
}

impl Lease {
    /// The lease of a just-accepted message, from memory.
    pub(super) fn fresh(spool: &Arc<Spool>, claim: Claim, fresh: &Fresh) -> Lease {
        let recipients = fresh.recipients().map(|(n, address)| LeasedRecipient {
            n,
            address: address.clone(),
            attempts: 0,
            last: None,
            redirected: false,
        });
        let recipients: Vec<_> = recipients.collect();
        let envelope = Envelope {
            recipients: recipients.iter().map(|recipient| recipient.address.clone()).collect(),
            reverse_path: fresh.envelope().reverse_path.clone(),
            ..*fresh.envelope()
        };
        let (spool, body) = (Arc::clone(spool), fresh.body().clone());
        Lease { spool, claim, envelope, recipients, body, file: false, delay_notified: false }
    }

    /// The lease of a message as the spool has it; `None` when nothing is left to do.
    pub(super) fn read(spool: &Arc<Spool>, claim: Claim) -> Result<Option<Lease>, SpoolError> {
        let mut unreadable = Vec::new();
        let found = spool.readers.with(|connection| found(connection, claim.key(), &mut unreadable));
        spool.set_aside(unreadable);
        let Some(found) = found? else { return Ok(None) };
        let Found { mut envelope, recipients, octets, size, delay_notified } = found;
        let id = claim.key().0;
        let file = octets.is_none();
        let body = match octets {
            Some(octets) if octets.len() as u64 == size => Body::from_octets(octets),
            Some(octets) => {
                let text = format!("its body has {} octets instead of {size}", octets.len());
                return Err(SpoolError::Corrupt { id: Some(id), text });
            }
            None => spool.files.body(id, size)?,
        };
        envelope.recipients = recipients.iter().map(|recipient| recipient.address.clone()).collect();
        Ok(Some(Lease { spool: Arc::clone(spool), claim, envelope, recipients, body, file, delay_notified }))
    }

    /// The queue id.
    pub fn id(&self) -> QueueId {
        self.claim.key().0
    }

    /// The envelope; its recipients are those of this lease, in the order of [`Lease::recipients`].
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The recipients that are still queued for this destination, at least one.
    pub fn recipients(&self) -> &[LeasedRecipient] {
        &self.recipients
    }

    /// The octets.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Whether the reverse-path has been told that the message is late.
    pub fn delay_notified(&self) -> bool {
        self.delay_notified
    }

    /// Writes down what became of the recipients, by their `n`; who is not named stays as it is. One transaction: the
    /// delivered and the failed go, the deferred get their time and words, the message goes with its last recipient, and
    /// `bounce` and `notice` become messages, so that a failure and its bounce are never apart. A notice marks the message:
    /// see [`Lease::delay_notified`]. Waits at most `limit` for the disk.
    ///
    /// # Errors
    /// [`SpoolError::Kept`]: it is not on disk yet, but will be; until then nobody gets the claim, and letters arrive at
    /// [`Spool::late`] afterwards. [`SpoolError::Closed`]: it will not be written, and is not tried again before a restart.
    pub fn settle(
        self,
        verdicts: Vec<(u32, Verdict)>,
        bounce: Option<NewMessage>,
        notice: Option<NewMessage>,
        limit: Duration,
    ) -> Result<Settled, SpoolError> {
        self.begin_settling(verdicts, bounce, notice)?.wait(limit)
    }

    /// As [`Lease::settle`], in two steps: who settles many has them share a sync.
    ///
    /// # Errors
    /// [`SpoolError::Closed`].
    pub fn begin_settling(
        self,
        verdicts: Vec<(u32, Verdict)>,
        bounce: Option<NewMessage>,
        notice: Option<NewMessage>,
    ) -> Result<Settling, SpoolError> {
        let spool = Arc::clone(&self.spool);
        let letters = Letters {
            bounce: bounce.and_then(|new| letter(&spool, new)),
            notice: notice.and_then(|new| letter(&spool, new)),
        };
        let (ticket, answer) = ticket();
        spool.queue.force(self.settlement(verdicts, letters, Some(answer)))?;
        Ok(Settling { spool, ticket })
    }
}

/// A settlement on its way to the disk.
pub struct Settling {
    spool: Arc<Spool>,
    ticket: Ticket<Result<Letters, SpoolError>>,
}

impl Settling {
    /// Waits at most `limit` for the disk.
    ///
    /// # Errors
    /// As [`Lease::settle`].
    pub fn wait(self, limit: Duration) -> Result<Settled, SpoolError> {
        let Settling { spool, ticket } = self;
        match ticket.wait(Deadline::within(clock::now(), limit).ends().0) {
            Waited::Answered(letters) => {
                let letters = letters?;
                let accepted = |letter: Option<Message>| letter.map(|l| l.into_accepted(&spool.claims));
                Ok(Settled { bounce: accepted(letters.bounce), notice: accepted(letters.notice) })
            }
            Waited::Lost => Err(SpoolError::Closed),
            Waited::Late => Err(SpoolError::Kept("the disk is too slow".into())),
        }
    }
}

impl Lease {
    /// The same without letters, and without waiting for the disk, so that a session goes on with its next message and many
    /// settlements share one sync. Until it is on disk nobody gets the claim; a process that is killed before has
    /// forgotten it, and tries the message again. While the writer is behind, this waits for it as [`Lease::settle`] does.
    ///
    /// # Errors
    /// [`SpoolError::Closed`]: it will not be written, and is not tried again before a restart; what else
    /// [`Lease::settle`] says when it had to wait.
    pub fn settle_soon(self, verdicts: Vec<(u32, Verdict)>, limit: Duration) -> Result<(), SpoolError> {
        if self.spool.queue.burden() >= MOST_UNWAITED {
            return self.settle(verdicts, None, None, limit).map(drop);
        }
        let spool = Arc::clone(&self.spool);
        spool.queue.force(self.settlement(verdicts, Letters::default(), None))
    }

    fn settlement(
        self,
        verdicts: Vec<(u32, Verdict)>,
        letters: Letters,
        answer: Option<Answer<Result<Letters, SpoolError>>>,
    ) -> Operation {
        let Lease { mut claim, recipients, file, .. } = self;
        let named = |(n, verdict): (u32, Verdict)| {
            let recipient = recipients.iter().find(|recipient| recipient.n == n);
            recipient.map(|recipient| (n, recipient.address.clone(), verdict))
        };
        let verdicts = verdicts.into_iter().filter_map(named).collect();
        claim.hold();
        let at = clock::unix();
        Operation::Settle(Box::new(Settlement { claim, file, at, verdicts, letters, answer }))
    }
}

/// A letter to be stored with a settlement: always as a row, whatever its size. A file could fail before the settlement,
/// and then what was delivered would be forgotten for the sake of a letter.
fn letter(spool: &Arc<Spool>, new: NewMessage) -> Option<Message> {
    let content = Content::octets(&spool.budget, new.octets, new.envelope.recipients.len());
    let message = Message::new(spool.next_id(), new.envelope, new.destinations, content);
    message.inspect_err(|error| log::error!("a letter of ours is not sent: {error}")).ok()
}

impl Lease {
    /// Gives recipients, by their `n`, another destination: the routes have changed since they were stored. The lease ends;
    /// the message is claimed anew for each destination. Waits at most `limit` for the disk.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing has been changed, or, when it took too long, that is found out at the next claim.
    pub fn reroute(self, recipients: Vec<(u32, Destination)>, limit: Duration) -> Result<(), SpoolError> {
        let rows = recipients.into_iter().map(|(n, destination)| (self.id(), n, destination)).collect();
        self.spool.order(limit, |answer| Operation::Reroute { rows, redirected: false, answer })
    }
}

/// What the spool has of a message for a destination.
struct Found {
    envelope: Envelope,
    recipients: Vec<LeasedRecipient>,
    /// The body, unless it is a file.
    octets: Option<Vec<u8>>,
    size: u64,
    delay_notified: bool,
}

/// Reads a message for a destination, in one snapshot; without what is in quarantine, and what has to go there.
fn found(
    connection: &rusqlite::Connection,
    key: &Key,
    unreadable: &mut Vec<Aside>,
) -> Result<Option<Found>, SpoolError> {
    let sql = |error: rusqlite::Error| SpoolError::sql(&error);
    let (id, destination) = (key.0, key.1.to_string());
    let corrupt = |text: String| SpoolError::Corrupt { id: Some(id), text };
    let snapshot = connection.unchecked_transaction().map_err(sql)?;
    let select = format!(
        "SELECT n, address, attempts, redirected, {} FROM recipients AS r WHERE message = ?1 AND destination = ?2
         AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.message = ?1 AND q.n IN (-1, r.n)) ORDER BY n",
        rows::LAST
    );
    let mut statement = snapshot.prepare(&select).map_err(sql)?;
    let mut found = statement.query(rusqlite::params![rows::row(id), destination]).map_err(sql)?;
    let mut recipients = Vec::new();
    while let Some(row) = found.next().map_err(sql)? {
        match recipient(row) {
            Ok(recipient) => recipients.push(recipient),
            Err(reason) => {
                let (message, n) = (rows::row(id), rows::column(row, 0).map_err(corrupt)?);
                unreadable.push(Aside { message, n, reason });
            }
        }
    }
    if recipients.is_empty() {
        return Ok(None);
    }
    let select = "SELECT reverse_path, body_type, size, accepted, file, delay_notified, \
                  (SELECT octets FROM bodies WHERE message = id) FROM messages WHERE id = ?1";
    let mut statement = snapshot.prepare(select).map_err(sql)?;
    let mut rows = statement.query([rows::row(id)]).map_err(sql)?;
    let Some(row) = rows.next().map_err(sql)? else { return Ok(None) };
    let mut read = || -> Readable<Found> {
        let envelope = Envelope {
            reverse_path: rows::reverse_path(row, 0)?,
            body_type: rows::body_type(row, 1)?,
            recipients: Vec::new(),
            accepted: Unix(rows::column(row, 3)?),
        };
        let octets = match rows::column::<bool>(row, 4)? {
            true => None,
            false => Some(rows::column::<Option<Vec<u8>>>(row, 6)?.ok_or("its body is missing")?),
        };
        let recipients = std::mem::take(&mut recipients);
        let (size, delay_notified) = (rows::count(row, 2)?, rows::column(row, 5)?);
        Ok(Found { envelope, recipients, octets, size, delay_notified })
    };
    read().map(Some).map_err(corrupt)
}

fn recipient(row: &rusqlite::Row<'_>) -> Readable<LeasedRecipient> {
    let (n, attempts) = (rows::count(row, 0)?, rows::count(row, 2)?);
    let redirected = rows::column(row, 3)?;
    Ok(LeasedRecipient { n, address: rows::mailbox(row, 1)?, attempts, last: rows::last(row, 4), redirected })
}
