//! One value of the file as one value of the settings. Each reader says in words what it wanted, at the place that is wrong:
//! of a list that is the entry, not the list.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::access::KeyPair;
use super::settings::Network;
use super::tls::{Roots, TlsMode};
use super::units;
use super::watching::LogFormat;
use crate::mail::{Destination, Scheme};
use crate::smtp::{Domain, Host};

/// What is wrong with the octets `span` of the file.
#[derive(Debug)]
pub struct Wrong {
    pub span: Range<usize>,
    pub words: String,
}

/// A value as the parser gives it.
pub type Value<'a> = Spanned<DeValue<'a>>;

fn wrong<T>(value: &Value, words: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { span: value.span(), words: words.into() })
}

fn text<'a>(value: &'a Value, wanted: &str) -> Result<&'a str, Wrong> {
    let found = value.get_ref();
    found.as_str().map_or_else(|| wrong(value, format!("{wanted}, not {}", a(found))), Ok)
}

/// The kind of a value, as a person calls it.
fn a(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a bare number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub fn duration(value: &Value) -> Result<Duration, Wrong> {
    if let DeValue::Integer(number) = value.get_ref() {
        return units::duration(number.as_str()).or_else(|words| wrong(value, words));
    }
    let text = text(value, "a duration is a text like \"30s\"")?;
    units::duration(text).or_else(|words| wrong(value, words))
}

/// A duration, or `"never"`.
pub fn duration_or_never(value: &Value) -> Result<Option<Duration>, Wrong> {
    if value.get_ref().as_str() == Some("never") { Ok(None) } else { duration(value).map(Some) }
}

pub fn size(value: &Value) -> Result<u64, Wrong> {
    if value.get_ref().is_integer() {
        return number(value);
    }
    let text = text(value, "a size is a text like \"50 MiB\", or a number of octets")?;
    units::size(text).or_else(|words| wrong(value, words))
}

/// A whole number of any unsigned kind; the field it goes to bounds it.
pub fn number<T: TryFrom<i64>>(value: &Value) -> Result<T, Wrong> {
    let Some(integer) = value.get_ref().as_integer() else {
        return wrong(value, format!("a whole number is wanted here, not {}", a(value.get_ref())));
    };
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
    match number.map(T::try_from) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) if number < Some(0) => wrong(value, "this number must not be negative"),
        _ => wrong(value, "this number is too large"),
    }
}

pub fn domain(value: &Value) -> Result<Domain, Wrong> {
    let text = text(value, "a domain name is a text like \"relay.example.org\"")?;
    Domain::parse(text).or_else(|_| wrong(value, format!("\"{text}\" is no domain name")))
}

pub fn path(value: &Value) -> Result<PathBuf, Wrong> {
    match text(value, "a path is a text like \"/var/spool/sendoff\"")? {
        "" => wrong(value, "a path cannot be empty"),
        path if path.contains('\0') => wrong(value, "a path cannot have a NUL in it"),
        path => Ok(PathBuf::from(path)),
    }
}

/// A path, or `"none"`.
pub fn path_or_none(value: &Value) -> Result<Option<PathBuf>, Wrong> {
    if value.get_ref().as_str() == Some("none") { Ok(None) } else { path(value).map(Some) }
}

/// `"system"`, or the path of a PEM file.
pub fn roots(value: &Value) -> Result<Roots, Wrong> {
    if value.get_ref().as_str() == Some("system") { Ok(Roots::System) } else { path(value).map(Roots::File) }
}

pub fn tls_mode(value: &Value) -> Result<TlsMode, Wrong> {
    const HOW: &str = "write \"off\", \"opportunistic\", \"require\" or \"verify\"";
    let text = text(value, HOW)?;
    let known = TlsMode::ALL.into_iter().find(|(word, _)| *word == text);
    known.map_or_else(
        || wrong(value, format!("\"{text}\" is nothing to ask of a host: {HOW}")),
        |(_, mode)| Ok(mode),
    )
}

/// `{ "example.org" = "verify" }`: patterns or address literals, each with a mode.
pub fn policy(value: &Value) -> Result<Vec<(String, TlsMode)>, Wrong> {
    let Some(entries) = value.get_ref().as_table() else {
        return wrong(
            value,
            "`policy` is a table: write [tls.policy], and \"example.org\" = \"verify\" below",
        );
    };
    let mut table = Vec::new();
    for (key, value) in entries {
        let text = key.get_ref();
        let wrong = |words: String| Wrong { span: key.span(), words };
        if value.get_ref().is_table() {
            return Err(wrong("a name has dots, so it must stand in quotes".to_owned()));
        }
        let literal = || Host::parse(text).ok().filter(|host| matches!(host, Host::Literal(_)));
        let name = pattern(text).or_else(|| literal().map(|host| host.to_string()));
        let name = name.ok_or_else(|| {
            wrong(format!(
                "\"{text}\" is no next hop: write a domain, \"*.\" and a domain, or \"[192.0.2.1]\""
            ))
        })?;
        if table.iter().any(|(known, _)| *known == name) {
            return Err(wrong(format!("\"{name}\" stands here twice")));
        }
        table.push((name, tls_mode(value)?));
    }
    Ok(table)
}

pub fn yes_or_no(value: &Value) -> Result<bool, Wrong> {
    let found = value.get_ref();
    found.as_bool().map_or_else(|| wrong(value, format!("write true or false, not {}", a(found))), Ok)
}

/// `{ certificate = "chain.pem", key = "key.pem" }`.
pub fn key_pair(value: &Value) -> Result<KeyPair, Wrong> {
    const HOW: &str = "write { certificate = \"chain.pem\", key = \"key.pem\" }";
    let Some(table) = value.get_ref().as_table() else {
        return wrong(value, format!("{HOW}, not {}", a(value.get_ref())));
    };
    let entry = |name: &str| table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
    match (entry("certificate"), entry("key")) {
        (Some(certificate), Some(key)) if table.len() == 2 => {
            Ok(KeyPair { certificate: path(certificate)?, key: path(key)? })
        }
        _ => wrong(value, HOW),
    }
}

pub fn log_format(value: &Value) -> Result<LogFormat, Wrong> {
    match text(value, "a log's format is \"text\" or \"json\"")? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => wrong(value, format!("\"{other}\" is no format of the log: write \"text\" or \"json\"")),
    }
}

/// A list, each entry read by `entry`. A single value is refused rather than taken for a list of one: the file then reads
/// the same to everyone.
pub fn list<T>(entry: impl Fn(&Value) -> Result<T, Wrong>) -> impl Fn(&Value) -> Result<Vec<T>, Wrong> {
    move |value| match value.get_ref().as_array() {
        Some(array) => array.iter().map(&entry).collect(),
        None => wrong(value, format!("a list is wanted here, like [\"...\"], not {}", a(value.get_ref()))),
    }
}

pub fn address(value: &Value) -> Result<IpAddr, Wrong> {
    let text = text(value, "an IP address is a text like \"192.0.2.1\"")?;
    text.parse().or_else(|_| wrong(value, format!("\"{text}\" is no IP address")))
}

/// `127.0.0.1:2525` or `[::1]:2525`.
pub fn listen_address(value: &Value) -> Result<SocketAddr, Wrong> {
    const HOW: &str = "write an address and a port, like \"127.0.0.1:2525\" or \"[::1]:2525\"";
    let text = text(value, HOW)?;
    text.parse().or_else(|_| {
        wrong(value, format!("\"{text}\" cannot be listened on: {HOW}; names are not looked up"))
    })
}

/// `192.0.2.1`, `::1` (port 53), `192.0.2.1:5353` or `[::1]:53`.
pub fn name_server(value: &Value) -> Result<SocketAddr, Wrong> {
    const HOW: &str = "write an address, with a port if it is not 53: \"192.0.2.1\" or \"[::1]:5353\"";
    let text = text(value, HOW)?;
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let server =
        text.parse().or_else(|_| bare.parse().map(|address: IpAddr| SocketAddr::from((address, 53))));
    match server {
        Ok(server) if server.port() != 0 => Ok(server),
        Ok(_) => wrong(value, "no nameserver answers at port 0"),
        Err(_) => wrong(value, format!("\"{text}\" is no nameserver: {HOW}")),
    }
}

pub fn network(value: &Value) -> Result<Network, Wrong> {
    const HOW: &str = "write an address or a block, like \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"";
    let text = text(value, HOW)?;
    Network::parse(text).map_or_else(|| wrong(value, format!("\"{text}\" is no network: {HOW}")), Ok)
}

/// `smtp://smart.example:587`; port 25 when none is named, or 465 of `smtps://`. An address may stand with or without its brackets.
pub fn smart_host(value: &Value) -> Result<Destination, Wrong> {
    const HOW: &str =
        "write a smart host like \"smtp://smart.example.net:587\" or \"smtps://smart.example.net\"";
    if value.get_ref().is_table() {
        return wrong(
            value,
            "a pattern has dots, so it must stand in quotes: \"example.net\" = \"smtp://...\"",
        );
    }
    let text = text(value, HOW)?;
    parse_smart_host(text).map_or_else(|| wrong(value, format!("\"{text}\" is no smart host: {HOW}")), Ok)
}

fn parse_smart_host(text: &str) -> Option<Destination> {
    let (scheme, rest) = Scheme::split(text)?;
    // A colon behind the bracket of a literal, or the only one, divides the port off.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, port.parse().ok()?),
        _ => (rest, scheme.port()),
    };
    let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
    let literal = bare.parse::<IpAddr>().ok().map(Host::Literal);
    match literal.or_else(|| Host::parse(host).ok())? {
        _ if port == 0 => None,
        Host::Domain(domain) => Some(Destination::Smart(scheme, domain, port)),
        Host::Literal(address) => Some(Destination::SmartLiteral(scheme, address, port)),
    }
}

/// A pattern in its normal form: `*`, a domain, or `*.` and a domain.
pub fn pattern(text: &str) -> Option<String> {
    match text.strip_prefix("*.") {
        _ if text == "*" => Some(text.to_owned()),
        Some(rest) => Domain::parse(rest).ok().map(|domain| format!("*.{domain}")),
        None => Domain::parse(text).ok().map(|domain| domain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smart_hosts_are_read_with_and_without_port_and_brackets() {
        for (text, shown) in [
            ("smtp://Smart.example:587", "smtp://smart.example:587"),
            ("smtp://smart.example", "smtp://smart.example:25"),
            ("smtp://192.0.2.1:26", "smtp://[192.0.2.1]:26"),
            ("smtp://[192.0.2.1]", "smtp://[192.0.2.1]:25"),
            ("smtp://[2001:db8::1]:26", "smtp://[IPv6:2001:db8::1]:26"),
            ("smtp://[IPv6:2001:db8::1]", "smtp://[IPv6:2001:db8::1]:25"),
            ("smtps://a", "smtps://a:465"),
            ("smtps://[192.0.2.1]:26", "smtps://[192.0.2.1]:26"),
        ] {
            assert_eq!(parse_smart_host(text).map(|d| d.to_string()).as_deref(), Some(shown), "{text}");
        }
        for text in
            ["", "smart.example", "smtp://", "smtp://a:0", "smtp://a:x", "smtp://a:99999", "smtp://a/"]
        {
            assert_eq!(parse_smart_host(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_have_one_spelling() {
        for (text, normal) in [
            ("*", Some("*")),
            ("Example.NET.", Some("example.net")),
            ("*.Example.net", Some("*.example.net")),
            ("*example.net", None),
            ("a.*.net", None),
            ("", None),
            ("*.", None),
        ] {
            assert_eq!(pattern(text).as_deref(), normal, "{text}");
        }
    }
}
