//! How many hosts a message has passed: its `Received:` lines, counted while it streams by (RFC 5321, 6.3).

/// Counts in the header only, which ends with the first empty line. Keeps no octets.
#[derive(Debug, Default)]
pub(super) struct Hops {
    count: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many octets of the name were seen at the start of the line.
    Name(usize),
    /// The rest of a line.
    Rest,
    Body,
}

impl Default for Place {
    fn default() -> Place {
        Place::Name(0)
    }
}

impl Hops {
    const NAME: &[u8] = b"received:";

    /// The next octets of the message, with CRLF line ends.
    pub(super) fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            self.place = match self.place {
                Place::Body => return,
                Place::Rest => {
                    // `byte` was looked at already, in place of the search it may be the LF itself.
                    match (byte, memchr::memchr(b'\n', rest)) {
                        (b'\n', _) => Place::Name(0),
                        (_, Some(at)) => {
                            rest = &rest[at + 1..];
                            Place::Name(0)
                        }
                        (_, None) => return,
                    }
                }
                Place::Name(0) if byte == b'\r' => Place::Name(0),
                Place::Name(0) if byte == b'\n' => Place::Body,
                Place::Name(seen) if byte.eq_ignore_ascii_case(&Self::NAME[seen]) => {
                    if seen + 1 == Self::NAME.len() {
                        self.count += 1;
                        Place::Rest
                    } else {
                        Place::Name(seen + 1)
                    }
                }
                Place::Name(_) if byte == b'\n' => Place::Name(0),
                Place::Name(_) => Place::Rest,
            };
        }
    }

    /// The `Received:` lines so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_header_are_counted_and_no_others() {
        for (message, count) in [
            ("", 0),
            ("Received: a\r\nRECEIVED: b\r\n\tc\r\nSubject: Received: d\r\n\r\nReceived: e\r\n", 2),
            (" received: a\r\nReceivedx: b\r\nrec\r\nreceived:\r\n", 1),
            ("\r\nReceived: a\r\n", 0),
            ("a\r\nReceived: b", 1),
        ] {
            let mut whole = Hops::default();
            whole.push(message.as_bytes());
            let mut bytewise = Hops::default();
            message.as_bytes().chunks(1).for_each(|byte| bytewise.push(byte));
            assert_eq!((whole.count(), bytewise.count()), (count, count), "{message:?}");
        }
    }
}
