//! What operators see of the queue, a page at a time.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SpoolError;
use super::records::{AttemptRecord, DestinationRecord, Filter, Listed, ListedRecipient, Page, Shape};
use super::rows::{self, Readable};
use super::store::Spool;
use crate::mail::{Body, Destination, QueueId};
use crate::smtp::EnhancedStatus;
use crate::time::{Phase, Unix};

/// The most messages of a page.
const PAGE: usize = 1000;
/// The most messages looked at for one page: a filter that meets none of a million must not hold a reader for long.
const SCAN: i64 = 50_000;

impl Spool {
    /// A page ends with the message that fills it up to so many recipients.
    pub const PAGE_RECIPIENTS: usize = 5000;

    /// A page of the queue: at most `limit` messages (and 1,000, and [`Spool::PAGE_RECIPIENTS`]), in the order of acceptance,
    /// after the id `after`, and only those that `filter` means; none that is in quarantine. No page looks at more than
    /// 50,000 messages.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read. Single rows that cannot are skipped.
    pub fn list(&self, after: Option<QueueId>, limit: usize, filter: &Filter) -> Result<Page, SpoolError> {
        let after = after.map_or(i64::MIN, rows::row);
        self.readers.with(|connection| {
            page(connection, after, limit.clamp(1, PAGE), filter).map_err(|e| SpoolError::sql(&e))
        })
    }

    /// One message, with its recipients; `None` when it is not queued.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn find(&self, id: QueueId) -> Result<Option<Listed>, SpoolError> {
        let before = id.row().checked_sub(1).map(QueueId::from_row);
        let page = self.list(before, 1, &Filter { up_to: Some(id), ..Filter::default() })?;
        Ok(page.messages.into_iter().find(|message| message.id == id))
    }

    /// The octets of a message; `None` when it is not queued.
    ///
    /// # Errors
    /// [`SpoolError`] when they cannot be read.
    pub fn body(&self, id: QueueId) -> Result<Option<Body>, SpoolError> {
        let select =
            "SELECT size, file, (SELECT octets FROM bodies WHERE message = id) FROM messages WHERE id = ?1";
        let found = self.readers.with(|connection| {
            let row = connection.query_row(select, [rows::row(id)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, Option<Vec<u8>>>(2)?))
            });
            row.optional().map_err(|e| SpoolError::sql(&e))
        })?;
        match found {
            None => Ok(None),
            Some((size, true, _)) => self.files.body(id, u64::try_from(size).unwrap_or(0)).map(Some),
            Some((_, false, Some(octets))) => Ok(Some(Body::from_octets(octets))),
            Some((_, false, None)) => {
                Err(SpoolError::Corrupt { id: Some(id), text: "its body is missing".into() })
            }
        }
    }

    /// How much is queued for each destination and how old it is at `now`: the `most` destinations with the most
    /// recipients. Counted in the database: memory grows with the destinations, not with the queue.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn shapes(&self, now: Unix, most: usize) -> Result<Vec<Shape>, SpoolError> {
        let age = |minutes: u64| format!("sum(?1 - accepted < {})", minutes * 60);
        let ages: Vec<_> = (0..9).map(|n| age(5 << n)).collect();
        let select = format!(
            "SELECT destination, min(accepted), sum(held IS NOT NULL), count(*), {} FROM recipients AS r
             JOIN messages ON id = message WHERE NOT EXISTS
             (SELECT 1 FROM quarantine AS q WHERE q.message = id AND q.n IN (-1, r.n)) GROUP BY destination ORDER BY count(*) DESC, destination LIMIT ?2",
            ages.join(", ")
        );
        self.readers.with(|connection| {
            let read = || {
                let mut statement = connection.prepare(&select)?;
                let most = i64::try_from(most).unwrap_or(i64::MAX);
                let records = statement.query_map(params![now.0, most], |row| Ok(shape(row)))?;
                readable(records, "a destination")
            };
            read().map_err(|e| SpoolError::sql(&e))
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

fn page(connection: &Connection, after: i64, limit: usize, filter: &Filter) -> rusqlite::Result<Page> {
    let snapshot = connection.unchecked_transaction()?;
    let up_to = filter.up_to.map_or(i64::MAX, rows::row);
    let scanned: Option<i64> = snapshot
        .query_row(
            "SELECT id FROM messages WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2",
            [after, SCAN],
            |row| row.get(0),
        )
        .optional()?;
    let end = scanned.unwrap_or(i64::MAX).min(up_to);
    let destination = filter.destination.as_ref().map(Destination::to_string);
    let pattern = |text: &Option<String>| text.as_deref().map(Filter::pattern);
    let (address, from, to) = (pattern(&filter.address), pattern(&filter.from), pattern(&filter.to));
    let mut messages = snapshot.prepare(
        "SELECT id, reverse_path, size, accepted, delay_notified, held FROM messages WHERE id > ?1 AND id <= ?2
         AND (?3 IS NULL OR accepted <= ?3) AND (?4 IS NULL OR accepted >= ?4)
         AND (?5 IS NULL OR (held IS NOT NULL) = ?5) AND (?6 IS NULL OR lower(reverse_path) GLOB ?6)
         AND (?7 IS NULL OR lower(reverse_path) GLOB ?7
              OR EXISTS (SELECT 1 FROM recipients WHERE message = id AND lower(address) GLOB ?7))
         AND EXISTS (SELECT 1 FROM recipients AS r WHERE message = id
                     AND (?8 IS NULL OR destination = ?8) AND (?9 IS NULL OR lower(address) GLOB ?9)
                     AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.message = id AND q.n IN (-1, r.n)))
         ORDER BY id",
    )?;
    let select = format!(
        "SELECT n, address, destination, attempts, next, redirected, {} FROM recipients AS r
         WHERE message = ?1 AND (?2 IS NULL OR destination = ?2) AND (?3 IS NULL OR lower(address) GLOB ?3)
         AND NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.message = ?1 AND q.n IN (-1, r.n)) ORDER BY n",
        rows::LAST
    );
    let mut recipients = snapshot.prepare(&select)?;
    let times = [filter.accepted_by, filter.accepted_since].map(|time| time.map(|time| time.0));
    let values = params![after, end, times[0], times[1], filter.held, from, address, destination, to];
    let mut found = messages.query(values)?;
    let mut page = Page::default();
    // The limit counts what can be read, or a page of unreadable rows would look like the end.
    let mut taken = 0;
    while page.messages.len() < limit && taken < Spool::PAGE_RECIPIENTS {
        let Some(row) = found.next()? else {
            page.next = scanned.filter(|scanned| *scanned < up_to).map(from_row);
            return Ok(page);
        };
        let mut message = match message(row) {
            Ok(message) => message,
            Err(text) => {
                log::error!("a message cannot be read and is skipped: {text}");
                continue;
            }
        };
        let values = params![rows::row(message.id), destination, to];
        let found = recipients.query_map(values, |row| Ok(recipient(row)))?;
        message.recipients = readable(found, "a recipient")?;
        taken += message.recipients.len();
        page.messages.push(message);
    }
    page.next = page.messages.last().map(|last| last.id);
    Ok(page)
}

fn from_row(row: i64) -> QueueId {
    QueueId::from_row(u64::try_from(row).unwrap_or(0))
}

fn message(row: &Row<'_>) -> Readable<Listed> {
    Ok(Listed {
        id: rows::id(row, 0)?,
        reverse_path: rows::reverse_path(row, 1)?,
        size: rows::count(row, 2)?,
        accepted: Unix(rows::column(row, 3)?),
        delay_notified: rows::column(row, 4)?,
        held: rows::column::<Option<i64>>(row, 5)?.map(Unix),
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
        redirected: rows::column(row, 5)?,
        last: rows::last(row, 6),
    })
}

/// The sums count what is younger than each age; the differences are what falls between two.
fn shape(row: &Row<'_>) -> Readable<Shape> {
    let all: u64 = rows::count(row, 3)?;
    let (mut ages, mut younger) = ([0; 10], 0);
    for (n, count) in ages.iter_mut().enumerate() {
        let upper = if n < 9 { rows::count(row, 4 + n)? } else { all };
        *count = u64::saturating_sub(upper, younger);
        younger = upper;
    }
    Ok(Shape {
        destination: rows::destination(row, 0)?,
        oldest: Unix(rows::column(row, 1)?),
        held: rows::count(row, 2)?,
        ages,
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
