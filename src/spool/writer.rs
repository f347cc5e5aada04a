//! The one thread that writes. All that has gathered goes into one transaction and one sync: group commit.
//!
//! - Whoever waits is answered after the sync, never before.
//! - An operation that cannot be done spoils no other: the group is then done one by one.
//! - After a failed commit the transaction is rolled back and done anew; the COMMIT itself is never repeated.
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
use super::operation::{Letters, Operation};
use super::queue::Queue;
use super::statements::{Effects, Statements};
use super::ticket::Answer;
use super::{Accepted, SpoolError, Totals};
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
    pub(super) fn run(self, connection: &Connection) {
        let _closing = Closing(Arc::clone(&self.queue));
        let _lock = Arc::clone(&self.lock);
        match Statements::prepare(connection) {
            Ok(statements) => Running { writer: self, statements, kept: Vec::new() }.run(),
            Err(error) => log::error!("the spool's writer cannot start: {error}"),
        }
    }
}

/// The writer at work.
struct Running<'c> {
    writer: Writer,
    statements: Statements<'c>,
    /// What must not be forgotten, and could not be written.
    kept: Vec<Operation>,
}

impl Running<'_> {
    fn run(mut self) {
        let (mut wait, mut retry) = (RETRY.0, clock::now());
        loop {
            let end = if self.kept.is_empty() { clock::now() + IDLE } else { retry };
            let taken = self.writer.queue.take(end);
            let had_kept = !self.kept.is_empty();
            self.group(taken.operations);
            if !had_kept {
                wait = RETRY.0;
                retry = clock::now() + wait;
            }
            if !self.kept.is_empty() && (taken.stop || clock::now() >= retry) {
                let kept = std::mem::take(&mut self.kept);
                self.group(kept);
                wait = (wait * 2).min(RETRY.1);
                retry = clock::now() + wait;
            }
            self.writer.queue.set_kept(self.kept.len());
            if taken.stop {
                break;
            }
        }
        if !self.kept.is_empty() {
            log::error!(
                "{} settlements could not be written before the end: what was delivered may be sent again",
                self.kept.len()
            );
        }
    }

    /// Does a group of operations, and answers them.
    fn group(&mut self, mut operations: Vec<Operation>) {
        // Whoever has given up was told 451: the message must not be stored.
        operations.retain(|operation| match operation {
            Operation::Accept(accept) => accept.answer.is_awaited(),
            // Nobody would put the message into the queue of its new destination.
            Operation::Reroute { answer, .. } => answer.is_awaited(),
            _ => true,
        });
        if operations.is_empty() {
            return;
        }
        match self.transact(&operations) {
            Ok(effects) => self.succeed(operations, effects),
            // On a full disk there may be room for a small one.
            Err(Failed::Operation(_) | Failed::Commit(SpoolError::Full)) if operations.len() > 1 => {
                self.one_by_one(operations);
            }
            Err(Failed::Operation(error) | Failed::Commit(error)) => {
                log::error!("{} operations could not be written: {error}", operations.len());
                operations.into_iter().for_each(|operation| self.fail(operation, &error));
            }
        }
    }

    /// Does each in a transaction of its own, until the disk itself refuses.
    fn one_by_one(&mut self, operations: Vec<Operation>) {
        let mut refused = None;
        for operation in operations {
            let result = match &refused {
                None => self.transact(std::slice::from_ref(&operation)),
                Some(error) => Err(Failed::Commit(SpoolError::clone(error))),
            };
            match result {
                Ok(effects) => self.succeed(vec![operation], effects),
                Err(Failed::Operation(error)) => {
                    log::error!("an operation could not be written: {error}");
                    self.fail(operation, &error);
                }
                Err(Failed::Commit(error)) => {
                    if refused.is_none() {
                        log::error!("the spool cannot be written: {error}");
                    }
                    self.fail(operation, &error);
                    // Another error of the disk will be there the next time, and each try may take long.
                    refused = (error != SpoolError::Full).then_some(error);
                }
            }
        }
    }

    fn transact(&mut self, operations: &[Operation]) -> Result<Effects, Failed> {
        let _gate = self.writer.gate.lock();
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
                Err(failed)
            }
        }
    }

    /// It is on disk.
    fn succeed(&mut self, operations: Vec<Operation>, effects: Effects) {
        let counts = &self.writer.counts;
        counts.add(effects.messages, effects.recipients);
        counts.commits.fetch_add(1, Ordering::Relaxed);
        for operation in operations {
            match operation {
                Operation::Accept(mut accept) => {
                    accept.message.committed();
                    if let Err(Ok(message)) = accept.answer.give(Ok(accept.message)) {
                        // The client gave up while it was being written, and will send it again.
                        self.kept.push(Operation::Forget { id: message.id, file: message.is_file() });
                    }
                }
                Operation::Settle(mut settlement) => {
                    settlement.claim.release();
                    settlement.letters.iter_mut().for_each(|letter| letter.committed());
                    self.answer(settlement.answer, settlement.letters);
                }
                Operation::Reroute { answer, .. } => {
                    // Whoever has stopped waiting needs no answer.
                    let _ = answer.give(Ok(()));
                }
                _ => {}
            }
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

    /// It is not on disk, and nothing of it is.
    fn fail(&mut self, operation: Operation, error: &SpoolError) {
        match operation {
            Operation::Accept(accept) => {
                let _ = accept.answer.give(Err(error.clone()));
            }
            Operation::Settle(mut settlement) => {
                if let Some(answer) = settlement.answer.take() {
                    let _ = answer.give(Err(SpoolError::Kept(error.to_string())));
                }
                self.kept.push(Operation::Settle(settlement));
            }
            Operation::Forget { .. } => self.kept.push(operation),
            Operation::Reroute { answer, .. } => {
                let _ = answer.give(Err(error.clone()));
            }
            _ => {}
        }
    }
}
