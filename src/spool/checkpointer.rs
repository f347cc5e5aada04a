//! Moves what has been committed from the write-ahead log into the database, off the commit path, and bounds the log.
//!
//! A passive checkpoint disturbs nobody, but under constant load it never reaches the end of a log that grows meanwhile.
//! So above [`MOST_PAGES`] the log is restarted, which stops the writer for the short rest that the passive one has left.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use rusqlite::Connection;

use super::writer::Counts;

/// The log is restarted above this: 64 MiB.
const MOST_PAGES: i64 = 16 << 10;
/// How much time commits are gathered for one checkpoint.
const GATHER: Duration = Duration::from_secs(1);
/// How long an idle checkpointer waits before it looks again.
const IDLE: Duration = Duration::from_secs(60);

/// The checkpointer. Its thread ends when `stop` is disconnected.
pub(super) struct Checkpointer {
    pub(super) counts: Arc<Counts>,
    /// The writer has committed something.
    pub(super) written: Receiver<()>,
    pub(super) stop: Receiver<()>,
}

impl Checkpointer {
    pub(super) fn run(self, connection: &Connection) {
        let mut done = 0;
        loop {
            select! {
                recv(self.written) -> _ => {}
                recv(self.stop) -> _ => break,
                default(IDLE) => continue,
            }
            if self.stop.recv_timeout(GATHER) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            let commits = self.counts.commits.load(Ordering::Relaxed);
            if commits != std::mem::replace(&mut done, commits) {
                checkpoint(connection);
            }
        }
        report("TRUNCATE", run(connection, "TRUNCATE"));
    }
}

fn checkpoint(connection: &Connection) {
    let pages = run(connection, "PASSIVE");
    if pages.as_ref().is_ok_and(|pages| *pages > MOST_PAGES) {
        report("RESTART", run(connection, "RESTART"));
    }
    report("PASSIVE", pages);
}

/// Runs a checkpoint, and says how many pages the log has.
fn run(connection: &Connection, mode: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(1))
}

/// A checkpoint that fails loses nothing: the log has it all, and the next one comes.
fn report(mode: &str, result: rusqlite::Result<i64>) {
    if let Err(error) = result {
        log::warn!("checkpoint ({mode}) of the spool: {error}");
    }
}
