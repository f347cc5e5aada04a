//! The header section at the start of a message (RFC 5322, 2.2), read without trust: hop count, fields by name.
//!
//! Works on a prefix, so that memory does not grow with a message. What is no header ends the section, as it does for those
//! who will read the message after us.

/// The header section of a message, or as much of it as a prefix holds.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    block: &'a [u8],
    whole: bool,
}

impl<'a> Headers<'a> {
    /// How many octets of a message are worth looking at. Trace fields are on top, and a loop of fifty hops that all sign and
    /// seal stays below it.
    pub const PREFIX: usize = 128 * 1024;

    /// The header section at the start of `message`; no more than [`Headers::PREFIX`] octets are looked at. Lines may end with
    /// CRLF or LF.
    pub fn of(message: &'a [u8]) -> Headers<'a> {
        let prefix = message.get(..Self::PREFIX).unwrap_or(message);
        let mut at = 0;
        for line in lines(prefix) {
            let fits = name(line).is_some() || (is_folded(line) && at > 0);
            // A line that the prefix cuts may yet become a field.
            let cut = at + line.len() == prefix.len() && !line.ends_with(b"\n");
            if !fits && !cut {
                return Headers { block: &prefix[..at], whole: true };
            }
            at += line.len();
        }
        Headers { block: prefix, whole: false }
    }

    /// The octets of the section, without the empty line that ends it.
    pub fn block(&self) -> &'a [u8] {
        self.block
    }

    /// Whether the end of the section was seen; if not, the prefix cut it, or the message has nothing else.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The fields from the top: name and raw body, folds and last line end included.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.block;
        std::iter::from_fn(move || {
            let mut end = 0;
            for line in lines(rest) {
                if end > 0 && !is_folded(line) {
                    break;
                }
                end += line.len();
            }
            let (field, after) = rest.split_at(end);
            rest = after;
            let name = name(field)?;
            let colon = memchr::memchr(b':', field)?;
            Some((name, &field[colon + 1..]))
        })
    }

    /// How many `Received:` fields there are: the hops so far (RFC 5321, 6.3).
    pub fn hops(&self) -> usize {
        self.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"received")).count()
    }

    /// The raw body of the first field of this name, in any case of letters.
    pub fn get(&self, wanted: &str) -> Option<&'a [u8]> {
        self.fields().find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes())).map(|(_, body)| body)
    }
}

/// The lines of `octets`, each with its line end.
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split_inclusive(|octet| *octet == b'\n')
}

/// A line that continues the field above it.
fn is_folded(line: &[u8]) -> bool {
    // A line of white space alone is not the empty line that ends the section (RFC 5322, 4.2).
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The field name at the start of a line, if one is there; spaces before the colon are forgiven (RFC 5322, 4.5).
fn name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    let fits = !name.is_empty() && name.iter().all(|octet| (33..=126).contains(octet));
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hops_are_fields_not_lines() {
        let message =
            b"RECEIVED: from a\r\n by b\r\nreceived : from c\r\n\tReceived: x\r\nSubject: Received: y\r\n\
                        Received-SPF: pass\r\n\r\nReceived: in the body\r\n";
        let headers = Headers::of(message);
        assert_eq!((headers.hops(), headers.is_whole(), headers.fields().count()), (2, true, 4));
        assert_eq!(headers.get("SUBJECT"), Some(b" Received: y\r\n".as_slice()));
        assert_eq!(headers.get("To"), None);
        assert!(headers.block().ends_with(b"pass\r\n"));
    }

    #[test]
    fn what_is_no_field_ends_the_section() {
        for (message, fields, whole) in [
            ("", 0, false),
            ("\r\nA: b\r\n", 0, true),
            ("hello\r\nA: b\r\n", 0, true),
            (" A: b\r\n", 0, true),
            ("A: b\r\nhello\r\nB: c\r\n", 1, true),
            ("A: b\r\n: c\r\n", 1, true),
            ("A: b\nB: c\n\nD: e\n", 2, true),
            ("A: b\r\n \r\nB: c\r\n", 2, false),
            ("A: b\r\nB", 1, false),
        ] {
            let headers = Headers::of(message.as_bytes());
            assert_eq!((headers.fields().count(), headers.is_whole()), (fields, whole), "{message:?}");
        }
    }

    #[test]
    fn an_endless_header_is_read_to_its_bound() {
        let message = b"Received: x\r\n".repeat(100_000);
        let headers = Headers::of(&message);
        assert_eq!((headers.block().len(), headers.is_whole()), (Headers::PREFIX, false));
        assert!(headers.hops() > 10_000);
    }

    proptest! {
        #[test]
        fn any_octets_give_a_section_that_is_their_start(message in prop::collection::vec(
            prop::sample::select(b"A: \r\n\t\xff".to_vec()), 0..60)) {
            let headers = Headers::of(&message);
            prop_assert!(message.starts_with(headers.block()));
            prop_assert!(headers.hops() <= headers.fields().count());
            let again = Headers::of(headers.block());
            prop_assert_eq!(again.block(), headers.block());
        }
    }
}
