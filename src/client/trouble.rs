//! What ends a conversation, as a [`Failure`]: the one place where errors of the network become words for the log and
//! the bounce.

use std::io;

use crate::mail::{Blame, Diagnostic, Failure, Remote};
use crate::net::{LineError, StreamError};
use crate::smtp::{EnhancedStatus, Reply, ReplyError};
use crate::time::{Expired, Limit, Phase};

/// The conversation is over. The socket is closed without QUIT: a peer that failed gets no further word.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What happened, for whatever it stops.
    pub failure: Failure,
    /// It was not the site's doing, we are shutting down: no standing falls, no attempt counts.
    pub ours: bool,
    /// Whether the host may be spoken to in the clear instead.
    pub fall_back: FallBack,
}

/// What follows when a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallBack {
    /// Nothing: it was no handshake, or TLS is required.
    Never,
    /// A new connection to the same address, in the clear, at once.
    Now,
    /// The host failed, by its silence; the next try is in the clear.
    Later,
}

/// Bad connection (RFC 3463, 3.5): lost, or silent past its limit.
const LOST: EnhancedStatus = EnhancedStatus::new(4, 4, 2);
/// No answer from host (RFC 3463, 3.5).
const NO_ANSWER: EnhancedStatus = EnhancedStatus::new(4, 4, 1);
/// We are short of descriptors, memory or ports (RFC 3463, 3.4: mail system full, of other or undefined status).
const SHORTAGE: EnhancedStatus = EnhancedStatus::new(4, 3, 0);
/// What was said is no SMTP (RFC 3463, 3.6: other or undefined protocol status).
const NO_PROTOCOL: EnhancedStatus = EnhancedStatus::new(4, 5, 0);

impl Trouble {
    pub(super) fn local(phase: Phase, remote: &Remote, status: EnhancedStatus, words: String) -> Trouble {
        let failure = Failure {
            blame: Blame::Site,
            phase,
            status,
            diagnostic: Diagnostic::Local(words),
            remote: Some(remote.clone()),
            duplicate: phase == Phase::FinalDot,
        };
        Trouble { failure, ours: false, fall_back: FallBack::Never }
    }

    /// A stream that ended.
    pub(crate) fn stream(phase: Phase, remote: &Remote, error: &StreamError) -> Trouble {
        let status = if phase == Phase::Connect { NO_ANSWER } else { LOST };
        let mut trouble = Trouble::local(phase, remote, status, error.to_string());
        trouble.ours = matches!(error, StreamError::Expired(Expired(Limit::Shutdown)));
        if phase == Phase::Starttls {
            trouble.fall_back = match error {
                StreamError::Expired(Expired(Limit::Phase | Limit::Session)) => FallBack::Later,
                // Our own impatience is no silence of the host's: it has its full time when it is tried again.
                StreamError::Expired(_) => FallBack::Never,
                StreamError::Closed | StreamError::Io(_) => FallBack::Now,
            };
        }
        if matches!(error, StreamError::Expired(Expired(Limit::Operator))) {
            // The message gets a time of its own, or the next session would be with the same host at once; what the host
            // did, only the operator knows.
            trouble.failure.blame = Blame::Message;
        }
        if error.is_shortage() {
            trouble.fall_back = FallBack::Never;
            // The message waits for its own next time; no host is the worse for it.
            trouble.failure.blame = Blame::Message;
            trouble.failure.status = SHORTAGE;
        }
        trouble
    }

    /// A line that is none.
    pub(super) fn line(phase: Phase, remote: &Remote, error: &LineError) -> Trouble {
        match error {
            LineError::Stream(error) => Trouble::stream(phase, remote, error),
            LineError::TooLong => Trouble::nonsense(phase, remote, format!("sent {error}")),
        }
    }

    fn nonsense(phase: Phase, remote: &Remote, words: String) -> Trouble {
        let mut trouble = Trouble::local(phase, remote, NO_PROTOCOL, words);
        if phase == Phase::Starttls {
            trouble.fall_back = FallBack::Now;
        }
        trouble
    }

    /// Bytes that are no reply.
    pub(super) fn reply(phase: Phase, remote: &Remote, error: &ReplyError) -> Trouble {
        Trouble::nonsense(phase, remote, format!("sent {error}"))
    }

    /// Our own body could not be read: our disk's doing, not the site's.
    pub(super) fn body(remote: &Remote, error: &io::Error) -> Trouble {
        let status = EnhancedStatus::new(4, 3, 0);
        let words = format!("the message could not be read from the spool: {error}");
        let mut trouble = Trouble::local(Phase::Body, remote, status, words);
        trouble.failure.blame = Blame::Message;
        trouble
    }

    /// A reply that refuses the whole site: to the connection, to EHLO and HELO, or 421 at any time. It is a deferral
    /// whatever its class, because another host, or this one later, may say otherwise.
    pub(super) fn refused(phase: Phase, remote: &Remote, reply: Reply) -> Trouble {
        let status = reply.status().map_or(EnhancedStatus::new(4, 3, 2), |status| status.with_class(4));
        let failure = Failure {
            blame: Blame::Site,
            phase,
            status,
            diagnostic: Diagnostic::Smtp(reply),
            remote: Some(remote.clone()),
            duplicate: false,
        };
        Trouble { failure, ours: false, fall_back: FallBack::Never }
    }
}

/// A reply that refuses a message or a recipient: permanent or not as it says.
pub(super) fn refusal(blame: Blame, phase: Phase, remote: &Remote, reply: Reply) -> Failure {
    let class = if reply.is_permanent() { 5 } else { 4 };
    let status = reply.status().map_or(EnhancedStatus::new(class, 0, 0), |status| status.with_class(class));
    Failure {
        blame,
        phase,
        status,
        diagnostic: Diagnostic::Smtp(reply),
        remote: Some(remote.clone()),
        duplicate: false,
    }
}
