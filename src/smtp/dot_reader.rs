//! The dot, on the way in (RFC 5321, 4.1.1.4 and 4.5.2).
//!
//! [`DotReader`] finds the end of the data, which is CRLF `.` CRLF and nothing else, and takes the stuffed dots out. A bare
//! CR or LF in the data is a fault: hosts that read it as a line end see another end of the data, and that is how mail is
//! smuggled (CVE-2023-51764 and its siblings). Such a message is refused and its connection closed. The rejected
//! alternative, to repair the line ends, would accept what another host may have read as two messages.
//!
//! A line may have up to [`DotReader::MOST_LINE`] octets. RFC 5321, 4.5.3.1.6 asks for 1,000, but programs that write HTML
//! on one line are common, a relay that streams has no need of the limit, and the next host can refuse for itself. NULs
//! pass as they are: they end no line, and to judge content is not a relay's office.

/// What is wrong with data; it is still read to its end, but is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A CR without an LF, or an LF without a CR: the two sides may disagree on where the data ends.
    BareLineEnd,
    /// A line of more than [`DotReader::MOST_LINE`] octets.
    LongLine,
}

/// Where the reader stands in the strict reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    /// After a dot at the start of a line; it has not been given out.
    Dot,
    DotCr,
    Text,
    Cr,
}

/// Where the reader stands if any CR or LF were a line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lax {
    LineStart,
    Dot,
    Text,
    /// After a line of one dot.
    Over,
}

/// Reads the data of one message, which arrives in pieces.
#[derive(Debug)]
pub struct DotReader {
    place: Place,
    lax: Lax,
    line: usize,
    fault: Option<Fault>,
}

impl Default for DotReader {
    fn default() -> DotReader {
        DotReader { place: Place::LineStart, lax: Lax::LineStart, line: 0, fault: None }
    }
}

impl DotReader {
    /// The most octets of a line, its CRLF included.
    pub const MOST_LINE: usize = 64 * 1024;

    /// Reads on in `piece` and appends what belongs to the message to `out`; `Some(used)` when the data ended with the
    /// first `used` octets of the piece, which must be the last piece then. After a fault nothing is appended any more.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            if self.fault.is_some() {
                at += 1;
                if self.condemned(byte) {
                    return Some(at);
                }
                continue;
            }
            match (self.place, byte) {
                (Place::LineStart, b'.') => self.place = Place::Dot,
                (Place::Dot, b'\r') => self.place = Place::DotCr,
                (Place::DotCr, b'\n') => return Some(at + 1),
                (Place::Cr, b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    (self.place, self.line) = (Place::LineStart, 0);
                }
                (Place::Cr | Place::DotCr, _) => self.find(Fault::BareLineEnd, Lax::LineStart),
                (Place::Dot, b'\n') => self.find(Fault::BareLineEnd, Lax::Dot),
                (_, b'\n') => self.find(Fault::BareLineEnd, Lax::Text),
                (_, b'\r') => self.place = Place::Cr,
                _ => {
                    let rest = &piece[at..];
                    let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    out.extend_from_slice(&rest[..run]);
                    (self.place, self.line) = (Place::Text, self.line + run);
                    at += run;
                    if self.line + 2 > Self::MOST_LINE {
                        self.find(Fault::LongLine, Lax::Text);
                    }
                    continue;
                }
            }
            // A fault is found before its octet is used: the octet is then read once more, in the condemned way.
            at += usize::from(self.fault.is_none());
        }
        None
    }

    /// The worst that was found so far.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether a host that takes bare line ends would see the end of the data in the last octets pushed: such a client
    /// waits for its reply now, and no true end will come.
    pub fn seems_over(&self) -> bool {
        self.fault == Some(Fault::BareLineEnd) && self.lax == Lax::Over
    }

    fn find(&mut self, fault: Fault, lax: Lax) {
        // `\r\n.\rX`: the lax reading has seen a line of one dot.
        self.lax = if self.place == Place::DotCr { Lax::Over } else { lax };
        self.fault = Some(fault);
    }

    /// One octet of data that is worth nothing any more; whether it ends there.
    fn condemned(&mut self, byte: u8) -> bool {
        self.lax = match (self.lax, byte) {
            (Lax::Dot | Lax::Over, b'\r' | b'\n') => Lax::Over,
            (_, b'\r' | b'\n') => Lax::LineStart,
            (Lax::LineStart | Lax::Over, b'.') => Lax::Dot,
            _ => Lax::Text,
        };
        let bare = (byte == b'\n') != matches!(self.place, Place::Cr | Place::DotCr);
        self.place = match (self.place, byte) {
            (Place::DotCr, b'\n') => return true,
            (Place::Cr, b'\n') => Place::LineStart,
            (Place::LineStart, b'.') => Place::Dot,
            (Place::Dot, b'\r') => Place::DotCr,
            (_, b'\r') => Place::Cr,
            _ => Place::Text,
        };
        if bare {
            self.fault = Some(Fault::BareLineEnd);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Stuffer;
    use proptest::prelude::*;

    /// Message, octets used if it ended, fault, and whether it seems over.
    fn read(pieces: &[&[u8]]) -> (Vec<u8>, Option<usize>, Option<Fault>, bool) {
        let (mut reader, mut out, mut before) = (DotReader::default(), Vec::new(), 0);
        for piece in pieces {
            if let Some(used) = reader.push(piece, &mut out) {
                return (out, Some(before + used), reader.fault(), reader.seems_over());
            }
            before += piece.len();
        }
        (out, None, reader.fault(), reader.seems_over())
    }

    fn bytewise(text: &[u8]) -> Vec<&[u8]> {
        text.chunks(1).collect()
    }

    #[test]
    fn the_end_is_found_and_the_dots_are_taken_out() {
        for (wire, message) in [
            (".\r\n", ""),
            ("a\r\n.\r\n", "a\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            (".a\r\n...\r\n.\r\n", "a\r\n..\r\n"),
            ("a.\r\n\r\n.\r\n", "a.\r\n\r\n"),
            ("a\0b\r\n.\r\n", "a\0b\r\n"),
        ] {
            let next = format!("{wire}QUIT\r\n");
            for got in [read(&[next.as_bytes()]), read(&bytewise(next.as_bytes()))] {
                assert_eq!(got, (message.into(), Some(wire.len()), None, false), "{wire:?}");
            }
        }
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_the_data() {
        for (wire, seems_over) in [
            ("a\n.\r\n", true),
            ("a\r.\r\n", true),
            ("a\n.\n", true),
            ("a\r\n.\n", true),
            ("a\r\n.\rb", false),
            ("a\r\n.\r\r\n", true),
            ("a\r\n\n.\r\n", true),
            ("a\n.\nMAIL", false),
            ("a\n..\r\n", false),
            ("\n", false),
            ("a\rb", false),
            (".\n", true),
        ] {
            let fault = Some(Fault::BareLineEnd);
            for pieces in [vec![wire.as_bytes()], bytewise(wire.as_bytes())] {
                let (_, end, found, over) = read(&pieces);
                assert_eq!((end, found, over), (None, fault, seems_over), "{wire:?}");
            }
            // The true end is still found.
            let ended = format!("{wire}\r\n.\r\n");
            assert_eq!(read(&[ended.as_bytes()]).1, Some(ended.len()), "{wire:?}");
        }
    }

    #[test]
    fn a_line_has_its_bound_and_what_follows_is_watched_still() {
        let fits = "x".repeat(DotReader::MOST_LINE - 2);
        assert_eq!(read(&[fits.as_bytes(), b"\r\n.\r\n"]).2, None);
        let long = fits + "x";
        assert_eq!(read(&[long.as_bytes(), b"\r\n.\r\n"]).1, Some(long.len() + 5));
        assert_eq!(read(&[long.as_bytes(), b"\r\n.\r\n"]).2, Some(Fault::LongLine));
        assert_eq!(read(&[long.as_bytes(), b"\r\na\r\n"]).2, Some(Fault::LongLine));
        assert_eq!(read(&[long.as_bytes(), b"\r\na\n"]).2, Some(Fault::BareLineEnd));
        assert_eq!(read(&[long.as_bytes(), b"\ra"]).2, Some(Fault::BareLineEnd));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.ab\0".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            prop_assert_eq!(read(&[&bytes]), read(&[&bytes[..cut], &bytes[cut..]]));
            prop_assert_eq!(read(&[&bytes]), read(&bytewise(&bytes)));
        }

        #[test]
        fn what_ends_without_fault_ends_at_the_first_true_end(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.a".to_vec()), 0..60),
        ) {
            let (_, end, _, _) = read(&[&bytes]);
            let wire = format!("\r\n{}", String::from_utf8(bytes).unwrap());
            prop_assert_eq!(end, wire.find("\r\n.\r\n").map(|at| at + 3));
        }

        #[test]
        fn what_is_stuffed_comes_back(lines in prop::collection::vec("[.a]{0,4}", 0..10)) {
            let message: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            let (mut stuffer, mut wire) = (Stuffer::default(), Vec::new());
            stuffer.push(message.as_bytes(), &mut wire);
            stuffer.finish(&mut wire);
            prop_assert_eq!(read(&[&wire]), (message.into_bytes(), Some(wire.len()), None, false));
        }
    }
}
