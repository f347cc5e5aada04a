//! A few connections that read. A reader never waits for the writer, nor the writer for a reader.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::{SpoolError, schema};

/// How many may read at once.
const READERS: usize = 4;
/// How long a reader is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pool.
pub(super) struct Readers {
    idle: Receiver<Connection>,
    back: Sender<Connection>,
}

/// A connection on loan; its Drop brings it back, also when the reading panics.
struct Loan<'a>(Option<Connection>, &'a Sender<Connection>);

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            // There is room for all of them, and the receiver lives beside the sender.
            let _ = self.1.try_send(connection);
        }
    }
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Readers, SpoolError> {
        let (back, idle) = bounded(READERS);
        for _ in 0..READERS {
            let connection = schema::connect(path)?;
            connection.pragma_update(None, "query_only", true).map_err(|e| SpoolError::sql(&e))?;
            // There is room for all of them.
            let _ = back.try_send(connection);
        }
        Ok(Readers { idle, back })
    }

    /// Reads with a connection of the pool.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let busy = |_| SpoolError::Temporary("too many are reading".into());
        let loan = Loan(Some(self.idle.recv_timeout(PATIENCE).map_err(busy)?), &self.back);
        match &loan.0 {
            Some(connection) => read(connection),
            None => Err(SpoolError::Closed),
        }
    }
}
