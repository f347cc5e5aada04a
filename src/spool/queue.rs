//! The writer's inbox. The writer takes all that has gathered under one lock, which is what makes a group.
//!
//! Accepts wait, for a bounded time, while it is full: that is the back-pressure on the listener. Settlements never wait
//! for room, since a delivered message must not be forgotten; their number is bounded by [`Queue::burden`], above which
//! nothing new is claimed. (A bounded channel was the alternative: it has one lock and one wake-up an operation, and no
//! door for what must not be refused.)

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::SpoolError;
use super::operation::Operation;
use crate::time::clock;

/// The most accepts that wait. More would only wait longer.
const ROOM: usize = 4096;
/// The most operations of one transaction, and about the most octets: the latency of a group, and its memory.
const GROUP: usize = 512;
const GROUP_OCTETS: u64 = 8 << 20;

/// How long what is patient waits for others, so that a thousand hosts that fail cost a few syncs and not a thousand.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    operations: VecDeque<Operation>,
    /// All of them are patient, and the first has come at this time.
    patient: Option<Instant>,
    /// The writer waits, and wants to be woken.
    idle: bool,
    /// Nothing more is coming: write what there is, and end.
    stopping: bool,
    /// The writer is gone.
    closed: bool,
}

/// What the writer got.
pub(super) struct Taken {
    /// The group, in order; may be empty when the time was over.
    pub(super) operations: Vec<Operation>,
    /// After this group the writer ends, unless more is waiting.
    pub(super) stop: bool,
}

/// The inbox.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    kept: AtomicUsize,
}

impl Queue {
    /// Puts an operation in; waits for room until `end`. When it could not be put in, it is dropped, which answers it.
    pub(super) fn put(&self, operation: Operation, end: Instant) -> Result<(), SpoolError> {
        let mut state = self.state.lock();
        while state.operations.len() >= ROOM && !state.closed {
            if self.emptied.wait_until(&mut state, end).timed_out() {
                return Err(SpoolError::Temporary("too much is waiting to be written".into()));
            }
        }
        self.push(state, operation)
    }

    /// Puts in what must not be refused for want of room.
    pub(super) fn force(&self, operation: Operation) -> Result<(), SpoolError> {
        self.push(self.state.lock(), operation)
    }

    fn push(
        &self,
        mut state: parking_lot::MutexGuard<'_, State>,
        operation: Operation,
    ) -> Result<(), SpoolError> {
        if state.closed || state.stopping {
            return Err(SpoolError::Closed);
        }
        let first = state.operations.is_empty();
        let patient = operation.is_patient();
        let waits = state.patient.is_some();
        match patient {
            true if first => state.patient = Some(clock::now()),
            true => {}
            false => state.patient = None,
        }
        state.operations.push_back(operation);
        // The first is told of, so that the writer knows until when it waits; those that wait with it are not.
        let wanted = !(patient && waits) || state.operations.len() >= GROUP;
        if wanted && std::mem::take(&mut state.idle) {
            drop(state);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next group; waits for its first operation until `end`.
    pub(super) fn take(&self, end: Instant) -> Taken {
        let mut state = self.state.lock();
        while !state.stopping {
            let end = match state.patient {
                Some(since) if state.operations.len() < GROUP => end.min(since + PATIENCE),
                None if state.operations.is_empty() => end,
                _ => break,
            };
            state.idle = true;
            if self.filled.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        (state.idle, state.patient) = (false, None);
        let was_full = state.operations.len() >= ROOM;
        let (mut operations, mut octets) = (Vec::new(), 0);
        while operations.len() < GROUP && octets < GROUP_OCTETS {
            let Some(operation) = state.operations.pop_front() else { break };
            octets += operation.octets();
            operations.push(operation);
        }
        let stop = state.stopping && state.operations.is_empty();
        drop(state);
        if was_full {
            self.emptied.notify_all();
        }
        Taken { operations, stop }
    }

    /// Asks the writer to write what there is, and to end.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.filled.notify_all();
    }

    /// The writer is gone: whatever waits is answered by being dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let rest = std::mem::take(&mut state.operations);
        drop(state);
        self.emptied.notify_all();
        drop(rest);
    }

    /// How many settlements the writer keeps because they could not be written yet.
    pub(super) fn set_kept(&self, kept: usize) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// How much there is to be written.
    pub(super) fn burden(&self) -> usize {
        self.kept.load(Ordering::Relaxed) + self.state.lock().operations.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation() -> Operation {
        Operation::Remember(Vec::new())
    }

    #[test]
    fn a_full_queue_refuses_accepts_and_takes_settlements() {
        let queue = Queue::default();
        for _ in 0..ROOM {
            queue.put(operation(), clock::now()).unwrap();
        }
        assert!(matches!(queue.put(operation(), clock::now()), Err(SpoolError::Temporary(_))));
        queue.force(operation()).unwrap();
        assert_eq!(queue.burden(), ROOM + 1);
        assert_eq!(queue.take(clock::now()).operations.len(), GROUP);
        queue.put(operation(), clock::now()).unwrap();
    }

    #[test]
    fn what_waits_is_taken_before_the_end() {
        let queue = Queue::default();
        for _ in 0..=GROUP {
            queue.put(operation(), clock::now()).unwrap();
        }
        queue.stop();
        assert_eq!(queue.put(operation(), clock::now()), Err(SpoolError::Closed));
        let taken = queue.take(clock::now());
        assert_eq!((taken.operations.len(), taken.stop), (GROUP, false));
        let taken = queue.take(clock::now());
        assert_eq!((taken.operations.len(), taken.stop), (1, true));
        queue.close();
        assert_eq!(queue.force(operation()), Err(SpoolError::Closed));
    }
}
