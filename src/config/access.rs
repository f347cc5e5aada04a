//! Who may come in, and what we show them: certificates, and the file of users.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::settings::Listen;

/// A certificate and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, and behind it those that lead to a root.
    pub certificate: PathBuf,
    /// The private key; nobody else may read the file.
    pub key: PathBuf,
}

/// `[auth]`: who may relay by what it knows (RFC 4954).
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// The file that `sendoff passwd` writes; `None`: no AUTH.
    pub users: Option<PathBuf>,
    /// Whether a client on the loopback interface may send its password without TLS.
    pub plaintext_on_loopback: bool,
}

impl Listen {
    /// Every address that is listened on, those of plain SMTP first.
    pub fn addresses(&self) -> impl Iterator<Item = &SocketAddr> {
        self.smtp.iter().chain(&self.smtps)
    }
}
