//! A few connections that read. A reader never waits for the writer, nor the writer for a reader.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::{SpoolError, schema};
use crate::time::{Deadline, clock};

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
        let readers = Readers { idle, back };
        readers.reopen(path, READERS)?;
        Ok(readers)
    }

    /// Closes those that are not on loan for longer than [`PATIENCE`]; says how many.
    pub(super) fn close(&self) -> usize {
        let end = Deadline::within(clock::now(), PATIENCE).ends().0;
        (0..READERS).take_while(|_| self.idle.recv_deadline(end).is_ok()).count()
    }

    /// Opens so many.
    pub(super) fn reopen(&self, path: &Path, count: usize) -> Result<(), SpoolError> {
        let open = |_| {
            let connection = schema::connect(path)?;
            connection.pragma_update(None, "query_only", true).map_err(|e| SpoolError::sql(&e))?;
            Ok(connection)
        };
        let opened = (0..count).map(open).collect::<Result<Vec<_>, SpoolError>>()?;
        // There is room for all of them.
        opened.into_iter().for_each(|connection| drop(self.back.try_send(connection)));
        Ok(())
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
