//! Where a session stands with AUTH (RFC 4954): nowhere, in an exchange, or done. Pure: whether a claim is true is found out
//! elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Action, Response};
use crate::credentials::{Claim, Evidence, Exchange, Gate, Mechanism, Step, Verdict};
use crate::smtp::{Refusal, Secret};

const NO_MECHANISM: Refusal = Refusal::new(504, 5, 4, "this mechanism is not offered");
const CANCELLED: Refusal = Refusal::new(501, 7, 0, "authentication cancelled");
const NOT_BASE64: Refusal = Refusal::new(501, 5, 2, "a response is base64");
const MALFORMED: Refusal = Refusal::new(501, 5, 2, "this is no response of the mechanism");
const NO_RANDOM: Refusal = Refusal::new(454, 7, 0, "authentication is not possible now");
const WRONG: Refusal = Refusal::new(535, 7, 8, "authentication failed");
const BUSY: Refusal = Refusal::new(454, 7, 0, "too many are being authenticated, try again later");
const TOO_OFTEN: Refusal = Refusal::new(421, 7, 0, "too many failed tries, closing");

/// The state.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    waiting: Option<Waiting>,
    user: Option<String>,
    failures: u32,
}

/// What a response is awaited for.
#[derive(Debug)]
enum Waiting {
    /// It goes on.
    Exchange(Exchange),
    /// The client is who it says it is, and hears our proof of SCRAM; the response is empty.
    Assent(String),
}

impl Authentication {
    /// A session ends with so many false claims.
    const MOST_FAILURES: u32 = 3;

    /// Who the client is.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the next line is a response, and no command.
    pub(super) fn awaits_response(&self) -> bool {
        self.waiting.is_some()
    }

    /// The exchange, if there is one, is over.
    pub(super) fn cancel(&mut self) {
        self.waiting = None;
    }

    /// What can be offered: SCRAM only when everybody can use it.
    pub(super) fn mechanisms(gate: &Gate) -> Vec<&'static str> {
        let users = gate.users();
        let Some(users) = users.as_ref() else { return Vec::new() };
        let offered = Mechanism::ALL.into_iter();
        offered
            .filter(|m| *m != Mechanism::ScramSha256 || users.all_know_scram())
            .map(Mechanism::name)
            .collect()
    }

    /// AUTH was said.
    pub(super) fn begin(
        &mut self,
        gate: &Gate,
        mechanism: &str,
        initial: Option<Secret>,
    ) -> Result<Action, Refusal> {
        let offered = Authentication::mechanisms(gate).contains(&mechanism);
        let mechanism = Mechanism::of(mechanism).filter(|_| offered).ok_or(NO_MECHANISM)?;
        let exchange = Exchange::begin(mechanism);
        match initial.as_deref() {
            None => {
                let challenge = Response::challenge(exchange.first_challenge());
                self.waiting = Some(Waiting::Exchange(exchange));
                Ok(Action::Say(challenge))
            }
            Some(b"=") => self.go_on(gate, exchange, b""),
            Some(initial) => self.go_on(gate, exchange, &decoded(initial)?),
        }
    }

    /// A response has come.
    pub(super) fn respond(&mut self, gate: &Gate, line: &[u8]) -> Result<Action, Refusal> {
        match self.waiting.take() {
            _ if line == b"*" => Err(CANCELLED),
            Some(Waiting::Exchange(exchange)) => self.go_on(gate, exchange, &decoded(line)?),
            Some(Waiting::Assent(user)) if line.is_empty() => {
                self.user = Some(user);
                Ok(Action::Say(Response::authenticated()))
            }
            Some(Waiting::Assent(_)) | None => Err(MALFORMED),
        }
    }

    fn go_on(&mut self, gate: &Gate, exchange: Exchange, response: &[u8]) -> Result<Action, Refusal> {
        let users = gate.users();
        // The users were taken away while somebody was about to name one.
        let users = users.as_ref().as_ref().ok_or(NO_RANDOM)?;
        let nonce = gate.nonce().ok_or(NO_RANDOM)?;
        match exchange.respond(response, users, &nonce).map_err(|_| MALFORMED)? {
            Step::Challenge(next, challenge) => {
                self.waiting = Some(Waiting::Exchange(next));
                Ok(Action::Say(Response::challenge(&challenge)))
            }
            Step::Claim(claim) => Ok(Action::Judge(Box::new(claim))),
        }
    }

    /// What is said to a claim.
    pub(super) fn judged(&mut self, claim: Claim, verdict: Verdict) -> Action {
        match (verdict, claim.evidence) {
            (Verdict::True, Evidence::Proof(Some(last))) => {
                self.waiting = Some(Waiting::Assent(claim.name));
                Action::Say(Response::challenge(last.as_bytes()))
            }
            (Verdict::True, _) => {
                self.user = Some(claim.name);
                Action::Say(Response::authenticated())
            }
            (Verdict::False(_), _) => {
                self.failures += 1;
                match self.failures < Authentication::MOST_FAILURES {
                    true => Action::Say(WRONG.into()),
                    false => Action::Close(TOO_OFTEN.into()),
                }
            }
            (Verdict::Busy, _) => Action::Say(BUSY.into()),
            (Verdict::TooOften, _) => Action::Close(TOO_OFTEN.into()),
        }
    }
}

fn decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| NOT_BASE64)
}
