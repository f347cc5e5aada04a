//! One line out, one reply in, each in its phase, each shown to whoever debugs.
//!
//! `RUST_LOG=sendoff::client=debug` shows every line with its session, never the octets of a message.

use std::sync::Arc;
use std::time::Duration;

use super::trouble::Trouble;
use crate::mail::{Channel, Remote};
use crate::net::{Connection, Lines};
use crate::sasl::Secret;
use crate::smtp::{EnhancedStatus, Reply, ReplyError, ReplyReader, printable};
use crate::time::Phase;

/// An open connection, and to whom.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) connection: Connection,
    pub(super) remote: Remote,
    phase: Phase,
}

impl Conversation {
    pub(super) fn new(connection: Connection, remote: Remote) -> Conversation {
        Conversation { connection, remote, phase: Phase::Connect }
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
                session.tell('>', line);
                log::debug!("session={} {} > {line}", session.id(), self.remote);
            }
        }
        self.connection.write(lines.as_bytes()).map_err(|error| self.lost(&error))
    }

    /// Says a line of which only `words` may be shown, then `secret`, and its end.
    pub(super) fn say_secretly(&mut self, words: &str, secret: Option<&Secret>) -> Result<(), Trouble> {
        let shown = if secret.is_some() { "(secret)" } else { "" };
        let session = self.connection.session();
        log::debug!("session={} {} > {words}{shown}", session.id(), self.remote);
        if session.is_followed() {
            session.tell('>', format!("{words}{shown}"));
        }
        let secret = secret.map_or(&[][..], Secret::octets);
        let line = Secret::new([words.as_bytes(), secret, b"\r\n"].concat());
        self.connection.write(line.octets()).map_err(|error| self.lost(&error))
    }

    /// It is decided whether TLS protects the session: so it stands in the session table, and with what comes of it.
    pub(super) fn decided(&mut self, channel: Channel) {
        let channel = Arc::new(channel);
        let session = self.connection.session();
        log::debug!("session={} {}: {channel}", session.id(), self.remote);
        if session.is_followed() {
            session.tell('*', channel.to_string());
        }
        session.channel(&channel);
        self.remote.channel = Some(channel);
    }

    /// The host failed, in words of ours that stand after its name.
    pub(super) fn failed(&self, phase: Phase, status: EnhancedStatus, words: String) -> Trouble {
        Trouble::local(phase, &self.remote, status, words)
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
                // What is heard in AUTH may repeat what was said.
                let most = if self.phase == Phase::Auth { 3 } else { Lines::MOST };
                let overheard = printable(line, most).to_string();
                log::debug!("session={} {} < {overheard}", session.id(), self.remote);
                session.tell('<', overheard);
            }
            let result = reader.line(line).map_err(|error| match error {
                // Cut short as it is, nobody would find the secret in it.
                ReplyError::Malformed(_) if self.phase == Phase::Auth => {
                    ReplyError::Malformed("(not shown)".into())
                }
                error => error,
            });
            let result = result.map_err(|error| Trouble::reply(self.phase, &self.remote, &error));
            if let Some(reply) = result? {
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
