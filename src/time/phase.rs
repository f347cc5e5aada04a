//! The phases of an outbound session.
//!
//! One enum gives the limit (with `config::Timeouts`), the words of the log and the words of the bounce, so that all three
//! always agree on where a session stood.

use std::fmt;

/// Where an outbound session stands. The order is the order of the conversation (RFC 5321, 3.1 to 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Phase {
    /// Looking up the route: MX, A, AAAA.
    Dns,
    /// The TCP handshake.
    Connect,
    /// Waiting for the 220 greeting.
    Banner,
    /// EHLO, and HELO after it.
    Ehlo,
    /// STARTTLS and the handshake (RFC 3207), or, with implicit TLS, the handshake before the banner (RFC 8314).
    Starttls,
    /// AUTH, to a smart host (RFC 4954).
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO, each recipient.
    Rcpt,
    /// DATA, up to the 354.
    Data,
    /// The body being sent.
    Body,
    /// The final dot has been sent; its reply has not come. Here, and only here, a loss may mean a duplicate.
    FinalDot,
    /// Waiting for the next message of the destination.
    Idle,
    /// RSET between two messages.
    Rset,
    /// QUIT.
    Quit,
}

impl Phase {
    /// Every phase, in the order of the conversation.
    pub const ALL: [Phase; 14] = [
        Phase::Dns,
        Phase::Connect,
        Phase::Banner,
        Phase::Ehlo,
        Phase::Starttls,
        Phase::Auth,
        Phase::Mail,
        Phase::Rcpt,
        Phase::Data,
        Phase::Body,
        Phase::FinalDot,
        Phase::Idle,
        Phase::Rset,
        Phase::Quit,
    ];

    /// The one word of the log and of the session table.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Dns => "dns",
            Phase::Connect => "connect",
            Phase::Banner => "banner",
            Phase::Ehlo => "ehlo",
            Phase::Starttls => "starttls",
            Phase::Auth => "auth",
            Phase::Mail => "mail",
            Phase::Rcpt => "rcpt",
            Phase::Data => "data",
            Phase::Body => "body",
            Phase::FinalDot => "dot",
            Phase::Idle => "idle",
            Phase::Rset => "rset",
            Phase::Quit => "quit",
        }
    }

    /// The words a person reads, to stand after "while": "while waiting for the banner".
    pub fn words(self) -> &'static str {
        match self {
            Phase::Dns => "looking up the destination in DNS",
            Phase::Connect => "connecting",
            Phase::Banner => "waiting for the banner",
            Phase::Ehlo => "waiting for the reply to EHLO",
            Phase::Starttls => "agreeing on TLS",
            Phase::Auth => "waiting for the reply to AUTH",
            Phase::Mail => "waiting for the reply to MAIL FROM",
            Phase::Rcpt => "waiting for the reply to RCPT TO",
            Phase::Data => "waiting for the reply to DATA",
            Phase::Body => "sending the message",
            Phase::FinalDot => "waiting for the reply to the end of the message",
            Phase::Idle => "waiting for the next message",
            Phase::Rset => "waiting for the reply to RSET",
            Phase::Quit => "waiting for the reply to QUIT",
        }
    }

    /// The phase that `word` names; the inverse of [`Phase::word`].
    pub fn from_word(word: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.word() == word)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_phase() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_word(phase.word()), Some(phase));
        }
        assert_eq!(Phase::from_word("tea"), None);
    }
}
