//! Mailboxes and paths (RFC 5321, 4.1.2).
//!
//! A [`Mailbox`] keeps its local part as it was written, since only its own host may read meaning into it; the host is in
//! its normal form. Nothing else may reach a command line of ours, so a mailbox can never carry a CR, LF, `<` or `>` out
//! of its quotes.

use std::fmt;

use super::{Domain, Host};

/// Why text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// No `@`, or nothing before it.
    Incomplete,
    /// The local part is not a dot-string or a quoted string, or has over 64 octets (RFC 5321, 4.5.3.1.1).
    Local,
    /// The local part has bytes above 127, which need SMTPUTF8 (RFC 6531).
    NotAscii,
    /// The domain is none.
    Domain,
    /// The address literal is none.
    Literal,
    /// A path is not in angle brackets, or has over 256 octets (RFC 5321, 4.5.3.1.3).
    Path,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Incomplete => "an address needs a local part, \"@\" and a domain",
            AddressError::Local => "the local part is malformed or longer than 64 octets",
            AddressError::NotAscii => "the local part is not ASCII, and SMTPUTF8 is not offered",
            AddressError::Domain => "the domain is malformed",
            AddressError::Literal => "the address literal is malformed",
            AddressError::Path => "the path is not in angle brackets, or longer than 256 octets",
        })
    }
}

impl std::error::Error for AddressError {}

/// A mailbox: `local@host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: Box<str>,
    host: Host,
}

impl Mailbox {
    /// Parses `local@domain`, without angle brackets.
    ///
    /// # Errors
    /// [`AddressError`], which says what is wrong with it.
    pub fn parse(text: &str) -> Result<Mailbox, AddressError> {
        // The last @ divides: a quoted local part may have its own.
        let (local, host) = text.rsplit_once('@').ok_or(AddressError::Incomplete)?;
        if local.is_empty() {
            return Err(AddressError::Incomplete);
        }
        check_local(local)?;
        Ok(Mailbox { local: local.into(), host: Host::parse(host)? })
    }

    /// `postmaster` at a domain (RFC 5321, 4.5.1).
    pub fn postmaster(domain: Domain) -> Mailbox {
        Mailbox { local: "postmaster".into(), host: Host::Domain(domain) }
    }

    /// The local part as it was written, quotes and all.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The host, in its normal form.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if !local.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    let well_formed = match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(is_quoted_content),
        None => local.split('.').all(is_atom),
    };
    if well_formed && local.len() <= 64 { Ok(()) } else { Err(AddressError::Local) }
}

fn is_atom(atom: &str) -> bool {
    !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
}

/// qtextSMTP and quoted-pairSMTP: printable ASCII and space; `"` and `\` only behind a `\`.
fn is_quoted_content(content: &str) -> bool {
    let mut bytes = content.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'"' => false,
            b'\\' => bytes.next().is_some_and(|b| (32..=126).contains(&b)),
            _ => (32..=126).contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// The path of `<...>`: its inside, without a source route, which is ignored (RFC 5321, appendix C).
fn inside(path: &str) -> Result<&str, AddressError> {
    let inner = path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).ok_or(AddressError::Path)?;
    if path.len() > 256 {
        return Err(AddressError::Path);
    }
    match inner.strip_prefix('@') {
        Some(route) => Ok(route.split_once(':').ok_or(AddressError::Path)?.1),
        None => Ok(inner),
    }
}

/// Where trouble with a message is reported to; null (`<>`) for what must not bounce.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReversePath(Option<Mailbox>);

impl ReversePath {
    /// The null reverse-path, of bounces (RFC 5321, 4.5.5).
    pub const NULL: ReversePath = ReversePath(None);

    /// Parses a path in angle brackets; `<>` is the null path.
    ///
    /// # Errors
    /// [`AddressError`], which says what is wrong with it.
    pub fn parse(path: &str) -> Result<ReversePath, AddressError> {
        match inside(path)? {
            "" => Ok(ReversePath::NULL),
            address => Mailbox::parse(address).map(|mailbox| ReversePath(Some(mailbox))),
        }
    }

    /// The mailbox to report to; `None` for the null path. A bounce needs this mailbox, so a bounce cannot bounce.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        self.0.as_ref()
    }
}

impl From<Mailbox> for ReversePath {
    fn from(mailbox: Mailbox) -> ReversePath {
        ReversePath(Some(mailbox))
    }
}

impl fmt::Display for ReversePath {
    /// Without the angle brackets; the null path is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(mailbox) => mailbox.fmt(f),
            None => Ok(()),
        }
    }
}

/// Where a message goes: a mailbox, or `<Postmaster>` without a domain (RFC 5321, 4.1.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// A mailbox.
    Mailbox(Mailbox),
    /// The postmaster of whoever hears this.
    Postmaster,
}

impl ForwardPath {
    /// Parses a path in angle brackets.
    ///
    /// # Errors
    /// [`AddressError`], which says what is wrong with it.
    pub fn parse(path: &str) -> Result<ForwardPath, AddressError> {
        match inside(path)? {
            address if address.eq_ignore_ascii_case("postmaster") => Ok(ForwardPath::Postmaster),
            address => Mailbox::parse(address).map(ForwardPath::Mailbox),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_host_is_normalised_the_local_part_is_not() {
        let mailbox = Mailbox::parse("Jane.Doe+tag@Example.ORG").unwrap();
        assert_eq!(mailbox.to_string(), "Jane.Doe+tag@example.org");
    }

    #[test]
    fn quoted_local_parts_keep_their_quotes() {
        for text in
            [r#""a b"@example.org"#, r#""a@b"@example.org"#, r#""a\"b"@example.org"#, r#"""@example.org"#]
        {
            assert_eq!(Mailbox::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a@b@c",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            "a b@c.d",
            "a\r\n@b.c",
            "a<@b.c",
            "a>@b.c",
            "\"a@b.c",
            "\"a\"b\"@c.d",
            "\"a\\\"@b.c",
            "\"a\n\"@b.c",
            "j\u{f6}rg@b.c",
            &long,
        ] {
            assert!(Mailbox::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_source_route_is_ignored() {
        let path = ForwardPath::parse("<@relay.example,@other.example:a@b.example>").unwrap();
        assert_eq!(path, ForwardPath::Mailbox(Mailbox::parse("a@b.example").unwrap()));
        assert!(ForwardPath::parse("<@relay.example>").is_err());
    }

    #[test]
    fn paths_need_their_brackets() {
        assert_eq!(ReversePath::parse("<>"), Ok(ReversePath::NULL));
        assert_eq!(ForwardPath::parse("<postMASTER>"), Ok(ForwardPath::Postmaster));
        for text in ["", "a@b.c", "<a@b.c", "a@b.c>", "<a@b.c>>", "<<a@b.c>", "<"] {
            assert!(ReversePath::parse(text).is_err(), "{text}");
        }
        assert!(ForwardPath::parse("<>").is_err());
    }

    proptest! {
        #[test]
        fn whatever_parses_is_safe_on_a_command_line(text in "\\PC{0,40}@\\PC{0,40}") {
            if let Ok(mailbox) = Mailbox::parse(&text) {
                let written = mailbox.to_string();
                prop_assert!(written.bytes().all(|b| (32..=126).contains(&b)), "{}", written);
                prop_assert_eq!(Mailbox::parse(&written).unwrap(), mailbox);
            }
        }
    }
}
