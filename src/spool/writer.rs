//! The one thread that writes. All that has gathered goes into one transaction and one sync: group commit.
//!
//! - Whoever waits is answered after the sync, never before.
//! - An operation that cannot be done spoils no other: the group is then done one by one.
//! - After a failed commit the transaction is rolled back, and its frames are written anew if it is done again; the COMMIT
//!   itself is never repeated. What it has left in the log is whole when only the sync failed, and a start after a crash would
//!   take it for committed: so it is overwritten before anything else is written, or answered.
//! - A settlement that cannot be written is kept and tried again until it is on disk, with its claim: what was delivered
//!   is not sent again by this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use rusqlite::Connection;

use super::claims::Claims;
use super::files::Files;
use super::lock::Lock;
use super::operation::{Accept, Letters, Operation};
use super::quarantine::{self, Aside, WHOLE};
use super::queue::Queue;
use super::statements::{Effects, Statements};
use super::ticket::Answer;
use super::{Accepted, Alarm, SpoolError, Totals};
use crate::mail::QueueId;
use crate::metrics::METRICS;
use crate::time::clock;

/// The waits between two tries at what could not be written: the first, doubling to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long an idle writer waits before it looks whether anything else is due.
const IDLE: Duration = Duration::from_secs(60);

/// What the writer counts, and others read.
#[derive(Default)]
pub(super) struct Counts {
    messages: AtomicI64,
    recipients: AtomicI64,
    /// Transactions so far.
    pub(super) commits: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, messages: i64, recipients: i64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.recipients.fetch_add(recipients, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        let read = |count: &AtomicI64| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
        Totals { messages: read(&self.messages), recipients: read(&self.recipients) }
    }
}

/// The writer, before it has its connection.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) claims: Arc<Claims>,
    pub(super) counts: Arc<Counts>,
    pub(super) files: Arc<Files>,
    /// Where letters go whose caller has stopped waiting.
    pub(super) late: Sender<Accepted>,
    /// Tells the checkpointer that there is something to do.
    pub(super) written: Sender<()>,
    /// Held during a transaction, so that the checkpointer can stop the writer for a moment.
    pub(super) gate: Arc<Mutex<()>>,
    /// Says that nothing can be written.
    pub(super) alarm: Alarm,
    /// While the writer lives the spool stays locked, even when whoever opened it has stopped waiting for its end.
    pub(super) lock: Arc<Lock>,
}

/// Closes the queue however the thread ends, so that nobody waits for a dead writer.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("the spool's writer has died; nothing is accepted or settled until a restart");
        }
        self.0.close();
    }
}

/// Why a transaction failed: at an operation, or at the commit of all.
enum Failed {
    Operation(SpoolError),
    Commit(SpoolError),
}

impl Writer {
    /// Writes until it is stopped.
    pub(super) fn run(self, connection: Connection) {
        let _closing = Closing(Arc::clone(&self.queue));
        let _lock = Arc::clone(&self.lock);
        let mut memory = Memory::default();
        let mut connection = Some(connection);
        while let Some(open) = connection.take() {
            let closing = match Statements::prepare(&open) {
                Ok(statements) => Running { writer: &self, statements, memory: &mut memory }.run(),
                Err(error) => {
                    log::error!("the spool's writer cannot start: {error}");
                    None
                }
            };
            drop(open);
            if let Some(closing) = closing {
                drop(closing);
                connection = self.wait(&mut memory);
            }
        }
        if !memory.kept.is_empty() {
            log::error!(
                "{} settlements could not be written before the end: what was delivered may be sent again",
                memory.kept.len()
            );
        }
    }

    /// Waits for the connection to go on with; refuses or keeps what comes meanwhile. None: it is to stop.
    fn wait(&self, memory: &mut Memory) -> Option<Connection> {
        let error = SpoolError::Temporary("database: it is being opened anew".into());
        let mut connection = None;
        while connection.is_none() {
            let taken = self.queue.take(clock::now() + IDLE);
            for operation in taken.operations {
                match operation {
                    Operation::Open(open) => connection = Some(open),
                    operation if connection.is_some() => memory.rest.push(operation),
                    operation => memory.fail(operation, &error),
                }
            }
            self.queue.set_kept(memory.kept.len());
            if taken.stop && connection.is_none() {
                break;
            }
        }
        connection
    }
}

/// What outlives a connection.
#[derive(Default)]
struct Memory {
    /// What must not be forgotten, and could not be written.
    kept: Vec<Operation>,
    /// What came together with the connection to go on with.
    rest: Vec<Operation>,
    /// The log has what a failed commit has left there.
    doubt: bool,
    /// The body files that it names.
    doubtful: Vec<QueueId>,
}

/// The writer at work.
struct Running<'c, 'w> {
    writer: &'w Writer,
    statements: Statements<'c>,
    memory: &'w mut Memory,
}

impl Running<'_, '_> {
    /// Writes until it is stopped, or asked to close the connection: then it gives what is to be dropped after that.
    fn run(mut self) -> Option<Sender<()>> {
        let (mut wait, mut retry) = (RETRY.0, clock::now());
        let mut asked = None;
        let rest = std::mem::take(&mut self.memory.rest);
        self.group(rest);
        loop {
            let had_left = self.has_left();
            let end = if had_left { retry } else { clock::now() + IDLE };
            let mut taken = self.writer.queue.take(end);
            asked = closing(&mut taken.operations).or(asked);
            self.group(taken.operations);
            if !had_left {
                wait = RETRY.0;
                retry = clock::now() + wait;
            }
            if self.has_left() && (taken.stop || clock::now() >= retry) {
                let kept = std::mem::take(&mut self.memory.kept);
                self.group(kept);
                if let Err(error) = self.settle_doubt() {
                    self.writer.alarm.raise(&error);
                }
                self.writer.files.remove_left();
                wait = (wait * 2).min(RETRY.1);
                retry = clock::now() + wait;
            }
            self.writer.queue.set_kept(self.memory.kept.len());
            // Whoever opens the database anew would take what is in doubt for committed.
            if taken.stop || (asked.is_some() && !self.memory.doubt) {
                return if taken.stop { None } else { asked };
            }
        }
    }

    /// Whether there is something to be tried again.
    fn has_left(&self) -> bool {
        self.memory.doubt || !self.memory.kept.is_empty() || self.writer.files.has_left()
    }

    /// Does a group of operations, and answers them.
    fn group(&mut self, mut operations: Vec<Operation>) {
        // Whoever has given up was told 451: the message must not be stored.
        operations.retain(|operation| match operation {
            Operation::Accept(accept) => accept.answer.is_awaited(),
            // Nobody would put the message into the queue of its new destination.
            Operation::Reroute { answer, .. }
            | Operation::Hold { answer, .. }
            | Operation::Suspend { answer, .. } => answer.is_awaited(),
            _ => true,
        });
        if operations.is_empty() {
            return;
        }
        match self.transact(&mut operations) {
            Ok(effects) => self.succeed(operations, effects),
            // On a full disk there may be room for a small one.
            Err(Failed::Operation(_) | Failed::Commit(SpoolError::Full)) if operations.len() > 1 => {
                self.one_by_one(operations);
            }
            Err(Failed::Operation(error) | Failed::Commit(error)) => {
                self.writer.alarm.raise(&error);
                operations.into_iter().for_each(|operation| self.memory.fail(operation, &error));
            }
        }
    }

    /// Does each in a transaction of its own, until the disk itself refuses.
    fn one_by_one(&mut self, operations: Vec<Operation>) {
        let mut refused = None;
        for mut operation in operations {
            let result = match &refused {
                None => self.transact(std::slice::from_mut(&mut operation)),
                Some(error) => Err(Failed::Commit(SpoolError::clone(error))),
            };
            match result {
                Ok(effects) => self.succeed(vec![operation], effects),
                Err(Failed::Operation(error)) => {
                    self.writer.alarm.raise(&error);
                    self.memory.fail(operation, &error);
                }
                Err(Failed::Commit(error)) => {
                    self.writer.alarm.raise(&error);
                    self.memory.fail(operation, &error);
                    // Another error of the disk will be there the next time, and each try may take long.
                    refused = (error != SpoolError::Full).then_some(error);
                }
            }
        }
    }

    fn transact(&mut self, operations: &mut [Operation]) -> Result<Effects, Failed> {
        // Until what is in doubt is settled nothing is added to it.
        self.settle_doubt().map_err(Failed::Commit)?;
        let gate = Arc::clone(&self.writer.gate);
        let _gate = gate.lock();
        let began = clock::now();
        self.statements.begin().map_err(Failed::Commit)?;
        let mut effects = Effects::default();
        let applied =
            operations.iter().try_for_each(|operation| self.statements.apply(operation, &mut effects));
        let done = applied.map_err(Failed::Operation);
        let done = done.and_then(|()| self.statements.commit(&effects).map_err(Failed::Commit));
        match done {
            Ok(()) => {
                METRICS.commit.observe(clock::now().saturating_duration_since(began));
                METRICS.operations.add(operations.len() as u64);
                Ok(effects)
            }
            Err(failed) => {
                self.statements.roll_back();
                if matches!(failed, Failed::Commit(_)) {
                    self.doubt(operations);
                }
                Err(failed)
            }
        }
    }

    /// A commit has failed: what it left in the log is overwritten. If even that cannot be done, body files that it names
    /// stay until it can.
    fn doubt(&mut self, operations: &mut [Operation]) {
        self.memory.doubt = self.statements.overwrite().is_err();
        if self.memory.doubt {
            let files = operations.iter_mut().filter_map(|operation| match operation {
                Operation::Accept(accept) => accept.message.in_doubt(),
                _ => None,
            });
            self.memory.doubtful.extend(files);
        }
    }

    fn settle_doubt(&mut self) -> Result<(), SpoolError> {
        if self.memory.doubt {
            let gate = Arc::clone(&self.writer.gate);
            let _gate = gate.lock();
            self.statements.overwrite()?;
            self.memory.doubt = false;
            self.memory.doubtful.drain(..).for_each(|id| self.writer.files.remove(id));
        }
        Ok(())
    }

    /// It is on disk.
    fn succeed(&mut self, operations: Vec<Operation>, effects: Effects) {
        self.writer.alarm.clear();
        let counts = &self.writer.counts;
        counts.add(effects.messages, effects.recipients);
        counts.commits.fetch_add(1, Ordering::Relaxed);
        for operation in operations {
            match operation {
                Operation::Accept(mut accept) => {
                    accept.message.committed();
                    if let Err(Ok(message)) = accept.answer.give(Ok(accept.message)) {
                        // The client gave up while it was being written, and will send it again.
                        self.memory.kept.push(Operation::Forget { id: message.id, file: message.is_file() });
                    }
                }
                Operation::Settle(mut settlement) => {
                    settlement.claim.release();
                    settlement.letters.iter_mut().for_each(|letter| letter.committed());
                    self.answer(settlement.answer, settlement.letters);
                }
                Operation::Reroute { answer, .. }
                | Operation::Hold { answer, .. }
                | Operation::Suspend { answer, .. } => {
                    // Whoever has stopped waiting needs no answer.
                    let _ = answer.give(Ok(()));
                }
                _ => {}
            }
        }
        for Aside { message, n, reason } in &effects.aside {
            let of = if *n == WHOLE { String::new() } else { format!("recipient {n} of ") };
            let name = quarantine::name(*message);
            log::error!("{of}{name} is put into quarantine, where delivery passes it by: {reason}");
        }
        effects.unlink.into_iter().for_each(|id| self.writer.files.remove(id));
        // Full means that it knows already.
        let _ = self.writer.written.try_send(());
    }

    /// Gives the letters to who waits for them, or else to whoever takes in the late ones.
    fn answer(&self, answer: Option<Answer<Result<Letters, SpoolError>>>, letters: Letters) {
        let letters = match answer {
            None => letters,
            Some(answer) => match answer.give(Ok(letters)) {
                Err(Ok(letters)) => letters,
                _ => return,
            },
        };
        for letter in letters.bounce.into_iter().chain(letters.notice) {
            // Without a spool nobody takes it in: the next start does.
            let _ = self.writer.late.send(letter.into_accepted(&self.writer.claims));
        }
    }
}

impl Memory {
    /// It is not on disk, and nothing of it is.
    fn fail(&mut self, operation: Operation, error: &SpoolError) {
        match operation {
            Operation::Accept(Accept { message, answer }) => {
                // Whoever is told finds nothing left of it, its body file neither.
                drop(message);
                let _ = answer.give(Err(error.clone()));
            }
            Operation::Settle(mut settlement) => {
                if let Some(answer) = settlement.answer.take() {
                    let _ = answer.give(Err(SpoolError::Kept(error.to_string())));
                }
                self.kept.push(Operation::Settle(settlement));
            }
            Operation::Forget { .. } => self.kept.push(operation),
            Operation::Reroute { answer, .. }
            | Operation::Hold { answer, .. }
            | Operation::Suspend { answer, .. } => {
                let _ = answer.give(Err(error.clone()));
            }
            _ => {}
        }
    }
}

/// Takes the wish to close the connection out of a group; what came before it in the group is done first, and what came
/// after it too.
fn closing(operations: &mut Vec<Operation>) -> Option<Sender<()>> {
    let place = operations.iter().position(|operation| matches!(operation, Operation::Close(_)))?;
    match operations.remove(place) {
        Operation::Close(closing) => Some(closing),
        _ => None,
    }
}
