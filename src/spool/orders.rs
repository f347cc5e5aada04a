//! What an operator orders, on disk before anybody acts on it: held messages, suspended destinations, recipients that go
//! elsewhere than the routes say.

use std::time::Duration;

use super::operation::Operation;
use super::records::Suspended;
use super::rows;
use super::store::Spool;
use super::ticket::{Answer, Waited, ticket};
use super::{Lease, SpoolError};
use crate::mail::{Destination, QueueId};
use crate::time::{Deadline, Unix, clock};

impl Spool {
    /// Holds messages from `since` on, or lets them go (`None`). Who is held already stays so since the first time; who is
    /// not queued any more is passed over. Waits at most `limit` for the disk.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing has been changed.
    pub fn hold(&self, ids: Vec<QueueId>, since: Option<Unix>, limit: Duration) -> Result<(), SpoolError> {
        self.order(limit, |answer| Operation::Hold { ids, since, answer })
    }

    /// Suspends a destination since a time and for a reason, or lets it go on (`None`). Waits at most `limit` for the disk.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing has been changed.
    pub fn suspend(
        &self,
        destination: Destination,
        suspended: Option<(Unix, String)>,
        limit: Duration,
    ) -> Result<(), SpoolError> {
        self.order(limit, |answer| Operation::Suspend { destination, suspended, answer })
    }

    /// Gives the recipients of leases another destination, each its own, and keeps them there: the routes have no say any
    /// more. With `by_the_routes` they have it again. The leases end; each message is claimed anew for its destination. Waits
    /// at most `limit` for the disk.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing has been changed.
    pub fn redirect(
        &self,
        leases: Vec<(Lease, Vec<(u32, Destination)>)>,
        by_the_routes: bool,
        limit: Duration,
    ) -> Result<(), SpoolError> {
        let rows = leases.iter().flat_map(|(lease, recipients)| {
            recipients.iter().map(|(n, destination)| (lease.id(), *n, destination.clone()))
        });
        let rows = rows.collect();
        self.order(limit, |answer| Operation::Reroute { rows, redirected: !by_the_routes, answer })
    }

    /// Every message that is held.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn held(&self) -> Result<Vec<QueueId>, SpoolError> {
        self.readers.with(|connection| {
            let read = || {
                let mut statement = connection.prepare("SELECT id FROM messages WHERE held IS NOT NULL")?;
                let ids = statement.query_map([], |row| Ok(rows::id(row, 0)))?;
                // What cannot be read has been told when the queue was taken up.
                let ids = ids.filter_map(|id| id.map(Result::ok).transpose());
                ids.collect::<rusqlite::Result<Vec<_>>>()
            };
            read().map_err(|e| SpoolError::sql(&e))
        })
    }

    /// Every destination that is suspended.
    ///
    /// # Errors
    /// [`SpoolError`] when the spool cannot be read.
    pub fn suspended(&self) -> Result<Vec<Suspended>, SpoolError> {
        self.readers.with(|connection| {
            let read = || {
                let mut statement = connection.prepare("SELECT destination, since, reason FROM suspended")?;
                let rows = statement.query_map([], |row| {
                    let (since, reason) = (Unix(row.get(1)?), row.get(2)?);
                    Ok(rows::destination(row, 0).map(|destination| Suspended { destination, since, reason }))
                })?;
                let known = rows.filter_map(|row| row.map(Result::ok).transpose());
                known.collect::<rusqlite::Result<Vec<_>>>()
            };
            read().map_err(|e| SpoolError::sql(&e))
        })
    }

    /// Has the writer do something, and waits at most `limit` for it. What takes longer is not done.
    pub(super) fn order(
        &self,
        limit: Duration,
        order: impl FnOnce(Answer<Result<(), SpoolError>>) -> Operation,
    ) -> Result<(), SpoolError> {
        let end = Deadline::within(clock::now(), limit).ends().0;
        let (ticket, answer) = ticket();
        self.queue.put(order(answer), end)?;
        match ticket.wait(end) {
            Waited::Answered(done) => done,
            Waited::Lost => Err(SpoolError::Closed),
            Waited::Late => Err(SpoolError::Temporary("the disk is too slow".into())),
        }
    }
}
