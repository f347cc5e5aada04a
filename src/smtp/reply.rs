//! Replies: one code, one or more lines (RFC 5321, 4.2).
//!
//! [`ReplyReader`] takes lines until a reply is whole. It bounds what a hostile host can make us keep: a line's length is
//! bounded by whoever reads lines, the number of lines and their sum here. What is not a reply is said, never guessed.

use std::fmt;

use super::EnhancedStatus;

/// A whole reply of an SMTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    lines: Vec<String>,
}

impl Reply {
    /// A reply of one line: a code (200..=599) and its text, which may start with an enhanced status code.
    pub fn new(code: u16, text: &str) -> Reply {
        let status = EnhancedStatus::take(text).map(|(status, _)| status);
        Reply {
            code,
            status: status.filter(|s| u16::from(s.class()) == code / 100),
            lines: vec![text.to_owned()],
        }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code of the first line that has one, if its class fits the code (RFC 2034, 4).
    pub fn status(&self) -> Option<EnhancedStatus> {
        self.status
    }

    /// The text lines, without codes, at least one.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

impl fmt::Display for Reply {
    /// On one line, as it goes to the log and the DSN: the code, then the texts with spaces between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.lines.iter().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// Why bytes are no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A line that does not begin with a code and a space or hyphen; what it was, made printable and cut short.
    Malformed(String),
    /// The lines of one reply have different codes.
    Inconsistent(u16, u16),
    /// More lines, or more bytes, than one reply may have.
    TooLong,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyError::Malformed(line) => write!(f, "not an SMTP reply: \"{line}\""),
            ReplyError::Inconsistent(a, b) => write!(f, "one reply with two codes, {a} and {b}"),
            ReplyError::TooLong => write!(
                f,
                "a reply of more than {} lines or {} bytes",
                ReplyReader::MAX_LINES,
                ReplyReader::MAX_BYTES
            ),
        }
    }
}

impl std::error::Error for ReplyError {}

/// Gathers lines until a reply is whole.
#[derive(Debug, Default)]
pub struct ReplyReader {
    code: Option<u16>,
    lines: Vec<String>,
    bytes: usize,
}

impl ReplyReader {
    /// The most lines of one reply. EHLO replies have about twenty.
    pub const MAX_LINES: usize = 128;
    /// The most bytes of one reply.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Takes a line without its line end; gives the reply when this was its last line, and is then ready for the next.
    ///
    /// # Errors
    /// [`ReplyError`] when this is no reply; nothing more can be read from such a host.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (code, last, text) = split(line).ok_or_else(|| ReplyError::Malformed(printable(line, 80)))?;
        if let Some(first) = self.code
            && first != code
        {
            return Err(ReplyError::Inconsistent(first, code));
        }
        self.code = Some(code);
        self.bytes += line.len();
        if self.lines.len() >= Self::MAX_LINES || self.bytes > Self::MAX_BYTES {
            return Err(ReplyError::TooLong);
        }
        self.lines.push(printable(text, usize::MAX));
        if !last {
            return Ok(None);
        }
        let lines = std::mem::take(self).lines;
        let fits = |status: &EnhancedStatus| u16::from(status.class()) == code / 100;
        let status =
            lines.iter().find_map(|line| EnhancedStatus::take(line).map(|(status, _)| status).filter(fits));
        Ok(Some(Reply { code, status, lines }))
    }
}

/// Code, whether it is the last line, and text. `250` alone is a whole reply (RFC 5321, 4.2).
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !matches!(digits[0], b'2'..=b'5') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Some((code, true, b"")),
        Some((b' ', text)) => Some((code, true, text)),
        Some((b'-', text)) => Some((code, false, text)),
        Some(_) => None,
    }
}

/// `bytes` as text that can stand in a log line and a header: controls become `?`, bad UTF-8 the replacement sign.
pub(crate) fn printable(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(bytes).chars().take(most).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut last = Ok(None);
        for line in text.lines() {
            last = reader.line(line.as_bytes());
            if !matches!(last, Ok(None)) {
                break;
            }
        }
        last
    }

    #[test]
    fn many_lines_are_one_reply() {
        let reply = read("250-mx.example.org\n250-SIZE 100\n250 PIPELINING").unwrap().unwrap();
        assert_eq!(reply.code(), 250);
        assert_eq!(reply.lines(), ["mx.example.org", "SIZE 100", "PIPELINING"]);
        assert_eq!(reply.to_string(), "250 mx.example.org SIZE 100 PIPELINING");
    }

    #[test]
    fn a_status_of_another_class_is_not_believed() {
        assert_eq!(read("550 5.1.1 no").unwrap().unwrap().status(), Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(read("550 2.1.1 no").unwrap().unwrap().status(), None);
        assert_eq!(read("250").unwrap().unwrap().status(), None);
    }

    #[test]
    fn what_is_no_reply_is_said() {
        for wrong in ["", "25", "hello", "2x0 hm", "250_ok", "199 low", "600 high", "\u{1b}[31m"] {
            let mut reader = ReplyReader::default();
            assert!(matches!(reader.line(wrong.as_bytes()), Err(ReplyError::Malformed(_))), "{wrong}");
        }
        assert_eq!(read("250-a\n251 b"), Err(ReplyError::Inconsistent(250, 251)));
    }

    #[test]
    fn an_endless_reply_ends() {
        let mut reader = ReplyReader::default();
        let end = (0..1_000_000).find_map(|_| reader.line(b"250-more").err());
        assert_eq!(end, Some(ReplyError::TooLong));
        let mut reader = ReplyReader::default();
        let long = [b"250-".as_slice(), &[b'x'; 2000]].concat();
        let end = (0..1_000_000).find_map(|_| reader.line(&long).err());
        assert_eq!(end, Some(ReplyError::TooLong));
    }

    #[test]
    fn controls_do_not_reach_the_log() {
        assert_eq!(read("250 a\u{7}b\u{1b}[0m").unwrap().unwrap().lines(), ["a?b?[0m"]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..200)) {
            let mut reader = ReplyReader::default();
            for line in &lines {
                if let Ok(Some(reply)) = reader.line(line) {
                    prop_assert!((200..600).contains(&reply.code()));
                    prop_assert!(!reply.to_string().contains(['\r', '\n']));
                }
            }
        }
    }
}
