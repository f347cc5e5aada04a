//! The destination: the next hop that a route leads to. Connections are counted by it, and it backs off as one.

use std::fmt;
use std::net::IpAddr;

use crate::smtp::{Domain, Host};

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A domain, by its MX records.
    Domain(Domain),
    /// An address literal: that address, on the usual port.
    Literal(IpAddr),
    /// A smart host, by its name: its A and AAAA records, no MX.
    Smart(Domain, u16),
    /// A smart host, by its address.
    SmartLiteral(IpAddr, u16),
}

impl Destination {
    /// The destination of a recipient's host where no route says otherwise.
    pub fn of(host: &Host) -> Destination {
        match host {
            Host::Domain(domain) => Destination::Domain(domain.clone()),
            Host::Literal(address) => Destination::Literal(*address),
        }
    }

    /// The inverse of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Destination> {
        let Some(rest) = text.strip_prefix("smtp://") else {
            return Host::parse(text).ok().map(|host| Destination::of(&host));
        };
        let (host, port) = rest.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'))?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        match Host::parse(host).ok()? {
            Host::Domain(domain) => Some(Destination::Smart(domain, port)),
            Host::Literal(address) => Some(Destination::SmartLiteral(address, port)),
        }
    }
}

impl fmt::Display for Destination {
    /// `example.org`, `[192.0.2.1]`, or `smtp://smart.example:587`: one form each, the form of the log and the queue.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Domain(domain) => domain.fmt(f),
            Destination::Literal(address) => Host::Literal(*address).fmt(f),
            Destination::Smart(domain, port) => write!(f, "smtp://{domain}:{port}"),
            Destination::SmartLiteral(address, port) => {
                write!(f, "smtp://{}:{port}", Host::Literal(*address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        for text in [
            "example.org",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
            "smtp://smart.example:587",
            "smtp://[192.0.2.1]:25",
            "smtp://[IPv6:::1]:25",
        ] {
            assert_eq!(Destination::parse(text).map(|d| d.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "smtp://", "smtp://a", "smtp://a:0", "smtp://a:x", "smtp://:25", "http://a:1"] {
            assert_eq!(Destination::parse(wrong), None, "{wrong}");
        }
    }
}
