//! What each operation does to the tables. Statements are prepared once, for the life of the writer.

use rusqlite::{Connection, Statement, ToSql, params};

use super::accepted::Message;
use super::operation::{Operation, Settlement};
use super::quarantine::{Aside, WHOLE};
use super::records::DestinationRecord;
use super::rows;
use super::{SpoolError, Verdict};
use crate::mail::QueueId;
use crate::time::clock;

/// How many attempts of a message are kept.
const HISTORY: i64 = 50;
/// How many ids (microseconds) are reserved at a time: a write once a minute, not with every message.
const RESERVE: i64 = 60_000_000;

/// The recipients of a message that are not in quarantine, nor with it.
const WELL: &str = "FROM recipients AS r WHERE message = ?1 AND NOT EXISTS
                    (SELECT 1 FROM quarantine AS q WHERE q.message = ?1 AND q.n IN (-1, r.n))";

/// What a transaction changes outside the tables, once it has committed.
#[derive(Default)]
pub(super) struct Effects {
    /// Messages more, or fewer.
    pub(super) messages: i64,
    /// Recipients more, or fewer.
    pub(super) recipients: i64,
    /// What has been put into quarantine now.
    pub(super) aside: Vec<Aside>,
    /// Body files nobody needs any more.
    pub(super) unlink: Vec<QueueId>,
    /// Ids up to this are reserved.
    reserved: i64,
}

/// The prepared statements of the writer, and the ids it has reserved.
pub(super) struct Statements<'c> {
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    reserve: Statement<'c>,
    overwrite: Statement<'c>,
    message: Statement<'c>,
    recipient: Statement<'c>,
    body: Statement<'c>,
    recipient_gone: Statement<'c>,
    recipients_gone: Statement<'c>,
    deferred: Statement<'c>,
    postponed: Statement<'c>,
    is_left: Statement<'c>,
    is_well: Statement<'c>,
    is_aside: Statement<'c>,
    well: Statement<'c>,
    set_aside: Statement<'c>,
    message_gone: Statement<'c>,
    attempt: Statement<'c>,
    trim: Statement<'c>,
    notified: Statement<'c>,
    reroute: Statement<'c>,
    hold: Statement<'c>,
    suspend: Statement<'c>,
    resume: Statement<'c>,
    remember: Statement<'c>,
    disremember: Statement<'c>,
    reserved: i64,
    connection: &'c Connection,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Statements<'c>> {
        let statement = |sql: &str| connection.prepare(sql);
        Ok(Statements {
            begin: statement("BEGIN IMMEDIATE")?,
            commit: statement("COMMIT")?,
            rollback: statement("ROLLBACK")?,
            reserve: statement("UPDATE ids SET last = ?1")?,
            overwrite: statement("UPDATE ids SET last = last + 1")?,
            message: statement(
                "INSERT INTO messages (id, reverse_path, body_type, size, accepted, file)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            recipient: statement(
                "INSERT INTO recipients (message, n, address, destination) VALUES (?1, ?2, ?3, ?4)",
            )?,
            body: statement("INSERT INTO bodies VALUES (?1, ?2)")?,
            recipient_gone: statement("DELETE FROM recipients WHERE message = ?1 AND n = ?2")?,
            recipients_gone: statement("DELETE FROM recipients WHERE message = ?1")?,
            deferred: statement(
                "UPDATE recipients SET attempts = attempts + 1, next = ?3, last_at = ?4, last_blame = ?5,
                 last_phase = ?6, last_status = ?7, last_said = ?8, last_text = ?9, last_remote = ?10,
                 last_address = ?11, last_duplicate = ?12 WHERE message = ?1 AND n = ?2",
            )?,
            postponed: statement("UPDATE recipients SET next = ?3 WHERE message = ?1 AND n = ?2")?,
            is_left: statement("SELECT EXISTS (SELECT 1 FROM recipients WHERE message = ?1)")?,
            is_well: statement(&format!("SELECT EXISTS (SELECT 1 {WELL})"))?,
            is_aside: statement("SELECT EXISTS (SELECT 1 FROM quarantine WHERE message = ?1 AND n = -1)")?,
            well: statement(&format!("SELECT count(*) {WELL}"))?,
            set_aside: statement(
                "INSERT OR IGNORE INTO quarantine SELECT ?1, ?2, ?3, ?4 FROM messages WHERE id = ?1",
            )?,
            message_gone: statement("DELETE FROM messages WHERE id = ?1")?,
            attempt: statement(
                "INSERT INTO attempts SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
                 FROM attempts WHERE message = ?1",
            )?,
            trim: statement(
                "DELETE FROM attempts WHERE message = ?1
                 AND seq <= (SELECT max(seq) FROM attempts WHERE message = ?1) - ?2",
            )?,
            notified: statement("UPDATE messages SET delay_notified = 1 WHERE id = ?1")?,
            reroute: statement(
                "UPDATE recipients SET destination = ?3, redirected = ?4 WHERE message = ?1 AND n = ?2",
            )?,
            // Since when it is held is the first time that somebody said so.
            hold: statement(
                "UPDATE messages SET held = CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(held, ?2) END WHERE id = ?1",
            )?,
            suspend: statement("INSERT OR REPLACE INTO suspended VALUES (?1, ?2, ?3)")?,
            resume: statement("DELETE FROM suspended WHERE destination = ?1")?,
            remember: statement("INSERT OR REPLACE INTO destinations VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?,
            disremember: statement("DELETE FROM destinations WHERE destination = ?1")?,
            reserved: connection.query_row("SELECT last FROM ids", [], |row| row.get(0))?,
            connection,
        })
    }

    /// Begins a transaction.
    pub(super) fn begin(&mut self) -> Result<(), SpoolError> {
        self.begin.execute([]).map(drop).map_err(|e| SpoolError::sql(&e))
    }

    /// Commits: synced when it returns Ok. After an error the transaction must be rolled back, and never be committed
    /// again: a sync that failed once may "succeed" the next time without having written anything.
    pub(super) fn commit(&mut self, effects: &Effects) -> Result<(), SpoolError> {
        self.commit.execute([]).map_err(|e| SpoolError::sql(&e))?;
        self.reserved = self.reserved.max(effects.reserved);
        Ok(())
    }

    /// A transaction that changes nothing of the mail, but writes: its frame takes the place of the first one that a failed
    /// commit has left in the log, and what follows that is no longer valid.
    pub(super) fn overwrite(&mut self) -> Result<(), SpoolError> {
        self.begin()?;
        let done = self.overwrite.execute([]).map_err(|e| SpoolError::sql(&e));
        let done = done.and_then(|_| self.commit(&Effects::default()));
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    /// Undoes the transaction, unless SQLite has done so already.
    pub(super) fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.rollback.execute([])
        {
            log::error!("rolling back: {error}");
        }
    }

    /// Does one operation within the transaction.
    pub(super) fn apply(&mut self, operation: &Operation, effects: &mut Effects) -> Result<(), SpoolError> {
        let done = match operation {
            Operation::Accept(accept) => self.store(&accept.message, effects),
            Operation::Settle(settlement) => self.settle(settlement, effects),
            Operation::Forget { id, file } => self.forget(*id, *file, effects),
            Operation::Reroute { rows, redirected, .. } => {
                rows.iter().try_for_each(|(id, n, destination)| {
                    let values = params![rows::row(*id), n, destination.to_string(), redirected];
                    self.reroute.execute(values).map(drop)
                })
            }
            Operation::Hold { ids, since, .. } => {
                let since = since.map(|since| since.0);
                ids.iter().try_for_each(|id| self.hold.execute(params![rows::row(*id), since]).map(drop))
            }
            Operation::Suspend { destination, suspended, .. } => match suspended {
                Some((since, reason)) => {
                    let values = params![destination.to_string(), since.0, rows::cut(reason.clone())];
                    self.suspend.execute(values).map(drop)
                }
                None => self.resume.execute([destination.to_string()]).map(drop),
            },
            Operation::SetAside(what) => what.iter().try_for_each(|aside| self.set_aside(aside, effects)),
            Operation::Remember(records) => records.iter().try_for_each(|record| self.remember(record)),
            // The writer does these itself.
            Operation::Close(_) | Operation::Open(_) => Ok(()),
            #[cfg(test)]
            Operation::Test(act) => {
                act(self.connection);
                Ok(())
            }
        };
        done.map_err(|e| SpoolError::sql(&e))
    }

    fn store(&mut self, message: &Message, effects: &mut Effects) -> rusqlite::Result<()> {
        let (id, envelope) = (rows::row(message.id), &message.envelope);
        if id > self.reserved.max(effects.reserved) {
            effects.reserved = id.saturating_add(RESERVE);
            self.reserve.execute([effects.reserved])?;
        }
        self.message.execute(params![
            id,
            envelope.reverse_path.to_string(),
            rows::bits(envelope.body_type),
            i64::try_from(message.size()).unwrap_or(i64::MAX),
            envelope.accepted.0,
            message.is_file(),
        ])?;
        for (n, (address, destination)) in envelope.recipients.iter().zip(&message.destinations).enumerate() {
            self.recipient.execute(params![id, n as i64, address.to_string(), destination.to_string()])?;
            effects.recipients += 1;
        }
        if let Some(octets) = message.octets() {
            self.body.execute(params![id, octets])?;
        }
        effects.messages += 1;
        Ok(())
    }

    fn settle(&mut self, settlement: &Settlement, effects: &mut Effects) -> rusqlite::Result<()> {
        let id = settlement.claim.key().0;
        let message = rows::row(id);
        let is_aside = self.is_aside.query_row([message], |row| row.get::<_, bool>(0))?;
        for (n, _, verdict) in &settlement.verdicts {
            match verdict {
                Verdict::Delivered(_) | Verdict::Failed { .. } | Verdict::Removed => {
                    let gone = self.recipient_gone.execute(params![message, n])? as i64;
                    effects.recipients -= if is_aside { 0 } else { gone };
                }
                Verdict::Deferred { failure, next } => {
                    let values = rows::failure_values(failure);
                    let first: [&dyn ToSql; 4] = [&message, n, &next.0, &settlement.at.0];
                    let all: Vec<&dyn ToSql> =
                        first.into_iter().chain(values.iter().map(|value| &**value)).collect();
                    self.deferred.execute(&*all)?;
                }
                Verdict::Postponed { next } => {
                    self.postponed.execute(params![message, n, next.0])?;
                }
            }
        }
        if self.is_left.query_row([message], |row| row.get::<_, bool>(0))? {
            self.record(settlement, message)?;
            if settlement.letters.notice.is_some() {
                self.notified.execute([message])?;
            }
            self.keep_aside(message, effects)?;
        } else {
            self.drop_message(id, settlement.file, effects)?;
        }
        settlement.letters.iter().try_for_each(|letter| self.store(letter, effects))
    }

    /// Adds to the history of a message that stays.
    fn record(&mut self, settlement: &Settlement, message: i64) -> rusqlite::Result<()> {
        for (n, address, verdict) in &settlement.verdicts {
            let Some((word, failure)) = verdict.word() else { continue };
            self.attempt.execute(params![
                message,
                n,
                address.to_string(),
                settlement.at.0,
                word,
                failure.map(|failure| failure.phase.word()),
                failure.map(|failure| failure.status.to_string()),
                verdict.words().map(rows::cut),
            ])?;
        }
        self.trim.execute([message, HISTORY]).map(drop)
    }

    fn forget(&mut self, id: QueueId, file: bool, effects: &mut Effects) -> rusqlite::Result<()> {
        effects.recipients -= self.recipients_gone.execute([rows::row(id)])? as i64;
        self.drop_message(id, file, effects)
    }

    /// Puts into quarantine what is not there yet; it is counted no more.
    fn set_aside(&mut self, aside: &Aside, effects: &mut Effects) -> rusqlite::Result<()> {
        let counted =
            |statement: &mut Statement<'c>| statement.query_row([aside.message], |row| row.get::<_, i64>(0));
        let before = counted(&mut self.well)?;
        let values = params![aside.message, aside.n, clock::unix().0, rows::cut(aside.reason.clone())];
        if self.set_aside.execute(values)? == 0 {
            return Ok(());
        }
        effects.aside.push(aside.clone());
        let whole = aside.n == WHOLE;
        effects.messages -= i64::from(whole);
        effects.recipients -= before - if whole { 0 } else { counted(&mut self.well)? };
        if whole { Ok(()) } else { self.keep_aside(aside.message, effects) }
    }

    /// A message that has only recipients in quarantine is there as a whole.
    fn keep_aside(&mut self, message: i64, effects: &mut Effects) -> rusqlite::Result<()> {
        let is = |statement: &mut Statement<'c>| statement.query_row([message], |row| row.get::<_, bool>(0));
        if is(&mut self.is_well)? || is(&mut self.is_aside)? {
            return Ok(());
        }
        let reason = "none of the recipients that are left can be read".to_owned();
        self.set_aside(&Aside { message, n: WHOLE, reason }, effects)
    }

    /// The triggers remove what belongs to it.
    fn drop_message(&mut self, id: QueueId, file: bool, effects: &mut Effects) -> rusqlite::Result<()> {
        let message = rows::row(id);
        let is_aside = self.is_aside.query_row([message], |row| row.get::<_, bool>(0))?;
        let gone = self.message_gone.execute([message])? as i64;
        effects.messages -= if is_aside { 0 } else { gone };
        if file {
            effects.unlink.push(id);
        }
        Ok(())
    }

    fn remember(&mut self, record: &DestinationRecord) -> rusqlite::Result<()> {
        let destination = record.destination.to_string();
        if record.failures == 0 && !record.proven {
            return self.disremember.execute([destination]).map(drop);
        }
        let values = params![
            destination,
            record.failures,
            record.until.0,
            record.proven,
            record.last_at.0,
            rows::cut(record.last_text.clone()),
        ];
        self.remember.execute(values).map(drop)
    }
}
