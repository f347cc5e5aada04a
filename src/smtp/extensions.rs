//! What a server offers in its reply to EHLO (RFC 5321, 4.1.1.1). What is not understood is not used.

use super::Reply;

/// The extensions a server offers. All absent after HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// SIZE (RFC 1870): offered, and the most octets it takes; `Some(0)` is "no fixed maximum".
    pub size: Option<u64>,
    /// AUTH (RFC 4954): the mechanisms, in upper case.
    pub auth: Vec<String>,
}

impl Extensions {
    /// Reads a positive reply to EHLO. Its first line is the greeting; keywords are not case-sensitive.
    pub fn of(reply: &Reply) -> Extensions {
        let mut extensions = Extensions::default();
        for line in reply.lines().iter().skip(1) {
            // "AUTH=LOGIN" is how servers said it before there was a standard, and some still do beside the other.
            let (keyword, rest) = match line.get(..5) {
                Some(start) if start.eq_ignore_ascii_case("AUTH=") => ("AUTH", &line[5..]),
                _ => line.split_once([' ', '\t']).unwrap_or((line, "")),
            };
            let mut words = rest.split_ascii_whitespace();
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => extensions.pipelining = true,
                "8BITMIME" => extensions.eight_bit_mime = true,
                "ENHANCEDSTATUSCODES" => extensions.enhanced_status_codes = true,
                "STARTTLS" => extensions.starttls = true,
                // A number we cannot read is no limit we could keep.
                "SIZE" => extensions.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                "AUTH" => extensions.auth.extend(words.map(str::to_ascii_uppercase)),
                _ => {}
            }
        }
        extensions
    }

    /// The limit that `octets` would exceed, if the server named one.
    pub fn too_large(&self, octets: u64) -> Option<u64> {
        self.size.filter(|limit| *limit > 0 && octets > *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::ReplyReader;

    #[test]
    fn keywords_are_read_the_greeting_is_not() {
        let mut reader = ReplyReader::default();
        for line in ["250-PIPELINING.example hello", "250-size 1000", "250-8bitmime", "250-XYZZY 1 2"] {
            assert_eq!(reader.line(line.as_bytes()), Ok(None));
        }
        let reply = reader.line(b"250 ENHANCEDSTATUSCODES").unwrap().unwrap();
        let extensions = Extensions::of(&reply);
        assert!(!extensions.pipelining && extensions.eight_bit_mime && extensions.enhanced_status_codes);
        assert_eq!((extensions.too_large(1000), extensions.too_large(1001)), (None, Some(1000)));
    }

    #[test]
    fn mechanisms_are_gathered_from_both_spellings() {
        let mut reader = ReplyReader::default();
        for line in ["250-x", "250-auth plain Login", "250-AUTH=LOGIN CRAM-MD5"] {
            assert_eq!(reader.line(line.as_bytes()), Ok(None));
        }
        let reply = reader.line(b"250 STARTTLS").unwrap().unwrap();
        assert_eq!(Extensions::of(&reply).auth, ["PLAIN", "LOGIN", "LOGIN", "CRAM-MD5"]);
    }

    #[test]
    fn a_size_of_zero_or_nonsense_is_no_limit() {
        for line in ["x", "SIZE", "SIZE 0", "SIZE many"] {
            let mut reader = ReplyReader::default();
            assert_eq!(reader.line(b"250-x"), Ok(None));
            let reply = reader.line(format!("250 {line}").as_bytes()).unwrap().unwrap();
            assert_eq!(Extensions::of(&reply).too_large(u64::MAX), None);
        }
    }
}
