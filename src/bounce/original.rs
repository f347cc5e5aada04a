//! The header section of the message a letter is about, as it can be sent back.

use crate::mail::{Headers, ascii};

/// The header section of a message, as it can be shown.
pub struct Original {
    /// Lines of at most 998 octets that end with CRLF; without NUL and stray CR, which no MIME part may have.
    pub octets: Vec<u8>,
    /// Whether any octet is above 127.
    pub eight_bit: bool,
    /// Its Message-ID, if it is one that can be repeated.
    pub message_id: Option<String>,
}

impl Original {
    /// The most octets that are sent back: trace fields of a loop should not fill a mailbox.
    const MOST: usize = 64 * 1024;

    /// The header section at the start of `message`, made safe: a NUL or stray CR becomes `?`, a long line is cut.
    pub fn of(message: &[u8]) -> Original {
        let headers = Headers::of(message);
        let mut octets = Vec::new();
        for line in headers.block().split_inclusive(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.get(..998).unwrap_or(line);
            if octets.len() + line.len() > Original::MOST {
                break;
            }
            octets.extend(line.iter().map(|octet| if matches!(octet, 0 | b'\r') { b'?' } else { *octet }));
            octets.extend_from_slice(b"\r\n");
        }
        let eight_bit = !octets.is_ascii();
        Original { octets, eight_bit, message_id: headers.get("Message-ID").and_then(message_id) }
    }
}

/// A Message-ID that can be repeated without thought: one word in angle brackets, 250 characters at most.
fn message_id(body: &[u8]) -> Option<String> {
    let id = std::str::from_utf8(body).ok()?.trim();
    let inside = id.strip_prefix('<')?.strip_suffix('>')?;
    let fits = inside.len() <= 248
        && !inside.contains(['<', '>', ' '])
        && ascii(inside) == inside
        && inside.contains('@');
    fits.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_id_that_is_one_word_is_repeated() {
        for (body, id) in [
            (" <a@b>\r\n", Some("<a@b>")),
            (" a@b\r\n", None),
            (" <ab>\r\n", None),
            (" <a@b>\r\n\t<c@d>\r\n", None),
            (" <a@b\u{fc}>\r\n", None),
        ] {
            assert_eq!(message_id(body.as_bytes()).as_deref(), id, "{body:?}");
        }
        assert_eq!(message_id(format!("<{}@b>", "a".repeat(250)).as_bytes()), None);
    }

    #[test]
    fn what_no_part_may_have_is_not_sent_back() {
        let message = [b"A: b\0c\rd\nB: ".as_slice(), &[b'x'; 2000], b"\r\n\r\nbody"].concat();
        let original = Original::of(&message);
        assert!(original.octets.starts_with(b"A: b?c?d\r\nB: xx"));
        assert_eq!((original.octets.len(), original.eight_bit), (10 + 998 + 2, false));
        assert!(Original::of(&b"A: bcdefghijklm\r\n".repeat(10_000)).octets.len() <= Original::MOST + 1000);
    }
}
