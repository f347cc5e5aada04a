//! Domains and hosts (RFC 5321, 2.3.5 and 4.1.3; RFC 1035, 2.3.4; RFC 5890 for A-labels).
//!
//! A [`Domain`] is always in its one normal form: A-labels, lower case, no trailing dot. Two spellings of one destination
//! are one destination.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::AddressError;

/// A domain name in A-label form, lower case, without a trailing dot; 1 to 253 octets, labels of 1 to 63.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// Parses and normalises a domain; U-labels become A-labels (RFC 5891).
    ///
    /// # Errors
    /// [`AddressError`] when it is no domain name; an all-numeric last label is refused, it is a forgotten bracket.
    pub fn parse(text: &str) -> Result<Domain, AddressError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() || text.len() > 1024 {
            return Err(AddressError::Domain);
        }
        let name = if text.is_ascii() && !has_a_label(text) {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| AddressError::Domain)?
        };
        let fits = name.len() <= 253 && name.split('.').all(is_label);
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if fits && !numeric { Ok(Domain(name.into())) } else { Err(AddressError::Domain) }
    }

    /// The normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a label claims to be an A-label, which must then be checked.
fn has_a_label(text: &str) -> bool {
    text.split('.').any(|label| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--")))
}

/// Letters, digits, hyphens and the underscore that real MX names have; no hyphen at either end.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands after the `@`: a domain, or an address literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name.
    Domain(Domain),
    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321, 4.1.3).
    Literal(IpAddr),
}

impl Host {
    /// Parses a domain or an address literal.
    ///
    /// # Errors
    /// [`AddressError::Domain`] or [`AddressError::Literal`].
    pub fn parse(text: &str) -> Result<Host, AddressError> {
        let Some(inner) = text.strip_prefix('[') else {
            return Domain::parse(text).map(Host::Domain);
        };
        let inner = inner.strip_suffix(']').ok_or(AddressError::Literal)?;
        let v6 = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let address = if v6 {
            inner[5..].parse::<Ipv6Addr>().map(IpAddr::V6)
        } else {
            inner.parse::<Ipv4Addr>().map(IpAddr::V4)
        };
        address.map(Host::Literal).map_err(|_| AddressError::Literal)
    }
}

impl From<Domain> for Host {
    fn from(domain: Domain) -> Host {
        Host::Domain(domain)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(domain) => domain.fmt(f),
            Host::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Host::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_destination_has_one_spelling() {
        for (text, normal) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.example", "xn--bcher-kva.example"),
            ("_mx.example", "_mx.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Domain::parse(text).unwrap().as_str(), normal);
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let long = "a".repeat(64);
        let longer = "a.".repeat(127) + "aaa";
        for text in
            ["", ".", "a..b", "-a.b", "a-.b", "a b", "a\0b", "192.0.2.1", "a.5", &long, &longer, "xn--\u{80}"]
        {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn literals_come_back_as_they_are_written() {
        for text in ["[192.0.2.1]", "[IPv6:2001:db8::1]"] {
            assert_eq!(Host::parse(text).unwrap().to_string(), text);
        }
        for text in ["[192.0.2]", "[192.0.2.1", "[IPv6:192.0.2.1]", "[2001:db8::1]", "[]", "[x]"] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }
}
