//! What one client may do: the settings as they were when it came.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::credentials::{Gate, ServerTls};
use crate::smtp::Domain;

/// The rules for one client. They do not change under it; who comes after a reload meets the new ones.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What we call ourselves.
    pub hostname: Domain,
    /// The terms of TLS, if we speak it.
    pub tls: ServerTls,
    /// TLS comes before the banner (RFC 8314, 3.3).
    pub tls_first: bool,
    /// The limit of the TLS handshake.
    pub handshake: Duration,
    /// Who may authenticate, if anybody.
    pub gate: Option<Arc<Gate>>,
    /// Whether this client may do so without TLS.
    pub auth_in_clear: bool,
    /// Whether this client may relay without it.
    pub may_relay: bool,
    /// The largest message, in octets (RFC 1870).
    pub max_message_size: u64,
    /// The most recipients of one message.
    pub max_recipients: usize,
    /// The most `Received:` lines of a message.
    pub hop_limit: usize,
    /// The limit of each command, of each block of data, and of a commit.
    pub patience: Duration,
    /// The limit of the session as a whole.
    pub session: Duration,
    /// The least octets a second of data, on average, after a grace of one `patience`.
    pub min_data_rate: u64,
}

impl Policy {
    /// The rules for a client at `address`, without TLS and without AUTH: whoever has the certificates and the users adds
    /// them.
    pub fn of(config: &Config, address: IpAddr) -> Policy {
        Policy {
            hostname: config.hostname.clone(),
            tls: None,
            tls_first: false,
            handshake: config.timeouts.client_handshake,
            gate: None,
            auth_in_clear: config.auth.plaintext_on_loopback && address.to_canonical().is_loopback(),
            may_relay: config.listen.relay_from.iter().any(|network| network.contains(address)),
            max_message_size: config.listen.max_message_size,
            max_recipients: config.listen.max_recipients,
            hop_limit: config.listen.hop_limit,
            patience: config.timeouts.client,
            session: config.timeouts.client_session,
            min_data_rate: config.timeouts.min_data_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_relay_is_a_matter_of_the_address() {
        let config = Config::default();
        for (address, may_relay) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false)] {
            assert_eq!(Policy::of(&config, address.parse().unwrap()).may_relay, may_relay, "{address}");
        }
    }
}
