//! Quarantine: what cannot be read is put out of the way of everything else, and kept as it is for a person to look at.
//!
//! A message whose row or body is damaged would otherwise be tried again and again, or be forgotten. Its rows and its body
//! stay; delivery, the counts and the pages of the queue pass it by. `schema.rs` says how to get it back.

use rusqlite::{Connection, params};

use super::operation::Operation;
use super::rows;
use super::store::Spool;
use super::{SpoolError, rows::Readable};
use crate::mail::QueueId;
use crate::time::{Unix, clock};

/// The `n` of a message as a whole.
pub(super) const WHOLE: i64 = -1;

/// Something to be put into quarantine: its columns, as they are, since they may be what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) message: i64,
    pub(super) n: i64,
    pub(super) reason: String,
}

/// Something in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The queue id of the message, or its number when that is none.
    pub id: String,
    /// The place of the recipient in the envelope; `None` for the message as a whole.
    pub n: Option<u32>,
    /// Since when.
    pub at: Unix,
    /// What is wrong with it.
    pub reason: String,
}

/// The queue id of a row, or its number.
pub(super) fn name(message: i64) -> String {
    let id = u64::try_from(message).ok().map(|number| (number, QueueId::from_row(number)));
    id.filter(|(number, id)| id.row() == *number).map_or(message.to_string(), |(_, id)| id.to_string())
}

impl Spool {
    /// Puts into quarantine what cannot be read. Does not wait for the disk: what is not written now is found again.
    pub(super) fn set_aside(&self, what: Vec<Aside>) {
        if !what.is_empty()
            && let Err(error) = self.queue.put(Operation::SetAside(what), clock::now())
        {
            log::error!("what cannot be read is not marked now: {error}");
        }
    }

    /// What is in quarantine: how much, and the first `limit` of it.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn quarantine(&self, limit: usize) -> Result<(u64, Vec<Quarantined>), SpoolError> {
        self.readers.with(|connection| shown(connection, limit, None).map_err(|e| SpoolError::sql(&e)))
    }

    /// What of a message is in quarantine.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn quarantine_of(&self, id: QueueId) -> Result<Vec<Quarantined>, SpoolError> {
        let found = self.readers.with(|connection| {
            shown(connection, usize::MAX, Some(rows::row(id))).map_err(|e| SpoolError::sql(&e))
        });
        found.map(|(_, found)| found)
    }
}

fn shown(
    connection: &Connection,
    limit: usize,
    only: Option<i64>,
) -> rusqlite::Result<(u64, Vec<Quarantined>)> {
    let count = connection.query_row("SELECT count(*) FROM quarantine", [], |row| row.get::<_, i64>(0))?;
    let select = "SELECT message, n, at, reason FROM quarantine
                  WHERE ?2 IS NULL OR message = ?2 ORDER BY message, n LIMIT ?1";
    let mut statement = connection.prepare(select)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Quarantined {
            id: name(row.get(0)?),
            n: u32::try_from(row.get::<_, i64>(1)?).ok(),
            at: Unix(row.get(2)?),
            reason: row.get(3)?,
        })
    };
    let found = statement.query_map(params![i64::try_from(limit).unwrap_or(i64::MAX), only], read)?;
    Ok((u64::try_from(count).unwrap_or(0), found.collect::<Result<_, _>>()?))
}

/// Which of the messages above `after` up to `end` are in quarantine, and which of their recipients.
pub(super) fn between(
    connection: &Connection,
    after: i64,
    end: i64,
) -> rusqlite::Result<std::collections::HashSet<(i64, i64)>> {
    let select = "SELECT message, n FROM quarantine WHERE message > ?1 AND message <= ?2";
    let mut statement = connection.prepare(select)?;
    let found = statement.query_map([after, end], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.collect()
}

/// How many messages and recipients are in quarantine, and so not counted.
pub(super) fn uncounted(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let messages = number("SELECT count(*) FROM quarantine WHERE n = -1")?;
    // From the few to the many.
    let recipients = number(
        "SELECT count(*) FROM (SELECT DISTINCT r.message, r.n FROM quarantine q CROSS JOIN recipients r
         ON r.message = q.message AND q.n IN (-1, r.n))",
    )?;
    Ok((messages, recipients))
}

/// A row that cannot be read, as what is put aside. Without even a number nobody can name it.
pub(super) fn unreadable(row: &rusqlite::Row<'_>, n: Option<usize>, reason: &str) -> Readable<Aside> {
    let (message, n) = (rows::column(row, 0)?, n.map_or(Ok(WHOLE), |n| rows::column(row, n))?);
    Ok(Aside { message, n, reason: reason.to_owned() })
}
