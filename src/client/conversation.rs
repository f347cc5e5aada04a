//! One line out, one reply in, each in its phase, each shown to whoever debugs.
//!
//! `RUST_LOG=sendoff::client=debug` shows every line with its session, never the octets of a message.

use std::sync::Arc;
use std::time::Duration;

use super::trouble::Trouble;
use crate::mail::Remote;
use crate::net::{Connection, Lines};
use crate::smtp::{Reply, ReplyReader, printable};
use crate::time::Phase;

/// An open connection, and to whom.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) connection: Connection,
    pub(super) remote: Remote,
    phase: Phase,
    /// The host has asked for more of an AUTH exchange (334): what we say next is a secret.
    secret: bool,
}

impl Conversation {
    pub(super) fn new(connection: Connection, remote: Remote) -> Conversation {
        Conversation { connection, remote, phase: Phase::Connect, secret: false }
    }

    /// Begins a phase that may take `limit`.
    pub(super) fn enter(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.connection.enter(phase, limit);
    }

    /// Says lines, each ending in CRLF, in one write.
    pub(super) fn say(&mut self, lines: &str) -> Result<(), Trouble> {
        let (logged, session) = (log::log_enabled!(log::Level::Debug), self.connection.session());
        if logged || session.is_followed() {
            for line in lines.lines() {
                let line = if self.secret { "(secret)" } else { shown(line) };
                session.tell('>', line);
                log::debug!("session={} {} > {line}", session.id(), self.remote);
            }
        }
        self.connection.write(lines.as_bytes()).map_err(|error| self.lost(&error))
    }

    /// Hears one reply. 421 ends the conversation, whenever it comes (RFC 5321, 4.2.2).
    pub(super) fn hear(&mut self) -> Result<Reply, Trouble> {
        let reply = self.hear_any()?;
        if reply.code() == 421 {
            return Err(Trouble::refused(self.phase, &self.remote, reply));
        }
        Ok(reply)
    }

    fn hear_any(&mut self) -> Result<Reply, Trouble> {
        let session = Arc::clone(self.connection.session());
        let mut reader = ReplyReader::default();
        loop {
            let line =
                self.connection.line().map_err(|error| Trouble::line(self.phase, &self.remote, &error))?;
            if log::log_enabled!(log::Level::Debug) || session.is_followed() {
                let overheard = printable(line, Lines::MOST).to_string();
                log::debug!("session={} {} < {overheard}", session.id(), self.remote);
                session.tell('<', overheard);
            }
            let result = reader.line(line).map_err(|error| Trouble::reply(self.phase, &self.remote, &error));
            if let Some(reply) = result? {
                self.secret = reply.code() == 334;
                return Ok(reply);
            }
        }
    }

    /// A message is being sent: of how many octets is all that anybody is told.
    pub(super) fn sends(&self, octets: u64) {
        let session = self.connection.session();
        if session.is_followed() {
            session.tell('>', format!("({octets} octets)"));
        }
        log::debug!("session={} {} > ({octets} octets)", session.id(), self.remote);
    }

    pub(super) fn lost(&self, error: &crate::net::StreamError) -> Trouble {
        Trouble::stream(self.phase, &self.remote, error)
    }
}

/// A command as it may be seen: of AUTH only the mechanism (RFC 4954, 4), since an initial response is a password.
fn shown(line: &str) -> &str {
    if !line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH ")) {
        return line;
    }
    let end = line.match_indices(' ').nth(1).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(shown("AUTH PLAIN AGpvZQBzZWNyZXQ="), "AUTH PLAIN");
        assert_eq!(shown("auth login"), "auth login");
        assert_eq!(shown("MAIL FROM:<a@b.example> SIZE=1"), "MAIL FROM:<a@b.example> SIZE=1");
        assert_eq!(shown(""), "");
    }
}
