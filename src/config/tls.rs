//! `[tls]`: how much privacy a session asks of its host, and whose word on a host is believed.

use std::path::PathBuf;

use super::routes::most_exact;
use crate::mail::Destination;

/// What is asked of a host before it gets mail. Each asks for more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    /// Nothing: STARTTLS is not used.
    Off,
    /// TLS where it is offered, with whoever it is; mail goes in the clear where it fails (RFC 7435).
    Opportunistic,
    /// TLS with whoever it is; no mail in the clear.
    Require,
    /// TLS with a host whose certificate is good, and for the name that the route has for it.
    Verify,
}

impl TlsMode {
    /// Every mode, by its word in the settings.
    pub const ALL: [(&'static str, TlsMode); 4] = [
        ("off", TlsMode::Off),
        ("opportunistic", TlsMode::Opportunistic),
        ("require", TlsMode::Require),
        ("verify", TlsMode::Verify),
    ];
}

/// Whose word on a certificate is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The authorities that the system trusts; where it has none, those that Mozilla trusts.
    System,
    /// Those of this PEM file, and no others.
    File(PathBuf),
}

/// `[tls]`: what is asked of hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// Of every host that `policy` does not name.
    pub outbound: TlsMode,
    /// Whose word is believed where a certificate is asked for.
    pub roots: Roots,
    /// Of the hosts of these next hops: a destination's domain (`example.org`, `*.example.org`), a smart host's name, or an
    /// address literal.
    pub policy: Vec<(String, TlsMode)>,
}

impl Tls {
    /// What `tls.policy` asks of a destination, if it names it. The most exact pattern wins.
    pub fn policy_of(&self, destination: &Destination) -> Option<TlsMode> {
        most_exact(&self.policy, &destination.host()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_by_the_next_hop() {
        let policy = [
            ("example.org", TlsMode::Verify),
            ("*.example.org", TlsMode::Require),
            ("[192.0.2.1]", TlsMode::Off),
        ];
        let tls = Tls {
            outbound: TlsMode::Opportunistic,
            roots: Roots::System,
            policy: policy.map(|(pattern, mode)| (pattern.to_owned(), mode)).to_vec(),
        };
        for (to, mode) in [
            ("example.org", Some(TlsMode::Verify)),
            ("smtps://example.org:465", Some(TlsMode::Verify)),
            ("smtp://smart.example.org:587", Some(TlsMode::Require)),
            ("smtp://[192.0.2.1]:25", Some(TlsMode::Off)),
            ("[192.0.2.1]", Some(TlsMode::Off)),
            ("[192.0.2.2]", None),
            ("example.net", None),
        ] {
            assert_eq!(tls.policy_of(&Destination::parse(to).unwrap()), mode, "{to}");
        }
    }
}
