//! The intake of one message: its octets on their way into the draft, and the reasons to refuse it.
//!
//! After the first reason the draft is dropped, and what still comes is only counted; the client hears the reason after its
//! final dot, since it listens to nothing before.

use std::time::Duration;

use super::hops::Hops;
use super::{Draft, Policy};
use crate::mail::Envelope;
use crate::smtp::{Fault, Refusal};

const TOO_LARGE: Refusal = Refusal::new(552, 3, 4, "the message is larger than it may be");
const LOOP: Refusal = Refusal::new(554, 4, 6, "too many hops, the message is in a loop");
const BARE: Refusal = Refusal::new(550, 5, 2, "bare CR or LF in the data, lines end with CRLF; closing");
const LONG_LINE: Refusal = Refusal::new(550, 6, 0, "a line of the message is longer than 65536 octets");

/// A message on its way in.
#[derive(Debug)]
pub(super) struct Intake<D> {
    draft: Result<D, Refusal>,
    hops: Hops,
    octets: u64,
    most: u64,
    hop_limit: usize,
}

impl<D: Draft> Intake<D> {
    /// What a client may send beyond the limit until we stop listening.
    const OVERRUN: u64 = 1 << 20;

    /// Begins with our own trace line, which counts neither as a hop nor for the size.
    pub(super) fn begin(mut draft: D, trace: &str, policy: &Policy) -> Intake<D> {
        let draft = draft.write(trace.as_bytes()).map(|()| draft);
        let (most, hop_limit) = (policy.max_message_size, policy.hop_limit);
        Intake { draft, hops: Hops::default(), octets: 0, most, hop_limit }
    }

    /// The next octets of the message.
    pub(super) fn push(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        let Ok(draft) = &mut self.draft else { return };
        self.hops.push(octets);
        let fine = if self.octets > self.most {
            Err(TOO_LARGE)
        } else if self.hops.count() >= self.hop_limit {
            Err(LOOP)
        } else {
            draft.write(octets)
        };
        if let Err(refusal) = fine {
            self.draft = Err(refusal);
        }
    }

    /// Octets that do not reach the message because of a fault of the data; they count all the same.
    pub(super) fn condemned(&mut self, octets: usize, fault: Fault) {
        self.octets += octets as u64;
        // A bare line end closes the connection, so it is the reason that is said, whatever came before.
        match (fault, &self.draft) {
            (Fault::BareLineEnd, _) => self.draft = Err(BARE),
            (Fault::LongLine, Ok(_)) => self.draft = Err(LONG_LINE),
            (Fault::LongLine, Err(_)) => {}
        }
    }

    /// Octets of the message so far, as RFC 1870 counts them.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Why it is refused, when that is known and the client has sent far more than it may.
    pub(super) fn overrun(&self) -> Option<Refusal> {
        let refusal = self.draft.as_ref().err()?;
        let end = self.most.saturating_mul(2).saturating_add(Self::OVERRUN);
        (self.octets > end).then(|| refusal.clone())
    }

    /// The data has ended: keeps the message.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn commit(self, envelope: Envelope, limit: Duration) -> Result<D::Accepted, Refusal> {
        self.draft?.commit(envelope, limit)
    }
}
