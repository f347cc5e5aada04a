//! What became of a recipient. Mail trouble is a value, not an `Err`.
//!
//! Blame decides what follows: the site (try its next host; its standing falls; its other mail rests), the message (its
//! other recipients share the fate), or the recipient alone. Words that a server never said are never shown as the
//! server's: [`Diagnostic`] keeps the two apart.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::Channel;
use crate::smtp::{EnhancedStatus, Reply};
use crate::time::Phase;

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The destination as a site: no connection, no banner, a time-out, 421.
    Site,
    /// The message: its size, its content.
    Message,
    /// One recipient.
    Recipient,
}

impl Blame {
    /// The one word of the log.
    pub fn word(self) -> &'static str {
        match self {
            Blame::Site => "site",
            Blame::Message => "message",
            Blame::Recipient => "recipient",
        }
    }
}

/// The words of a failure, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diagnostic {
    /// A real reply of the remote server (RFC 3464, 2.3.6: type `smtp`).
    Smtp(Reply),
    /// Our own words (type `x-sendoff`).
    Local(String),
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagnostic::Smtp(reply) => reply.fmt(f),
            Diagnostic::Local(words) => f.write_str(words),
        }
    }
}

/// The host that was spoken to: its name, as the route gave it, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The MX or smart host, or the literal.
    pub name: String,
    /// The address, if one was reached for.
    pub address: Option<IpAddr>,
    /// Whether TLS protected the session, once that was decided. The spool does not keep it, the log and the history do.
    pub channel: Option<Arc<Channel>>,
}

impl Remote {
    /// A host, before it is decided whether TLS protects the session.
    pub fn new(name: impl Into<String>, address: Option<IpAddr>) -> Remote {
        Remote { name: name.into(), address, channel: None }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            // An address literal has said it already.
            Some(_) if self.name.starts_with('[') => f.write_str(&self.name),
            Some(address) => write!(f, "{}[{address}]", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Why a recipient was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who is to blame.
    pub blame: Blame,
    /// Where the conversation stood.
    pub phase: Phase,
    /// The enhanced status code, the server's if it gave one.
    pub status: EnhancedStatus,
    /// What was said.
    pub diagnostic: Diagnostic,
    /// Which host it was, if one was chosen.
    pub remote: Option<Remote>,
    /// The message may have been delivered all the same: the loss fell between the final dot and its reply.
    pub duplicate: bool,
}

impl fmt::Display for Failure {
    /// One sentence that names phase, host, address and words: what `sendoff queue` shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(remote) = &self.remote {
            write!(f, "{remote} ")?;
        }
        match &self.diagnostic {
            Diagnostic::Smtp(reply) => write!(f, "said \"{reply}\" ({})", self.phase.words())?,
            // Our own words about DNS name what was looked up.
            Diagnostic::Local(words) if self.phase == Phase::Dns => f.write_str(words)?,
            Diagnostic::Local(words) => write!(f, "{words} while {}", self.phase.words())?,
        }
        if self.duplicate { f.write_str("; possible duplicate") } else { Ok(()) }
    }
}

/// What became of a recipient in one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took responsibility, in these words.
    Delivered(Remote, Reply),
    /// Not now; it will be tried again.
    Deferred(Failure),
    /// Never; it bounces.
    Failed(Failure),
}

impl Outcome {
    /// A failure, permanent or not by the class of its status.
    pub fn of(failure: Failure) -> Outcome {
        if failure.status.class() == 5 { Outcome::Failed(failure) } else { Outcome::Deferred(failure) }
    }

    /// The failure, if there is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Delivered(..) => None,
            Outcome::Deferred(failure) | Outcome::Failed(failure) => Some(failure),
        }
    }

    /// The one word of the log.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered(..) => "delivered",
            Outcome::Deferred(_) => "deferred",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// The most octets of a failure's words that are kept. A hostile reply has up to 16 KiB, and a queue a million of them.
const WORDS: usize = 1000;

/// The words of a failure as they are kept, cut between characters.
pub fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(WORDS));
    text.shrink_to_fit();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_host_address_phase_and_whose_words() {
        let mut failure = Failure {
            blame: Blame::Site,
            phase: Phase::Banner,
            status: EnhancedStatus::new(4, 4, 2),
            diagnostic: Diagnostic::Local("timed out".into()),
            remote: Some(Remote::new("mx.example", Some([192, 0, 2, 1].into()))),
            duplicate: false,
        };
        assert_eq!(failure.to_string(), "mx.example[192.0.2.1] timed out while waiting for the banner");
        failure.diagnostic = Diagnostic::Smtp(Reply::new(451, "4.3.0 later"));
        failure.duplicate = true;
        assert_eq!(
            failure.to_string(),
            "mx.example[192.0.2.1] said \"451 4.3.0 later\" (waiting for the banner); possible duplicate"
        );
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(cut("\u{fc}".repeat(600)).len(), WORDS);
        assert_eq!(cut(format!("a{}", "\u{fc}".repeat(600))).len(), WORDS - 1);
    }
}
