//! /etc/resolv.conf: which servers the machine asks (resolv.conf(5)).
//!
//! Only `nameserver` lines count. `search` would turn a mistyped domain into one of ours; `options` gives way to `[dns]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use crate::config::Dns;

/// The port of nameservers.
const PORT: u16 = 53;
/// As many as glibc takes.
const MOST: usize = 3;

/// The servers to ask: those of the settings, else those of /etc/resolv.conf, else this machine's own.
pub fn servers(settings: &Dns) -> Vec<SocketAddr> {
    if !settings.servers.is_empty() {
        return settings.servers.clone();
    }
    match std::fs::read("/etc/resolv.conf") {
        Ok(text) => parse(&String::from_utf8_lossy(&text)),
        Err(error) => {
            log::warn!("/etc/resolv.conf: {error}; asking the nameserver of this machine");
            parse("")
        }
    }
}

/// The servers of a resolv.conf; this machine's own when it names none, as glibc has it.
fn parse(text: &str) -> Vec<SocketAddr> {
    let mut servers: Vec<_> = text.lines().filter_map(nameserver).take(MOST).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    }
    servers
}

fn nameserver(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_ascii_whitespace();
    let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
    match address.split_once('%') {
        None => Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, PORT)),
        // A scope by number is used; a scope by name would need the interface's index, and is left out.
        Some((address, scope)) => {
            Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, scope.parse().unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nameserver_lines_count() {
        let text = "# a comment\nnameserver 192.0.2.1\nsearch example.org\n\tnameserver\t2001:db8::1 # b\n\
                    nameserver fe80::1%3\noptions timeout:1\nnameserver 192.0.2.9\n";
        let expected = ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:53"];
        assert_eq!(parse(text).iter().map(SocketAddr::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_any_it_is_this_machine() {
        for text in ["", "nameserver\n", "nameserver example.org\n", "nameservers 192.0.2.1\n", "\0\u{fffd}"]
        {
            assert_eq!(parse(text), [SocketAddr::from(([127, 0, 0, 1], 53))], "{text:?}");
        }
    }

    #[test]
    fn the_settings_come_first() {
        let mut settings = crate::config::Config::default().dns;
        settings.servers = vec![SocketAddr::from(([192, 0, 2, 1], 5353))];
        assert_eq!(servers(&settings), settings.servers);
    }
}
