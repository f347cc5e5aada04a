//! What an attempt came to, counted; and the last failures, kept for whoever looks. The log has all of them.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;

use super::settle::Context;
use crate::mail::{Failure, QueueId};
use crate::metrics::{METRICS, Told};
use crate::smtp::Mailbox;
use crate::spool::Verdict;
use crate::time::{Unix, clock};

/// A failure, as the operator sees it.
#[derive(Clone, Debug)]
pub struct RecentFailure {
    /// When.
    pub at: Unix,
    /// The message.
    pub id: QueueId,
    /// The forward-path.
    pub to: String,
    /// The next hop.
    pub destination: String,
    /// `deferred` or `failed`.
    pub outcome: &'static str,
    /// What went wrong.
    pub failure: Failure,
}

/// The last failures.
#[derive(Debug)]
pub struct Recent(Mutex<VecDeque<RecentFailure>>);

/// Those of this process; see [`METRICS`] for why it is one.
pub static RECENT: Recent = Recent(Mutex::new(VecDeque::new()));

impl Recent {
    /// How many are kept.
    pub const MOST: usize = 20;

    /// The last ones, the newest first.
    pub fn view(&self) -> Vec<RecentFailure> {
        self.0.lock().iter().rev().cloned().collect()
    }

    fn push(&self, failure: RecentFailure) {
        let mut failures = self.0.lock();
        if failures.len() >= Recent::MOST {
            failures.pop_front();
        }
        failures.push_back(failure);
    }
}

/// Counts what became of a recipient, `age` after its message was accepted.
pub(super) fn count(context: &Context<'_>, id: QueueId, to: &Mailbox, verdict: &Verdict, age: Duration) {
    let (told, failure) = match verdict {
        Verdict::Delivered(_) => (Told::Delivered, None),
        // Not by an attempt.
        Verdict::Removed => return,
        Verdict::Deferred { failure, .. } => (Told::Deferred, Some(failure)),
        Verdict::Failed { failure } => (Told::Failed, Some(failure)),
        Verdict::Postponed { .. } => (Told::Postponed, None),
    };
    METRICS.told(told, context.standing.map(|standing| standing as usize));
    if told == Told::Delivered {
        METRICS.delay.observe(age);
    }
    if let Some(failure) = failure {
        METRICS.failed(failure.phase as usize, failure.blame as usize);
        RECENT.push(RecentFailure {
            at: clock::unix(),
            id,
            to: to.to_string(),
            destination: context.destination.to_string(),
            outcome: if told == Told::Failed { "failed" } else { "deferred" },
            failure: failure.clone(),
        });
    }
}
