//! What operators see of the queue, a page at a time.

use rusqlite::{Connection, Row, params};

use super::SpoolError;
use super::records::{AttemptRecord, DestinationRecord, Listed, ListedRecipient};
use super::rows::{self, Readable};
use super::store::Spool;
use crate::mail::{Destination, QueueId};
use crate::smtp::EnhancedStatus;
use crate::time::{Phase, Unix};

/// The most messages of a page.
const PAGE: usize = 1000;

impl Spool {
    /// A page ends with the message that fills it up to so many recipients.
    pub const PAGE_RECIPIENTS: usize = 5000;

    /// A page of the queue: at most `limit` messages (and 1,000, and [`Spool::PAGE_RECIPIENTS`]), in the order of acceptance, after the id `after`, and if
    /// asked only those for `destination`; none that is in quarantine. The next page begins after the last one; an empty page is the end.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read. Single rows that cannot are skipped.
    pub fn list(
        &self,
        after: Option<QueueId>,
        limit: usize,
        destination: Option<&Destination>,
    ) -> Result<Vec<Listed>, SpoolError> {
        let after = after.map_or(i64::MIN, rows::row);
        let destination = destination.map(Destination::to_string);
        self.readers.with(|connection| {
            page(connection, after, limit.clamp(1, PAGE), destination.as_deref())
                .map_err(|e| SpoolError::sql(&e))
        })
    }

    /// What has been tried for a message, oldest first; empty when it is not queued or has not been tried.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn history(&self, id: QueueId) -> Result<Vec<AttemptRecord>, SpoolError> {
        let select = "SELECT n, address, at, outcome, phase, status, text FROM attempts WHERE message = ?1 ORDER BY seq";
        self.readers.with(|connection| {
            let read = || {
                let mut statement = connection.prepare(select)?;
                let records = statement.query_map([rows::row(id)], |row| Ok(attempt(row)))?;
                readable(records, "an attempt")
            };
            read().map_err(|e| SpoolError::sql(&e))
        })
    }

    /// The standing of every destination that was told to [`Spool::remember`].
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn destinations(&self) -> Result<Vec<DestinationRecord>, SpoolError> {
        let select = "SELECT destination, failures, until, proven, last_at, last_text FROM destinations";
        self.readers.with(|connection| {
            let read = || {
                let mut statement = connection.prepare(select)?;
                let records = statement.query_map([], |row| Ok(standing(row)))?;
                readable(records, "a destination")
            };
            read().map_err(|e| SpoolError::sql(&e))
        })
    }
}

/// All that can be read; what cannot is logged.
fn readable<T>(
    rows: impl Iterator<Item = rusqlite::Result<Readable<T>>>,
    what: &str,
) -> rusqlite::Result<Vec<T>> {
    let mut values = Vec::new();
    for row in rows {
        match row? {
            Ok(value) => values.push(value),
            Err(text) => log::error!("{what} cannot be read and is skipped: {text}"),
        }
    }
    Ok(values)
}

fn page(
    connection: &Connection,
    after: i64,
    limit: usize,
    destination: Option<&str>,
) -> rusqlite::Result<Vec<Listed>> {
    let snapshot = connection.unchecked_transaction()?;
    let mut messages = snapshot.prepare(
        "SELECT id, reverse_path, size, accepted, delay_notified FROM messages WHERE id > ?1 AND EXISTS
         (SELECT 1 FROM recipients AS r WHERE message = id AND (?2 IS NULL OR destination = ?2) AND NOT EXISTS
          (SELECT 1 FROM quarantine AS q WHERE q.message = id AND q.n IN (-1, r.n))) ORDER BY id",
    )?;
    let select = format!(
        "SELECT n, address, destination, attempts, next, {} FROM recipients AS r
         WHERE message = ?1 AND (?2 IS NULL OR destination = ?2) AND NOT EXISTS
         (SELECT 1 FROM quarantine AS q WHERE q.message = ?1 AND q.n IN (-1, r.n)) ORDER BY n",
        rows::LAST
    );
    let mut recipients = snapshot.prepare(&select)?;
    let mut found = messages.query(params![after, destination])?;
    let mut listed = Vec::new();
    // The limit counts what can be read, or a page of unreadable rows would look like the end.
    let mut taken = 0;
    while listed.len() < limit
        && taken < Spool::PAGE_RECIPIENTS
        && let Some(row) = found.next()?
    {
        let mut message = match message(row) {
            Ok(message) => message,
            Err(text) => {
                log::error!("a message cannot be read and is skipped: {text}");
                continue;
            }
        };
        let found =
            recipients.query_map(params![rows::row(message.id), destination], |row| Ok(recipient(row)))?;
        message.recipients = readable(found, "a recipient")?;
        taken += message.recipients.len();
        listed.push(message);
    }
    Ok(listed)
}

fn message(row: &Row<'_>) -> Readable<Listed> {
    Ok(Listed {
        id: rows::id(row, 0)?,
        reverse_path: rows::reverse_path(row, 1)?,
        size: rows::count(row, 2)?,
        accepted: Unix(rows::column(row, 3)?),
        delay_notified: rows::column(row, 4)?,
        recipients: Vec::new(),
    })
}

fn recipient(row: &Row<'_>) -> Readable<ListedRecipient> {
    Ok(ListedRecipient {
        n: rows::count(row, 0)?,
        address: rows::mailbox(row, 1)?,
        destination: rows::destination(row, 2)?,
        attempts: rows::count(row, 3)?,
        next: Unix(rows::column(row, 4)?),
        last: rows::last(row, 5),
    })
}

fn attempt(row: &Row<'_>) -> Readable<AttemptRecord> {
    let word = |n: usize| rows::column::<Option<String>>(row, n);
    Ok(AttemptRecord {
        n: rows::count(row, 0)?,
        address: rows::column(row, 1)?,
        at: Unix(rows::column(row, 2)?),
        outcome: rows::column(row, 3)?,
        phase: word(4)?.and_then(|word| Phase::from_word(&word)),
        status: word(5)?.and_then(|text| EnhancedStatus::parse(&text)),
        text: word(6)?.unwrap_or_default(),
    })
}

fn standing(row: &Row<'_>) -> Readable<DestinationRecord> {
    Ok(DestinationRecord {
        destination: rows::destination(row, 0)?,
        failures: rows::count(row, 1)?,
        until: Unix(rows::column(row, 2)?),
        proven: rows::column(row, 3)?,
        last_at: Unix(rows::column(row, 4)?),
        last_text: rows::column(row, 5)?,
    })
}
