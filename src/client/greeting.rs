//! The beginning and the end of a session: connect, banner, EHLO, TLS, AUTH; QUIT.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::authentication::authenticate;
use super::conversation::Conversation;
use super::security::{Security, secure, starttls, unheard};
use super::trouble::Trouble;
use crate::config::Timeouts;
use crate::mail::Remote;
use crate::net::{Connection, Session, Slot};
use crate::smtp::{Domain, Extensions};
use crate::time::{Deadline, Phase};

/// One address of one host: where an attempt may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The host as the route names it.
    pub name: String,
    /// Its address and port.
    pub address: SocketAddr,
}

impl Hop {
    /// As it stands in a failure.
    pub fn remote(&self) -> Remote {
        Remote::new(self.name.clone(), Some(self.address.ip()))
    }
}

/// How we speak: what we call ourselves, and how long we wait.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Our name in EHLO.
    pub hostname: Domain,
    /// The limits of the phases.
    pub timeouts: Timeouts,
    /// What is asked of the host, and who we are there.
    pub security: Security,
}

/// A session with one host, after EHLO.
#[derive(Debug)]
pub struct Client {
    pub(super) conversation: Conversation,
    pub(super) extensions: Extensions,
    pub(super) manner: Arc<Manner>,
    /// A transaction was begun and not ended: RSET comes before the next.
    pub(super) dirty: bool,
    /// Transactions that a reply has been heard to.
    pub(super) transactions: u32,
}

/// A session that did not come to be.
#[derive(Debug)]
pub struct Unopened {
    /// The slot, for the next address.
    pub slot: Slot,
    /// Why; `None` when the address has as many connections as it may have, and nothing was tried.
    pub trouble: Option<Trouble>,
}

impl Client {
    /// Connects to `hop` and gets as far as a reply to EHLO, or to HELO where EHLO is not known (RFC 5321, 3.2); under TLS,
    /// and known to the host, as [`Manner::security`] wants it.
    ///
    /// # Errors
    /// [`Unopened`], with the slot for the next address.
    pub fn open(
        slot: Slot,
        session: &Arc<Session>,
        hop: &Hop,
        manner: &Arc<Manner>,
        deadline: Deadline,
    ) -> Result<Client, Box<Unopened>> {
        let (remote, limit) = (hop.remote(), manner.timeouts.connect);
        let connection = match Connection::open(slot, session, &hop.name, hop.address, deadline, limit) {
            Ok(connection) => connection,
            Err(refused) => {
                let trouble = refused.error.map(|error| Trouble::stream(Phase::Connect, &remote, &error));
                return Err(Box::new(Unopened { slot: refused.slot, trouble }));
            }
        };
        let mut conversation = Conversation::new(connection, remote);
        match greet(&mut conversation, manner, hop) {
            Ok(extensions) => {
                let manner = Arc::clone(manner);
                Ok(Client { conversation, extensions, manner, dirty: false, transactions: 0 })
            }
            Err(trouble) => {
                let slot = conversation.connection.close();
                Err(Box::new(Unopened { slot, trouble: Some(trouble) }))
            }
        }
    }

    /// The host.
    pub fn remote(&self) -> &Remote {
        &self.conversation.remote
    }

    /// What it offers.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The certificates that it has shown, its own first; none in the clear.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.conversation.connection.certificates()
    }

    /// Transactions that have been answered in this session.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// The session waits for the next message of its destination, for at most `limit`.
    pub fn rest(&mut self, limit: Duration) {
        self.conversation.enter(Phase::Idle, limit);
    }

    /// The destination is proven: its seat counts as such from now on.
    pub fn promote(&mut self) {
        self.conversation.connection.promote();
    }

    /// Takes leave politely, within the limit of QUIT, and gives the slot back by dropping it.
    pub fn quit(mut self) {
        self.conversation.enter(Phase::Quit, self.manner.timeouts.quit);
        // The mail is settled by now: whatever happens to this farewell changes nothing.
        let _ = self.conversation.say("QUIT\r\n").and_then(|()| self.conversation.hear());
        self.conversation.connection.farewell();
    }

    /// Closes without a word and gives the slot back: the peer failed.
    pub fn close(self) -> Slot {
        self.conversation.connection.close()
    }
}

fn greet(talk: &mut Conversation, manner: &Manner, hop: &Hop) -> Result<Extensions, Trouble> {
    let security = &manner.security;
    if security.implicit {
        secure(talk, manner, hop)?;
    }
    talk.enter(Phase::Banner, manner.timeouts.banner);
    let banner = talk.hear()?;
    if !banner.is_positive() {
        return Err(Trouble::refused(Phase::Banner, &talk.remote, banner));
    }
    let mut extensions = hello(talk, manner, Phase::Ehlo)?;
    if !security.implicit && starttls(talk, manner, hop, &extensions)? {
        // What was offered in the clear may have been anybody's words (RFC 3207, 4.2). Until the host has said something
        // under TLS the handshake is not over for it: with TLS 1.3 it judges our side of it when we are done (RFC 8446, 2).
        let heard = hello(talk, manner, Phase::Starttls);
        extensions = heard.map_err(|trouble| unheard(talk, security, hop, trouble))?;
    }
    if let Some(credential) = &security.credential {
        authenticate(talk, manner, hop, &extensions, credential)?;
    }
    Ok(extensions)
}

fn hello(talk: &mut Conversation, manner: &Manner, phase: Phase) -> Result<Extensions, Trouble> {
    talk.enter(phase, manner.timeouts.ehlo);
    talk.say(&format!("EHLO {}\r\n", manner.hostname))?;
    let reply = talk.hear()?;
    if reply.is_positive() {
        return Ok(Extensions::of(&reply));
    }
    if !reply.is_permanent() {
        return Err(Trouble::refused(Phase::Ehlo, &talk.remote, reply));
    }
    talk.enter(Phase::Ehlo, manner.timeouts.ehlo);
    talk.say(&format!("HELO {}\r\n", manner.hostname))?;
    let reply = talk.hear()?;
    if reply.is_positive() {
        return Ok(Extensions::default());
    }
    Err(Trouble::refused(Phase::Ehlo, &talk.remote, reply))
}
