//! What a conversation does for TLS and for AUTH: the handshake, and the judgement of a claim.

use log::{debug, info, warn};
use rustls::ServerConnection;

use super::conversation::{Conversation, Ending, LOG};
use super::{Action, Reception, Response};
use crate::credentials::{Claim, Verdict};
use crate::net::{SecureError, StreamError};
use crate::smtp::Refusal;
use crate::time::clock;

/// Octets behind STARTTLS were said by anybody; to take them for the client's own would be to let them in (CVE-2011-0411,
/// CVE-2021-38371).
const BEHIND: Refusal = Refusal::new(554, 5, 0, "input before the reply to STARTTLS, closing");

impl<R: Reception> Conversation<'_, R> {
    /// STARTTLS was said: the handshake, unless something came behind it.
    pub(super) fn start_tls(&mut self) -> Result<(), Ending> {
        if !self.input.unread().is_empty() {
            return Err(Ending::Said(BEHIND.into()));
        }
        self.say(&Response::start_tls())?;
        self.flush()?;
        self.secure()
    }

    /// The handshake, within its own limit. What was said before it is forgotten (RFC 3207, 4.2).
    pub(super) fn secure(&mut self) -> Result<(), Ending> {
        let policy = self.session.policy();
        let (limit, terms) = (policy.handshake, policy.tls.clone());
        // The last certificate was taken away while a door was open that needs one.
        let Some(terms) = terms else { return Err(Ending::Insecure(StreamError::Closed.into())) };
        self.wire.stream().deadline().enter(clock::now(), limit);
        let tls = ServerConnection::new(terms).map_err(|error| Ending::Insecure(SecureError::Tls(error)))?;
        self.wire.secure(tls).map_err(Ending::Insecure)?;
        let terms = self.wire.agreed().map(|(version, cipher)| format!("{version} {cipher}"));
        let terms = terms.unwrap_or_default();
        debug!(target: LOG, "client=[{}] tls=\"{terms}\"", self.client);
        self.session.secured(terms);
        Ok(())
    }

    /// Finds out whether a claim is true, and says so. A false one is answered late, at a moment that does not depend on why
    /// it is false; a client that does not wait for it hears nothing.
    pub(super) fn judge(&mut self, claim: Claim) -> Result<(), Ending> {
        let heard = clock::now();
        self.flush()?;
        let Some(gate) = self.session.policy().gate.clone() else { return Ok(()) };
        let verdict = gate.judge(&claim, self.client, heard);
        let (client, user) = (self.client, shown(&claim.name));
        match verdict {
            Verdict::True => info!(target: LOG, "client=[{client}] user=\"{user}\" event=authenticated"),
            Verdict::False(hold) => {
                warn!(target: LOG, "client=[{client}] user=\"{user}\" event=auth-failed");
                let passed = clock::now().saturating_duration_since(heard);
                self.wire.stream().rest(hold.saturating_sub(passed)).map_err(|error| self.ended(error))?;
            }
            Verdict::Busy => warn!(target: LOG, "client=[{client}] user=\"{user}\" event=auth-busy"),
            Verdict::TooOften => warn!(target: LOG, "client=[{client}] user=\"{user}\" event=auth-barred"),
        }
        match self.session.judged(claim, verdict) {
            Action::Close(response) => Err(Ending::Said(response)),
            Action::Say(response) => self.say(&response),
            // Nothing else comes of a judgement.
            _ => Ok(()),
        }
    }
}

/// A name as the log may show it: on one line, whoever made it up.
fn shown(name: &str) -> String {
    name.escape_debug().take(300).collect()
}
