//! One caller waits, for a bounded time, for one answer of the writer.
//!
//! Three things are exact here that a channel leaves open. A caller who has given up is known to the writer *before* it
//! begins, so that a message whose client was told 451 is not stored. A caller who gives up while the writer is at it is
//! known *after*, so that the answer goes elsewhere instead of being lost. And an answer that will never come (the writer
//! has died) wakes the caller at once.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

enum State<T> {
    Waiting,
    Answered(T),
    Lost,
    Abandoned,
}

type Shared<T> = Arc<(Mutex<State<T>>, Condvar)>;

/// The caller's half.
pub(super) struct Ticket<T>(Shared<T>);

/// The writer's half. Dropped without an answer, it says so.
pub(super) struct Answer<T>(Shared<T>);

/// How a wait ended.
pub(super) enum Waited<T> {
    /// With the answer.
    Answered(T),
    /// There will be none.
    Lost,
    /// The time is over; whatever the answer will be, the writer knows that nobody waits for it.
    Late,
}

/// Both halves.
pub(super) fn ticket<T>() -> (Ticket<T>, Answer<T>) {
    let shared = Arc::new((Mutex::new(State::Waiting), Condvar::new()));
    (Ticket(Arc::clone(&shared)), Answer(shared))
}

impl<T> Ticket<T> {
    /// Waits until `end`, not longer.
    pub(super) fn wait(self, end: Instant) -> Waited<T> {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        while matches!(*state, State::Waiting) {
            if changed.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        match std::mem::replace(&mut *state, State::Abandoned) {
            State::Answered(answer) => Waited::Answered(answer),
            State::Lost => Waited::Lost,
            State::Waiting | State::Abandoned => Waited::Late,
        }
    }
}

impl<T> Answer<T> {
    /// Whether somebody still waits.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(*self.0.0.lock(), State::Waiting)
    }

    /// Gives the answer; gives it back when nobody waits for it any more.
    pub(super) fn give(self, answer: T) -> Result<(), T> {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        if matches!(*state, State::Abandoned) {
            return Err(answer);
        }
        *state = State::Answered(answer);
        drop(state);
        changed.notify_one();
        Ok(())
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        if matches!(*state, State::Waiting) {
            *state = State::Lost;
            drop(state);
            changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock;
    use std::time::Duration;

    #[test]
    fn an_answer_reaches_the_one_who_waits() {
        let (ticket, answer) = ticket();
        let writer = std::thread::spawn(move || answer.give(7).is_ok());
        assert!(matches!(ticket.wait(clock::now() + Duration::from_secs(10)), Waited::Answered(7)));
        assert!(writer.join().unwrap());
    }

    #[test]
    fn an_answer_nobody_waits_for_is_given_back() {
        let (ticket, answer) = ticket();
        assert!(answer.is_awaited());
        assert!(matches!(ticket.wait(clock::now()), Waited::Late));
        assert!(!answer.is_awaited());
        assert_eq!(answer.give(7), Err(7));
    }

    #[test]
    fn an_answer_that_will_not_come_wakes_the_caller() {
        let (ticket, answer) = ticket::<()>();
        drop(answer);
        assert!(matches!(ticket.wait(clock::now() + Duration::from_secs(3600)), Waited::Lost));
    }
}
