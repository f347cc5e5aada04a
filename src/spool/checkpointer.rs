//! Moves what has been committed from the write-ahead log into the database, off the commit path, and bounds the log.
//!
//! A passive checkpoint disturbs nobody, but under constant load it never reaches the end of a log that grows meanwhile.
//! So above [`MOST_PAGES`] the log is restarted, which stops the writer for the short rest that the passive one has left.
//!
//! A checkpoint that fails loses nothing, since the log has it all; but the next one must not trust what it did: see
//! `renewal.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

use super::Alarm;
use super::renewal::Renewal;
use super::writer::Counts;

/// The log is restarted above this: 64 MiB.
const MOST_PAGES: i64 = 16 << 10;
/// How much time commits are gathered for one checkpoint; less when the last one found much.
const GATHER: Duration = Duration::from_secs(1);
const GATHER_BUSY: Duration = Duration::from_millis(100);
/// A log that is growing fast: 16 MiB.
const BUSY_PAGES: i64 = 4 << 10;
/// The most passive checkpoints before the writer is stopped for the rest.
const ROUNDS: usize = 4;
/// How long an idle checkpointer waits before it looks again.
const IDLE: Duration = Duration::from_secs(60);

/// The waits after a checkpoint that failed: the first, doubling to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What follows from a checkpoint that failed.
#[derive(Clone, Copy)]
struct Failed {
    /// How long to wait for the next try.
    wait: Duration,
    /// A sync may have failed: nothing is moved before the connections are opened anew. A full disk alone has room again.
    renew: bool,
}

impl Failed {
    fn again(self) -> Failed {
        Failed { wait: (self.wait * 2).min(RETRY.1), ..self }
    }
}

/// The checkpointer. Its thread ends when `stop` is disconnected.
pub(super) struct Checkpointer {
    pub(super) counts: Arc<Counts>,
    /// The writer has committed something.
    pub(super) written: Receiver<()>,
    pub(super) stop: Receiver<()>,
    /// Held by the writer during a transaction.
    pub(super) gate: Arc<Mutex<()>>,
    pub(super) renewal: Renewal,
    pub(super) alarm: Alarm,
}

impl Checkpointer {
    pub(super) fn run(self, mut connection: Connection) {
        let (mut done, mut pages) = (0, 0);
        let mut failed: Option<Failed> = None;
        loop {
            let idle = failed.map_or(IDLE, |failed| failed.wait);
            select! {
                recv(self.written) -> _ => {}
                recv(self.stop) -> _ => break,
                default(idle) => if failed.is_none() { continue },
            }
            let gather = if pages > BUSY_PAGES { GATHER_BUSY } else { GATHER };
            let gather = failed.map_or(gather, |failed| failed.wait);
            if self.stop.recv_timeout(gather) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            if failed.is_some_and(|failed| failed.renew) {
                // Where nothing can be written nothing can be opened either, and mail that is queued must be read.
                let mut renewed = probe(&connection);
                if renewed.is_ok() {
                    let Ok((opened, anew)) = self.renewal.renew(connection) else { return };
                    connection = opened;
                    renewed = if anew { Ok(()) } else { Err("another program has the database open".into()) };
                }
                if let Err(error) = renewed {
                    self.alarm.raise(&error);
                    failed = failed.map(Failed::again);
                    continue;
                }
            }
            let commits = self.counts.commits.load(Ordering::Relaxed);
            if failed.is_none() && commits == std::mem::replace(&mut done, commits) {
                continue;
            }
            match self.checkpoint(&connection) {
                Ok(found) => {
                    (failed, pages) = (None, found);
                    self.alarm.clear();
                }
                Err(error) => {
                    self.alarm.raise(&error);
                    let renew = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
                    failed = Some(failed.map_or(Failed { wait: RETRY.0, renew }, Failed::again));
                    failed = failed.map(|failed| Failed { renew: failed.renew || renew, ..failed });
                }
            }
        }
        // After a failure the log stays as it is: the next start moves all of it.
        if failed.is_none()
            && let Err(error) = run(&connection, "TRUNCATE")
        {
            self.alarm.raise(&error);
        }
    }

    /// Checkpoints, and says how many pages the log had. An error means that a sync may have failed.
    fn checkpoint(&self, connection: &Connection) -> rusqlite::Result<i64> {
        let mut pages = run(connection, "PASSIVE")?;
        if pages <= MOST_PAGES {
            return Ok(pages);
        }
        // What came during the last round is less than what came during the one before, as long as the disk keeps up.
        for _ in 0..ROUNDS {
            let before = std::mem::replace(&mut pages, run(connection, "PASSIVE")?);
            if pages - before < BUSY_PAGES {
                break;
            }
        }
        // SQLite's own lock is no queue: a busy writer takes it again and again, and we would never get it.
        let _gate = self.gate.lock();
        run(connection, "RESTART")?;
        Ok(pages)
    }
}

/// Runs a checkpoint, and says how many pages the log has.
fn run(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

/// Whether the log can be written again: a transaction that changes nothing of the mail (see `Statements::overwrite`).
fn probe(connection: &Connection) -> Result<(), String> {
    let done = connection.execute_batch("BEGIN IMMEDIATE; UPDATE ids SET last = last + 1; COMMIT");
    if done.is_err() && !connection.is_autocommit() {
        // What cannot be rolled back is when the connection is closed.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done.map_err(|error| error.to_string())
}
