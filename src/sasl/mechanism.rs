//! The mechanisms we know.

use std::fmt;

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677: the password is not told, and the host proves that it knows it too.
    ScramSha256,
    /// RFC 4616.
    Plain,
    /// As old servers want it (draft-murchison-sasl-login).
    Login,
    /// RFC 7628.
    OAuthBearer,
    /// The older form of it, of Google and Microsoft.
    XOAuth2,
}

impl Mechanism {
    /// Those that prove a password, the strongest first.
    pub(super) const OF_PASSWORDS: [Mechanism; 3] =
        [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login];
    /// Those that carry a token, the standard one first.
    pub(super) const OF_TOKENS: [Mechanism; 2] = [Mechanism::OAuthBearer, Mechanism::XOAuth2];

    /// Its name in EHLO and AUTH.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
