//! The spool: its directory, its threads, and the doors to it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};

use super::checkpointer::Checkpointer;
use super::claims::Claims;
use super::draft::Draft;
use super::files::Files;
use super::lock::Lock;
use super::operation::Operation;
use super::queue::Queue;
use super::readers::Readers;
use super::renewal::Renewal;
use super::writer::{Counts, Writer};
use super::{Accepted, Alarm, DestinationRecord, Fresh, Lease, SpoolError, Totals, rows, schema};
use crate::mail::{Destination, MemoryBudget, QueueId, QueueIds};
use crate::time::{Deadline, clock};

/// With more than this to be written, nothing new is claimed: what is delivered must be written down.
const MOST_BURDEN: usize = 10_000;
/// How long Drop waits for what [`Spool::close`] was not called for.
const DROP: Duration = Duration::from_secs(10);

/// An open spool. Share it by `Arc`; every method may be called from every thread.
pub struct Spool {
    pub(super) files: Arc<Files>,
    pub(super) queue: Arc<Queue>,
    pub(super) claims: Arc<Claims>,
    pub(super) readers: Arc<Readers>,
    pub(super) budget: Arc<MemoryBudget>,
    ids: QueueIds,
    counts: Arc<Counts>,
    late: Receiver<Accepted>,
    threads: Mutex<Threads>,
    _lock: Arc<Lock>,
}

/// The threads, and what their ends are seen by.
struct Threads {
    writer: Running,
    checkpointer: Running,
    /// Dropped to stop the checkpointer.
    stop: Option<Sender<()>>,
}

/// A thread that can be waited for with a limit, which `JoinHandle` cannot.
struct Running {
    handle: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Spool {
    /// Opens the spool in the directory `path`, or makes it, and locks it. `memory` is how many octets of just-accepted
    /// bodies may stay in memory for their first attempt.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] when another relay has it, [`SpoolError::Version`] when a newer one wrote it,
    /// [`SpoolError::Corrupt`] when it is no spool, else the words of the file system.
    pub fn open(path: &Path, memory: u64) -> Result<Arc<Spool>, SpoolError> {
        let lock = Arc::new(Lock::take(path)?);
        schema::make(path)?;
        let connection = schema::connect(path)?;
        schema::prepare(&connection)?;
        let files = Arc::new(Files::open(path)?);
        // The names of the database and of `body` must be on disk before anything in them is promised.
        let synced = File::open(path).and_then(|directory| directory.sync_all());
        synced.map_err(|e| SpoolError::io(&format!("syncing {}", path.display()), &e))?;
        files.sweep(&mut |id| is_file(&connection, id))?;
        let (last, totals) = count(&connection).map_err(|e| SpoolError::sql(&e))?;
        let readers = Arc::new(Readers::open(path)?);
        let checkpoints = schema::connect(path)?;

        let counts = Arc::new(Counts::default());
        counts.add(totals.0, totals.1);
        let (queue, claims) = (Arc::new(Queue::default()), Arc::new(Claims::default()));
        // Unbounded, but filled only by settlements, of which there are never many more than MOST_BURDEN.
        let (late_in, late) = unbounded();
        let (written_in, written) = bounded(1);
        let (stop, stopped) = bounded(0);
        let gate = Arc::new(Mutex::new(()));
        let writer = Writer {
            queue: Arc::clone(&queue),
            claims: Arc::clone(&claims),
            counts: Arc::clone(&counts),
            files: Arc::clone(&files),
            late: late_in,
            written: written_in,
            gate: Arc::clone(&gate),
            alarm: Alarm::new("the spool cannot be written", "the spool is written again"),
            lock: Arc::clone(&lock),
        };
        let renewal = Renewal {
            path: path.to_owned(),
            queue: Arc::clone(&queue),
            readers: Arc::clone(&readers),
            stop: stopped.clone(),
        };
        let checkpointer = Checkpointer {
            counts: Arc::clone(&counts),
            written,
            stop: stopped,
            gate,
            renewal,
            alarm: Alarm::new("a checkpoint of the spool failed", "checkpoints of the spool work again"),
        };
        let threads = Threads {
            writer: Running::start("spool-writer", move || writer.run(connection))?,
            checkpointer: Running::start("spool-checkpoint", move || checkpointer.run(checkpoints))?,
            stop: Some(stop),
        };
        Ok(Arc::new(Spool {
            files,
            queue,
            claims,
            readers,
            budget: MemoryBudget::new(usize::try_from(memory).unwrap_or(usize::MAX)),
            ids: QueueIds::above(last),
            counts,
            late,
            threads: Mutex::new(threads),
            _lock: lock,
        }))
    }

    /// A message being taken. It has its queue id now, since that stands in its `Received:` line.
    pub fn draft(self: &Arc<Self>) -> Draft {
        Draft::new(Arc::clone(self), self.next_id())
    }

    pub(super) fn next_id(&self) -> QueueId {
        self.ids.next(clock::unix_micros())
    }

    /// Claims a message for a destination. With what [`Accepted::entries`] gave the first claim reads no disk. `None`:
    /// nothing is left to do, it has been settled or removed meanwhile.
    ///
    /// # Errors
    /// [`SpoolError::Claimed`] when somebody has it; [`SpoolError::Corrupt`] when this message cannot be read, which it
    /// could not the next time either; [`SpoolError::Temporary`] when so much waits to be written that nothing more
    /// should be sent.
    pub fn claim(
        self: &Arc<Self>,
        id: QueueId,
        destination: &Destination,
        fresh: Option<Fresh>,
    ) -> Result<Option<Lease>, SpoolError> {
        if self.queue.burden() > MOST_BURDEN {
            return Err(SpoolError::Temporary("too much is waiting to be written".into()));
        }
        let (claim, untouched) = self.claims.claim((id, destination.clone()))?;
        match fresh {
            Some(fresh) if untouched && fresh.is_for(claim.key()) => {
                Ok(Some(Lease::fresh(self, claim, &fresh)))
            }
            _ => Lease::read(self, claim),
        }
    }

    /// Letters (bounces, notices) that became durable after [`Lease::settle`] had stopped waiting for the disk. Whoever
    /// owns the queue takes them in from here, or they rest until the next start.
    pub fn late(&self) -> &Receiver<Accepted> {
        &self.late
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How much is queued. Counted as it changes: this reads nothing.
    ///
    /// # Errors
    /// None at present; a store that must read for it could fail.
    pub fn totals(&self) -> Result<Totals, SpoolError> {
        Ok(self.counts.totals())
    }

    /// Keeps the standing of destinations over a restart. Does not wait for the disk: standing is found out again.
    pub fn remember(&self, records: Vec<DestinationRecord>) {
        if !records.is_empty()
            && let Err(error) = self.queue.put(Operation::Remember(records), clock::now())
        {
            log::debug!("the standing of destinations is not kept: {error}");
        }
    }

    /// Whether the writer is at work. Without it nothing is accepted and nothing settled: the relay is of no use then.
    pub fn is_writing(&self) -> bool {
        self.threads.lock().writer.ended.try_recv() != Err(TryRecvError::Disconnected)
    }

    /// Writes what waits, moves all of it into the database and ends the threads, within `limit`. What is committed or
    /// settled afterwards gets [`SpoolError::Closed`]. The lock is held until the spool is dropped.
    pub fn close(&self, limit: Duration) {
        let end = Deadline::within(clock::now(), limit).ends().0;
        let mut threads = self.threads.lock();
        self.queue.stop();
        let ended = threads.writer.end(end);
        threads.stop = None;
        if !(threads.checkpointer.end(end) && ended) {
            log::error!("the spool's threads have not ended in time: its disk may be stuck");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.close(DROP);
    }
}

impl Running {
    fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<Running, SpoolError> {
        let (alive, ended) = bounded::<()>(0);
        let body = move || {
            body();
            drop(alive);
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let handle = handle.map_err(|e| SpoolError::io("starting a thread", &e))?;
        Ok(Running { handle: Some(handle), ended })
    }

    /// Waits for the end of the thread; says whether it has come.
    fn end(&mut self, end: Instant) -> bool {
        let ended = self.ended.recv_deadline(end) == Err(RecvTimeoutError::Disconnected);
        if ended && let Some(handle) = self.handle.take() {
            // Its panic has been logged by the thread itself.
            let _ = handle.join();
        }
        ended
    }
}

/// Whether the body of a message is a file.
fn is_file(connection: &Connection, id: QueueId) -> Result<bool, SpoolError> {
    let found =
        connection.query_row("SELECT file FROM messages WHERE id = ?1", [rows::row(id)], |row| row.get(0));
    Ok(found.optional().map_err(|e| SpoolError::sql(&e))?.unwrap_or(false))
}

/// The greatest id ever given, and how many messages and recipients there are.
fn count(connection: &Connection) -> rusqlite::Result<(u64, (i64, i64))> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let last = number("SELECT max(last, coalesce((SELECT max(id) FROM messages), 0)) FROM ids")?;
    let totals = (number("SELECT count(*) FROM messages")?, number("SELECT count(*) FROM recipients")?);
    Ok((u64::try_from(last).unwrap_or(0), totals))
}
