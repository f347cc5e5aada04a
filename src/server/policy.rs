//! What one client may do: the settings as they were when it came.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Config;
use crate::smtp::Domain;

/// The rules for one client. They do not change under it; who comes after a reload meets the new ones.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What we call ourselves.
    pub hostname: Domain,
    /// Whether this client may relay.
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
    /// The rules for a client at `address`.
    pub fn of(config: &Config, address: IpAddr) -> Policy {
        Policy {
            hostname: config.hostname.clone(),
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
