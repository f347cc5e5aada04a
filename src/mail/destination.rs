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
    Smart(Scheme, Domain, u16),
    /// A smart host, by its address.
    SmartLiteral(Scheme, IpAddr, u16),
}

/// How a session with a smart host begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// In the clear; STARTTLS follows where it is offered (RFC 3207).
    Smtp,
    /// With a TLS handshake (RFC 8314, 3.3).
    Smtps,
}

impl Scheme {
    /// The scheme of an URL, and what follows it.
    pub fn split(text: &str) -> Option<(Scheme, &str)> {
        let smtp = text.strip_prefix("smtp://").map(|rest| (Scheme::Smtp, rest));
        smtp.or_else(|| text.strip_prefix("smtps://").map(|rest| (Scheme::Smtps, rest)))
    }

    /// The port where none is named.
    pub fn port(self) -> u16 {
        match self {
            Scheme::Smtp => 25,
            Scheme::Smtps => 465,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Smtp => "smtp",
            Scheme::Smtps => "smtps",
        })
    }
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
        let Some((scheme, rest)) = Scheme::split(text) else {
            return Host::parse(text).ok().map(|host| Destination::of(&host));
        };
        let (host, port) = rest.rsplit_once(':').filter(|(host, _)| !host.ends_with(':'))?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        match Host::parse(host).ok()? {
            Host::Domain(domain) => Some(Destination::Smart(scheme, domain, port)),
            Host::Literal(address) => Some(Destination::SmartLiteral(scheme, address, port)),
        }
    }

    /// The domain, the smart host's name, or the address.
    pub fn host(&self) -> Host {
        match self {
            Destination::Domain(domain) | Destination::Smart(_, domain, _) => Host::Domain(domain.clone()),
            Destination::Literal(address) | Destination::SmartLiteral(_, address, _) => {
                Host::Literal(*address)
            }
        }
    }

    /// A smart host's scheme and port.
    pub fn smart(&self) -> Option<(Scheme, u16)> {
        match self {
            Destination::Smart(scheme, _, port) | Destination::SmartLiteral(scheme, _, port) => {
                Some((*scheme, *port))
            }
            Destination::Domain(_) | Destination::Literal(_) => None,
        }
    }
}

impl fmt::Display for Destination {
    /// `example.org`, `[192.0.2.1]`, or `smtp://smart.example:587`: one form each, the form of the log and the queue.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Domain(domain) => domain.fmt(f),
            Destination::Literal(address) => Host::Literal(*address).fmt(f),
            Destination::Smart(scheme, _, port) | Destination::SmartLiteral(scheme, _, port) => {
                write!(f, "{scheme}://{}:{port}", self.host())
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
            "smtps://smart.example:465",
            "smtps://[192.0.2.1]:465",
        ] {
            assert_eq!(Destination::parse(text).map(|d| d.to_string()).as_deref(), Some(text));
        }
        for wrong in ["", "smtp://", "smtp://a", "smtp://a:0", "smtp://a:x", "smtp://:25", "http://a:1"] {
            assert_eq!(Destination::parse(wrong), None, "{wrong}");
        }
    }
}
