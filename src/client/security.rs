//! TLS in a session: STARTTLS where it is offered and wanted (RFC 3207), the handshake, and what follows when there is none.
//!
//! | mode | not offered, or refused | the handshake fails | it is not answered in time |
//! |---|---|---|---|
//! | off | - | - | - |
//! | opportunistic | in the clear | a new connection, in the clear | the host failed; the next try is in the clear |
//! | require, verify | the host failed | the host failed | the host failed |
//!
//! What a host said before the handshake counts for nothing after it: EHLO is said again. A host that has said more behind
//! its 220, in the clear, gets no mail.

use std::net::SocketAddr;
use std::sync::Arc;

use super::conversation::Conversation;
use super::greeting::{Hop, Manner};
use super::trouble::{FallBack, Trouble};
use crate::config::{Tls, TlsMode};
use crate::mail::{Channel, Destination, Scheme};
use crate::net::SecureError;
use crate::sasl::Credential;
use crate::smtp::{EnhancedStatus, Extensions};
use crate::time::{Phase, clock};
use crate::tls::{Outbound, agreed, words};

/// Security features not supported (RFC 3463, 3.8).
const NOT_OFFERED: EnhancedStatus = EnhancedStatus::new(4, 7, 4);
/// Cryptographic failure (RFC 3463, 3.8).
const FAILED: EnhancedStatus = EnhancedStatus::new(4, 7, 5);

/// What is asked of a host, and who we are there.
#[derive(Clone, Debug)]
pub struct Security {
    /// What is asked.
    pub mode: TlsMode,
    /// The session begins with the handshake (`smtps://`).
    pub implicit: bool,
    /// What handshakes are made with.
    pub outbound: Arc<Outbound>,
    /// Who we are there.
    pub credential: Option<Arc<Credential>>,
}

impl Security {
    /// What the settings ask of the hosts of a destination, where `credential` is who we are.
    pub fn towards(
        settings: &Tls,
        destination: &Destination,
        outbound: Arc<Outbound>,
        credential: Option<Arc<Credential>>,
    ) -> Security {
        let implicit = destination.smart().is_some_and(|(scheme, _)| scheme == Scheme::Smtps);
        let mode = match (settings.policy_of(destination), &credential) {
            (Some(mode), None) => mode,
            // A secret is not for whoever it is, unless somebody has said so of this host; and never goes in the clear.
            (Some(mode), Some(_)) => mode.max(TlsMode::Require),
            (None, Some(_)) => TlsMode::Verify,
            (None, None) => settings.outbound,
        };
        // Where the session begins with TLS, there is nothing to fall back to.
        let mode = if implicit { mode.max(TlsMode::Require) } else { mode };
        Security { mode, implicit, outbound, credential }
    }

    fn verifies(&self) -> bool {
        self.mode == TlsMode::Verify
    }

    fn insists(&self) -> bool {
        self.mode >= TlsMode::Require
    }

    /// Why the host at `address` is spoken to in the clear without a word about TLS.
    fn declines(&self, address: SocketAddr) -> Option<String> {
        match self.mode {
            TlsMode::Off => Some("off".to_owned()),
            TlsMode::Opportunistic => {
                let troubled = self.outbound.troubled(address, clock::now());
                troubled.map(|words| format!("the last handshake failed: {words}"))
            }
            TlsMode::Require | TlsMode::Verify => None,
        }
    }
}

/// Says STARTTLS if it is wanted and offered, and makes the handshake. True when everything is under TLS from here on.
pub(super) fn starttls(
    talk: &mut Conversation,
    manner: &Manner,
    hop: &Hop,
    extensions: &Extensions,
) -> Result<bool, Trouble> {
    let security = &manner.security;
    if let Some(reason) = security.declines(hop.address) {
        talk.decided(Channel::Clear(reason));
        return Ok(false);
    }
    if !extensions.starttls {
        talk.decided(Channel::Clear("not offered".to_owned()));
        return match security.insists() {
            true => Err(talk.failed(
                Phase::Starttls,
                NOT_OFFERED,
                "does not offer TLS, which is required".to_owned(),
            )),
            false => Ok(false),
        };
    }
    talk.enter(Phase::Starttls, manner.timeouts.starttls);
    let reply = talk.say("STARTTLS\r\n").and_then(|()| talk.hear());
    let reply = reply.map_err(|trouble| {
        let why = trouble.failure.diagnostic.to_string();
        came_to_nothing(talk, security, hop, trouble, &why)
    })?;
    if reply.code() != 220 {
        talk.decided(Channel::Clear(format!("refused: {reply}")));
        if !security.insists() {
            return Ok(false);
        }
        let mut trouble = Trouble::refused(Phase::Starttls, &talk.remote, reply);
        trouble.failure.status = NOT_OFFERED;
        return Err(trouble);
    }
    secure(talk, manner, hop).map(|()| true)
}

/// Makes the handshake, within its phase.
pub(super) fn secure(talk: &mut Conversation, manner: &Manner, hop: &Hop) -> Result<(), Trouble> {
    let security = &manner.security;
    if security.implicit {
        talk.enter(Phase::Starttls, manner.timeouts.starttls);
    }
    let tls = security.outbound.connection(&hop.name, hop.address.ip(), security.verifies());
    let tls = tls.map_err(|why| talk.failed(Phase::Starttls, FAILED, format!("cannot be trusted: {why}")))?;
    if let Err(error) = talk.connection.secure(tls) {
        return Err(no_handshake(talk, security, hop, &error));
    }
    let channel = agreed(talk.connection.agreed(), &hop.name, security.verifies());
    talk.decided(channel);
    Ok(())
}

/// The host has said nothing under TLS: it has broken off, or fallen silent, behind a handshake that was whole for us.
pub(super) fn unheard(
    talk: &mut Conversation,
    security: &Security,
    hop: &Hop,
    mut trouble: Trouble,
) -> Trouble {
    let why = trouble.failure.diagnostic.to_string();
    match trouble.fall_back {
        FallBack::Never => return trouble,
        FallBack::Now => {
            trouble.failure = talk.failed(Phase::Starttls, FAILED, format!("failed ({why})")).failure
        }
        FallBack::Later => {}
    }
    came_to_nothing(talk, security, hop, trouble, &why)
}

/// A handshake that failed.
fn no_handshake(talk: &mut Conversation, security: &Security, hop: &Hop, error: &SecureError) -> Trouble {
    let (phase, remote) = (Phase::Starttls, talk.remote.clone());
    let (trouble, why) = match error {
        SecureError::Injected => {
            let words = "sent plain text behind its 220 to STARTTLS, and gets no mail";
            (talk.failed(phase, FAILED, words.to_owned()), error.to_string())
        }
        SecureError::Stream(error) => {
            let (mut trouble, why) = (Trouble::stream(phase, &remote, error), error.to_string());
            // What says which limit fired, or that we are short of something, says enough.
            if trouble.fall_back == FallBack::Now {
                trouble.failure = talk.failed(phase, FAILED, format!("failed ({why})")).failure;
            }
            (trouble, why)
        }
        SecureError::Tls(error) => {
            let why = words(error);
            let trouble = talk.failed(phase, FAILED, format!("failed ({why})"));
            (Trouble { fall_back: FallBack::Now, ..trouble }, why)
        }
    };
    came_to_nothing(talk, security, hop, trouble, &why)
}

/// TLS was tried and came to nothing. Where nobody insists on it, that is remembered of the address.
fn came_to_nothing(
    talk: &mut Conversation,
    security: &Security,
    hop: &Hop,
    mut trouble: Trouble,
    why: &str,
) -> Trouble {
    talk.decided(Channel::Clear(format!("the handshake failed: {why}")));
    trouble.failure.remote = Some(talk.remote.clone());
    if security.insists() {
        trouble.fall_back = FallBack::Never;
    }
    if trouble.fall_back != FallBack::Never {
        security.outbound.failed(hop.address, clock::now(), why);
    }
    trouble
}
