//! The dot, on the way out (RFC 5321, 4.5.2).
//!
//! [`Stuffer`] turns the octets of a message into what stands between 354 and the reply to the final dot: lines that begin
//! with a dot get another, every bare CR or LF becomes CRLF (RFC 5321, 2.3.8: nothing else is a line end), and the end is
//! CRLF `.` CRLF. So what we emit can never be read as two messages by a host that reads line ends differently.

/// Stuffs a message that arrives in pieces. Small state, no allocation of its own.
#[derive(Debug)]
pub struct Stuffer {
    line_start: bool,
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Stuffer {
        Stuffer { line_start: true, after_cr: false }
    }
}

impl Stuffer {
    /// Appends `piece`, stuffed, to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 64 + 2);
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            if self.after_cr {
                // The CR is only written here, once we know what followed it.
                out.extend_from_slice(b"\r\n");
                (self.after_cr, self.line_start) = (false, true);
                if first == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            if self.line_start && first == b'.' {
                out.push(b'.');
            }
            let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            out.extend_from_slice(&rest[..end]);
            self.line_start = false;
            match rest.get(end) {
                Some(b'\r') => self.after_cr = true,
                Some(_) => {
                    out.extend_from_slice(b"\r\n");
                    self.line_start = true;
                }
                None => return,
            }
            rest = &rest[end + 1..];
        }
    }

    /// Appends the end of the message: a line end if there was none, and the final dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.after_cr || !self.line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = Stuffer::default();
        pieces.iter().for_each(|piece| stuffer.push(piece, &mut out));
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_and_ends_are_made() {
        for (message, wire) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"),
            ("a.b\r\n", "a.b\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\rb\r", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r\r\nb", "a\r\n\r\nb\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&stuffed(&[message.as_bytes()])), wire, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference_and_the_dot_stands_only_at_the_end(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n.ab".to_vec()), 0..60),
            cut in 0usize..60,
        ) {
            let cut = cut.min(bytes.len());
            let whole = stuffed(&[&bytes]);
            prop_assert_eq!(&whole, &stuffed(&[&bytes[..cut], &bytes[cut..]]));
            let wire = String::from_utf8(whole).unwrap();
            let padded = format!("\r\n{wire}");
            prop_assert_eq!(padded.find("\r\n.\r\n"), Some(padded.len() - 5));
            prop_assert!(!wire.replace("\r\n", "").contains(['\r', '\n']));
        }
    }
}
