//! An exchange of AUTH (RFC 4954, RFC 4422), as values: responses in, challenges out, and at its end what the client claims.
//!
//! PLAIN (RFC 4616), LOGIN (no RFC, and many clients), SCRAM-SHA-256. Who a client is, it may not choose apart from what it
//! proves: an authorization identity is only taken when it is the same name.

use super::Users;
use super::scram::{ClientFirst, ServerFirst};
use crate::smtp::Secret;

/// How a client says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password never travels.
    ScramSha256,
    /// Name and password at once.
    Plain,
    /// The name, then the password.
    Login,
}

impl Mechanism {
    /// The strongest first, as they are offered.
    pub const ALL: [Mechanism; 3] = [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }

    /// The one of this name, in capitals.
    pub fn of(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// A response that is not one of its mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Who a client says it is, and what speaks for it.
#[derive(Debug)]
pub struct Claim {
    /// The name.
    pub name: String,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// What speaks for a claim.
#[derive(Debug)]
pub enum Evidence {
    /// The password itself, to be checked.
    Password(Secret),
    /// The proof of SCRAM, checked: our last words when it holds, which the client answers with an empty response.
    Proof(Option<String>),
}

/// What a response leads to.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, and hear the next response.
    Challenge(Exchange, Vec<u8>),
    /// The client has said all it has to say.
    Claim(Claim),
}

/// An exchange that waits for a response.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword(String),
    ScramFirst,
    ScramLast(Box<ServerFirst>),
}

impl Exchange {
    /// The most octets of a name, and of a password.
    const MOST: usize = 1024;

    /// An exchange that begins.
    pub fn begin(mechanism: Mechanism) -> Exchange {
        Exchange(match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 => State::ScramFirst,
        })
    }

    /// The challenge for a client that has sent no initial response.
    pub fn first_challenge(&self) -> &'static [u8] {
        if matches!(self.0, State::LoginName) { b"Username:" } else { b"" }
    }

    /// The client's next response, decoded. `users` knows the salts, `nonce` is random and printable, for SCRAM.
    ///
    /// # Errors
    /// [`Malformed`]; the exchange is over.
    pub fn respond(self, response: &[u8], users: &Users, nonce: &str) -> Result<Step, Malformed> {
        match self.0 {
            State::Plain => plain(response).map(Step::Claim),
            State::LoginName => {
                let name = name(response)?;
                Ok(Step::Challenge(Exchange(State::LoginPassword(name)), b"Password:".to_vec()))
            }
            State::LoginPassword(name) => claim(name, response).map(Step::Claim),
            State::ScramFirst => {
                let first = ClientFirst::parse(response)?;
                let keys = users.scram_keys(&first.name);
                let first = first.answer(keys, nonce);
                let message = first.message.clone().into_bytes();
                Ok(Step::Challenge(Exchange(State::ScramLast(Box::new(first))), message))
            }
            State::ScramLast(first) => {
                let evidence = Evidence::Proof(first.finish(response)?);
                Ok(Step::Claim(Claim { name: first.name, evidence }))
            }
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616, 2).
fn plain(response: &[u8]) -> Result<Claim, Malformed> {
    let mut parts = response.split(|byte| *byte == 0);
    let (Some(identity), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed);
    };
    if !identity.is_empty() && identity != user {
        return Err(Malformed);
    }
    claim(name(user)?, password)
}

fn name(octets: &[u8]) -> Result<String, Malformed> {
    let name = std::str::from_utf8(octets).map_err(|_| Malformed)?;
    if name.is_empty() || name.len() > Exchange::MOST { Err(Malformed) } else { Ok(name.to_owned()) }
}

fn claim(name: String, password: &[u8]) -> Result<Claim, Malformed> {
    if password.is_empty() || password.len() > Exchange::MOST {
        return Err(Malformed);
    }
    Ok(Claim { name, evidence: Evidence::Password(Secret::from(password)) })
}
