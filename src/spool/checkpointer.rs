//! Moves what has been committed from the write-ahead log into the database, off the commit path, and bounds the log.
//!
//! A passive checkpoint disturbs nobody, but under constant load it never reaches the end of a log that grows meanwhile.
//! So above [`MOST_PAGES`] the log is restarted, which stops the writer for the short rest that the passive one has left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use parking_lot::Mutex;
use rusqlite::Connection;

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

/// The checkpointer. Its thread ends when `stop` is disconnected.
pub(super) struct Checkpointer {
    pub(super) counts: Arc<Counts>,
    /// The writer has committed something.
    pub(super) written: Receiver<()>,
    pub(super) stop: Receiver<()>,
    /// Held by the writer during a transaction.
    pub(super) gate: Arc<Mutex<()>>,
}

impl Checkpointer {
    pub(super) fn run(self, connection: &Connection) {
        let (mut done, mut gather) = (0, GATHER);
        loop {
            select! {
                recv(self.written) -> _ => {}
                recv(self.stop) -> _ => break,
                default(IDLE) => continue,
            }
            if self.stop.recv_timeout(gather) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            let commits = self.counts.commits.load(Ordering::Relaxed);
            if commits != std::mem::replace(&mut done, commits) {
                let pages = self.checkpoint(connection);
                gather = if pages > BUSY_PAGES { GATHER_BUSY } else { GATHER };
            }
        }
        report("TRUNCATE", run(connection, "TRUNCATE"));
    }
}

impl Checkpointer {
    /// Checkpoints, and says how many pages the log had.
    fn checkpoint(&self, connection: &Connection) -> i64 {
        let mut pages = report("PASSIVE", run(connection, "PASSIVE"));
        if pages <= MOST_PAGES {
            return pages;
        }
        // What came during the last round is less than what came during the one before, as long as the disk keeps up.
        for _ in 0..ROUNDS {
            let before = std::mem::replace(&mut pages, report("PASSIVE", run(connection, "PASSIVE")));
            if pages - before < BUSY_PAGES {
                break;
            }
        }
        // SQLite's own lock is no queue: a busy writer takes it again and again, and we would never get it.
        let _gate = self.gate.lock();
        report("RESTART", run(connection, "RESTART"));
        pages
    }
}

/// Runs a checkpoint, and says how many pages the log has.
fn run(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

/// A checkpoint that fails loses nothing: the log has it all, and the next one comes.
fn report(mode: &str, result: rusqlite::Result<i64>) -> i64 {
    result.unwrap_or_else(|error| {
        log::warn!("checkpoint ({mode}) of the spool: {error}");
        0
    })
}
