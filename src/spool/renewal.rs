//! The renewal of all connections to the database, after a checkpoint that failed.
//!
//! SQLite takes note of how much of the log it has moved into the database, and does so before it syncs the database when
//! the log has grown meanwhile (a partial checkpoint; `walCheckpoint`, `nBackfill`). When a later sync fails, the kernel may
//! take the pages for written that were not, the next sync "succeeds", and the log, which alone has them, is begun anew.
//! That note is forgotten when the last connection is closed. So after a failed checkpoint there is none until all
//! connections have been closed and opened: the log is then read from its beginning, and all of it is moved again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rusqlite::Connection;

use super::operation::Operation;
use super::queue::Queue;
use super::readers::Readers;
use super::{Alarm, SpoolError, schema};

/// The wait between two tries to open the database.
const AGAIN: Duration = Duration::from_secs(1);

/// What a renewal needs.
pub(super) struct Renewal {
    pub(super) path: PathBuf,
    /// To the writer.
    pub(super) queue: Arc<Queue>,
    pub(super) readers: Arc<Readers>,
    /// Disconnected when the spool is being closed.
    pub(super) stop: Receiver<()>,
}

/// The spool is being closed.
pub(super) struct Stopped;

impl Renewal {
    /// Closes all connections and opens them anew; `own` is the checkpointer's. The second value says whether the log will
    /// be moved from its beginning. Meanwhile mail is refused with 451, and settlements are kept.
    ///
    /// # Errors
    /// [`Stopped`]
    pub(super) fn renew(&self, own: Connection) -> Result<(Connection, bool), Stopped> {
        let (closing, closed) = bounded(0);
        self.queue.force(Operation::Close(closing)).map_err(|_| Stopped)?;
        // The writer may be stuck at the disk; whatever it gets afterwards comes after this.
        while closed.recv_timeout(AGAIN) == Err(RecvTimeoutError::Timeout) {
            self.go_on()?;
        }
        // Last, since mail that is queued is read by them, and the writer may be a while.
        let count = self.readers.close();
        drop(own);
        let alarm = Alarm::new("the spool cannot be opened anew", "the spool is open");
        let (own, writer) = loop {
            match self.open(count) {
                Ok(opened) => break opened,
                Err(error) => alarm.raise(&error),
            }
            if self.stop.recv_timeout(AGAIN) == Err(RecvTimeoutError::Disconnected) {
                return Err(Stopped);
            }
        };
        self.queue.force(Operation::Open(writer)).map_err(|_| Stopped)?;
        // An operator's `sqlite3` may have the database open: then nothing is forgotten.
        let moved = own.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(2));
        Ok((own, moved == Ok(0)))
    }

    fn go_on(&self) -> Result<(), Stopped> {
        match self.stop.try_recv() {
            Err(crossbeam_channel::TryRecvError::Disconnected) => Err(Stopped),
            _ => Ok(()),
        }
    }

    /// The connections of the checkpointer and of the writer, and so many readers; or none.
    fn open(&self, readers: usize) -> Result<(Connection, Connection), SpoolError> {
        let (own, writer) = (schema::connect(&self.path)?, schema::connect(&self.path)?);
        // Reads the schema: what the writer prepares its statements with.
        let last = writer.query_row("SELECT last FROM ids", [], |row| row.get::<_, i64>(0));
        last.map_err(|e| SpoolError::sql(&e))?;
        self.readers.reopen(&self.path, readers)?;
        Ok((own, writer))
    }
}
