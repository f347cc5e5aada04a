//! A request, out of octets: pure. Only what is served is understood.

use std::net::IpAddr;

/// The longest head of a request, in octets.
pub(super) const MOST: usize = 8 << 10;
/// The most header fields.
const FIELDS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Without the query.
    pub(super) path: String,
    /// GET; HEAD otherwise.
    pub(super) with_body: bool,
}

/// What was made of the octets so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// There is more to come.
    Partial,
    /// A request.
    Whole(Request),
    /// Not one that is answered: the status, and words.
    Refused(u16, &'static str),
}

/// Reads the head of a request.
pub(super) fn read(octets: &[u8]) -> Read {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(octets) {
        Ok(status) if status.is_complete() => {}
        Ok(_) if octets.len() >= MOST => return Read::Refused(431, "the request is too long"),
        Ok(_) => return Read::Partial,
        Err(httparse::Error::TooManyHeaders) => return Read::Refused(431, "too many header fields"),
        Err(_) => return Read::Refused(400, "this is no HTTP request"),
    }
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().and_then(|field| std::str::from_utf8(field.value).ok());
    if hosts.next().is_some() || !host.is_some_and(is_loopback) {
        return Read::Refused(421, "this host is asked for by a loopback address, or as localhost");
    }
    let with_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Read::Refused(405, "only GET and HEAD"),
    };
    let path = request.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().to_owned();
    Read::Whole(Request { path, with_body })
}

/// Whether a `Host` field names this machine to itself: `localhost`, 127.0.0.0/8 or ::1, with a port or without.
fn is_loopback(host: &str) -> bool {
    let host = host.trim();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Read {
        read(text.as_bytes())
    }

    #[test]
    fn what_is_served_is_understood() {
        let whole = |path: &str, with_body| Read::Whole(Request { path: path.to_owned(), with_body });
        let get = "GET /metrics?a=b HTTP/1.1\r\nHost: 127.0.0.1:9025\r\n\r\n";
        assert_eq!(of(get), whole("/metrics", true));
        assert_eq!(of("HEAD / HTTP/1.0\r\nhost: LocalHost\r\n\r\n"), whole("/", false));
        assert_eq!(of("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), whole("/", true));
        for end in 0..get.len() {
            assert_eq!(of(&get[..end]), Read::Partial, "{end}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_status() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(FIELDS + 1));
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MOST));
        for (text, status) in [
            ("EHLO client.test\r\n\r\n", 400),
            ("\0\0", 400),
            ("GET / HTTP/1.1\r\n\r\n", 421),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 421),
            ("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", 421),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            ("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            (&many, 431),
            (&long, 431),
        ] {
            assert!(
                matches!(of(text), Read::Refused(found, _) if found == status),
                "{text:?}: {:?}",
                of(text)
            );
        }
    }

    proptest! {
        #[test]
        fn any_octets_give_a_value(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&octets);
        }
    }
}
