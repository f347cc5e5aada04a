//! A sign of life: the writer answers, which is more than that its thread is there.

use std::time::Duration;

use super::operation::Operation;
use super::ticket::{Waited, ticket};
use super::{Spool, SpoolError};
use crate::time::{Deadline, clock};

impl Spool {
    /// Waits, at most `limit`, until the writer has come through all that waits and has committed a transaction. It changes
    /// nothing: a rerouting of no recipient.
    ///
    /// # Errors
    /// [`SpoolError`]: what every accept and every settlement would meet.
    pub fn answers(&self, limit: Duration) -> Result<(), SpoolError> {
        let end = Deadline::within(clock::now(), limit).ends().0;
        let (ticket, answer) = ticket();
        self.queue.put(Operation::Reroute { rows: Vec::new(), redirected: false, answer }, end)?;
        match ticket.wait(end) {
            Waited::Answered(done) => done,
            Waited::Lost => Err(SpoolError::Closed),
            Waited::Late => Err(SpoolError::Temporary("its writer does not answer".into())),
        }
    }
}
