//! Taking up the queue at start: every message's envelope is read once, none is kept.

use std::time::Duration;

use rusqlite::Connection;

use super::SpoolError;
use super::operation::Operation;
use super::quarantine::{self, Aside, WHOLE};
use super::rows::{self, Readable};
use super::store::Spool;
use super::ticket::{Waited, ticket};
use crate::mail::{Destination, QueueId};
use crate::smtp::Host;
use crate::time::{Deadline, Unix, clock};

/// Messages read at a time: a read that never ended would keep the log from being checkpointed.
const PAGE: i64 = 1000;
/// How long the correction of destinations may take, for one page.
const REROUTE: Duration = Duration::from_secs(30);

/// A message queued for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The queue id.
    pub id: QueueId,
    /// The next hop.
    pub destination: Destination,
    /// The earliest time of its recipients there; 0 for at once.
    pub next: Unix,
    /// How often it has been tried: the most of its recipients there.
    pub attempts: u32,
    /// When the message was accepted.
    pub accepted: Unix,
}

/// What was taken up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakeUp {
    /// Messages with at least one entry.
    pub messages: u64,
    /// Entries.
    pub entries: u64,
    /// Rows, of messages or recipients, that could not be read, and are in quarantine from now on.
    pub unreadable: u64,
}

/// A page of the queue.
#[derive(Default)]
struct Page {
    /// How far it got; `None` when there was nothing.
    end: Option<i64>,
    messages: Vec<(QueueId, Unix)>,
    /// In the order of the messages.
    recipients: Vec<Queued>,
    unreadable: Vec<Aside>,
}

/// A queued recipient.
struct Queued {
    id: QueueId,
    n: u32,
    /// `None` when it cannot be read.
    stored: Option<Destination>,
    routed: Destination,
    attempts: u32,
    next: Unix,
}

impl Spool {
    /// Gives every (message, destination) that is queued to `each`, in the order of acceptance. `route` says the
    /// destination of a recipient's host as the routes are now; rows that say otherwise are corrected first.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool as a whole cannot be read. Single rows that cannot are put into quarantine.
    pub fn take_up(
        &self,
        route: &dyn Fn(&Host) -> Destination,
        each: &mut dyn FnMut(Entry),
    ) -> Result<TakeUp, SpoolError> {
        let mut taken = TakeUp::default();
        let mut after = i64::MIN;
        loop {
            let mut page = self.readers.with(|connection| page(connection, after, route))?;
            let Some(end) = page.end else { return Ok(taken) };
            after = end;
            taken.unreadable += page.unreadable.len() as u64;
            self.set_aside(std::mem::take(&mut page.unreadable));
            self.correct(&mut page.recipients);
            let mut recipients = page.recipients.into_iter().peekable();
            for (id, accepted) in page.messages {
                let mut entries: Vec<Entry> = Vec::new();
                while let Some(recipient) = recipients.next_if(|recipient| recipient.id == id) {
                    match entries.iter_mut().find(|entry| entry.destination == recipient.routed) {
                        Some(entry) => {
                            entry.next = entry.next.min(recipient.next);
                            entry.attempts = entry.attempts.max(recipient.attempts);
                        }
                        None => entries.push(Entry {
                            id,
                            destination: recipient.routed,
                            next: recipient.next,
                            attempts: recipient.attempts,
                            accepted,
                        }),
                    }
                }
                taken.messages += u64::from(!entries.is_empty());
                taken.entries += entries.len() as u64;
                entries.into_iter().for_each(&mut *each);
            }
        }
    }

    /// Writes changed destinations, since a claim asks by them. Where that fails mail takes the old way: better than none.
    fn correct(&self, recipients: &mut [Queued]) {
        let changed =
            recipients.iter().filter(|recipient| Some(&recipient.routed) != recipient.stored.as_ref());
        let rows: Vec<_> = changed.map(|r| (r.id, r.n, r.routed.clone())).collect();
        if rows.is_empty() {
            return;
        }
        let end = Deadline::within(clock::now(), REROUTE).ends().0;
        let (ticket, answer) = ticket();
        let put = self.queue.put(Operation::Reroute { rows, redirected: false, answer }, end);
        let error = match put.map(|()| ticket.wait(end)) {
            Ok(Waited::Answered(Ok(()))) => return,
            Ok(Waited::Answered(Err(error))) | Err(error) => error,
            Ok(Waited::Lost) => SpoolError::Closed,
            Ok(Waited::Late) => SpoolError::Temporary("the disk is too slow".into()),
        };
        log::error!("queued mail keeps its former routes until the next start: {error}");
        for recipient in recipients {
            if let Some(stored) = &recipient.stored {
                recipient.routed = stored.clone();
            }
        }
    }
}

fn page(
    connection: &Connection,
    after: i64,
    route: &dyn Fn(&Host) -> Destination,
) -> Result<Page, SpoolError> {
    let sql = |error: rusqlite::Error| SpoolError::sql(&error);
    let snapshot = connection.unchecked_transaction().map_err(sql)?;
    let mut page = Page::default();
    let select = "SELECT id, accepted, reverse_path FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = snapshot.prepare(select).map_err(sql)?;
    let mut found = statement.query([after, PAGE]).map_err(sql)?;
    while let Some(row) = found.next().map_err(sql)? {
        page.end = Some(row.get(0).map_err(sql)?);
        match message(row) {
            Ok(message) => page.messages.push(message),
            Err(text) => page.skip(quarantine::unreadable(row, None, &text)),
        }
    }
    let Some(end) = page.end else { return Ok(page) };
    let aside = quarantine::between(&snapshot, after, end).map_err(sql)?;
    if !aside.is_empty() {
        page.messages.retain(|(id, _)| !aside.contains(&(rows::row(*id), WHOLE)));
        page.unreadable.retain(|row| !aside.contains(&(row.message, WHOLE)));
    }
    let select = "SELECT message, n, address, destination, attempts, next, redirected FROM recipients \
                  WHERE message > ?1 AND message <= ?2 ORDER BY message, n";
    let mut statement = snapshot.prepare(select).map_err(sql)?;
    let mut found = statement.query([after, end]).map_err(sql)?;
    // Both are in the order of ids: recipients of messages that cannot be read are passed over on the way.
    let mut at = 0;
    while let Some(row) = found.next().map_err(sql)? {
        let Ok(id) = rows::id(row, 0) else { continue };
        at += page.messages[at..].iter().take_while(|(other, _)| *other < id).count();
        if page.messages.get(at).is_none_or(|(other, _)| *other != id) {
            continue;
        }
        if !aside.is_empty() && row.get(1).is_ok_and(|n| aside.contains(&(rows::row(id), n))) {
            continue;
        }
        match queued(row, id, route) {
            Ok(queued) => page.recipients.push(queued),
            Err(text) => page.skip(quarantine::unreadable(row, Some(1), &text)),
        }
    }
    Ok(page)
}

impl Page {
    fn skip(&mut self, row: Readable<Aside>) {
        match row {
            Ok(row) => self.unreadable.push(row),
            Err(text) => log::error!("a row cannot be read, nor named: {text}"),
        }
    }
}

fn message(row: &rusqlite::Row<'_>) -> Readable<(QueueId, Unix)> {
    let id = rows::id(row, 0)?;
    rows::reverse_path(row, 2).map_err(|text| format!("{id}: {text}"))?;
    Ok((id, Unix(rows::column(row, 1)?)))
}

fn queued(row: &rusqlite::Row<'_>, id: QueueId, route: &dyn Fn(&Host) -> Destination) -> Readable<Queued> {
    let address = rows::mailbox(row, 2)?;
    let stored = rows::destination(row, 3).ok();
    // What an operator has chosen stays, whatever the routes say.
    let chosen = stored.clone().filter(|_| rows::column(row, 6) == Ok(true));
    let routed = chosen.unwrap_or_else(|| route(address.host()));
    Ok(Queued {
        id,
        n: rows::count(row, 1)?,
        stored,
        routed,
        attempts: rows::count(row, 4)?,
        next: Unix(rows::column(row, 5)?),
    })
}
