//! What a client has sent and nobody has read yet. One buffer of fixed size: nothing a client sends makes it grow.

use std::io::Read;

use zeroize::Zeroize;

use crate::net::{StreamError, Wire};

/// The next thing a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A line, without its CRLF.
    Line(&'a [u8]),
    /// A line that was ended by LF alone.
    BareLf,
    /// A line of more than [`Input::MOST_LINE`] octets, skipped to its end.
    TooLong,
    /// A line that does not end.
    Endless,
    /// No whole line yet.
    Nothing,
}

/// The buffer.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Octets before this one hold no LF.
    searched: usize,
    skipped: usize,
    /// A line with a secret in it may have been here.
    secret: bool,
}

impl Input {
    /// The most octets of a command line, its end included. RFC 5321, 4.5.3.1.4 asks for 512, and more for parameters.
    pub(super) const MOST_LINE: usize = 2048;
    /// The same for AUTH and for the responses of its exchange (RFC 4954, 4).
    const MOST_AUTH_LINE: usize = 12_288;
    /// The most octets of a line that is skipped.
    const MOST_SKIPPED: usize = 64 * 1024;
    const SIZE: usize = 32 * 1024;

    pub(super) fn new() -> Input {
        Input { buffer: vec![0; Self::SIZE].into(), start: 0, end: 0, searched: 0, skipped: 0, secret: false }
    }

    /// The next line; `response` when one of AUTH is awaited. A CR that is not before the LF is part of the line.
    pub(super) fn line(&mut self, response: bool) -> Heard<'_> {
        let auth = self.unread().get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH"));
        self.secret |= auth || response;
        let most = if auth || response { Self::MOST_AUTH_LINE } else { Self::MOST_LINE };
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) else {
            self.searched = self.end;
            if self.skipped > 0 || self.end - self.start > most {
                self.skipped += self.end - self.start;
                self.take(self.end - self.start);
            }
            return if self.skipped > Self::MOST_SKIPPED { Heard::Endless } else { Heard::Nothing };
        };
        let (start, end) = (self.start, self.searched + at);
        self.take(end + 1 - start);
        if std::mem::take(&mut self.skipped) > 0 || end + 1 - start > most {
            return Heard::TooLong;
        }
        self.buffer[start..end].strip_suffix(b"\r").map_or(Heard::BareLf, Heard::Line)
    }

    /// Everything that has been sent and not been read.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// `octets` of the unread have been read.
    pub(super) fn take(&mut self, octets: usize) {
        self.start = (self.start + octets).min(self.end);
        self.searched = self.start;
    }

    /// Wipes what has been read, if there was a secret in it.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.secret) {
            self.buffer[..self.start].zeroize();
            self.buffer[self.end..].zeroize();
        }
    }

    /// Waits for more, by the wire's deadline; returns how much came.
    pub(super) fn fill(&mut self, wire: &mut Wire) -> Result<usize, StreamError> {
        // Little is left to move: a line that has not ended, or nothing.
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end -= self.start;
        self.start = 0;
        match wire.read(&mut self.buffer[self.end..])? {
            0 => Err(StreamError::Closed),
            read => {
                self.end += read;
                Ok(read)
            }
        }
    }

    #[cfg(test)]
    fn holding(octets: &[u8]) -> Input {
        let mut input = Input::new();
        input.add(octets);
        input
    }

    #[cfg(test)]
    fn add(&mut self, octets: &[u8]) {
        self.buffer[self.end..self.end + octets.len()].copy_from_slice(octets);
        self.end += octets.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_one_by_one() {
        let mut input = Input::holding(b"EHLO a\r\n\r\nNOOP\nQU\rIT\r\nrest");
        assert_eq!(input.line(false), Heard::Line(b"EHLO a"));
        assert_eq!(input.line(false), Heard::Line(b""));
        assert_eq!(input.line(false), Heard::BareLf);
        assert_eq!(input.line(false), Heard::Line(b"QU\rIT"));
        assert_eq!(input.line(false), Heard::Nothing);
        assert_eq!(input.unread(), b"rest");
        input.add(b"\r\n");
        assert_eq!(input.line(false), Heard::Line(b"rest"));
    }

    #[test]
    fn a_long_line_is_skipped_and_an_endless_one_ends() {
        let mut input = Input::holding(&[b'x'; 3000]);
        assert_eq!(input.line(false), Heard::Nothing);
        input.add(b"yy\r\nNOOP\r\n");
        assert_eq!(input.line(false), Heard::TooLong);
        assert_eq!(input.line(false), Heard::Line(b"NOOP"));
        let mut heard = Vec::new();
        for _ in 0..40 {
            let mut next = Input { skipped: input.skipped, ..Input::holding(&[b'x'; 3000]) };
            heard.push(next.line(false) == Heard::Endless);
            input = next;
        }
        assert_eq!(heard.iter().position(|endless| *endless), Some(21));
    }

    #[test]
    fn a_response_may_be_longer_and_leaves_no_trace() {
        let mut input = Input::holding(&[b'x'; 12_000]);
        assert_eq!(input.line(true), Heard::Nothing);
        input.add(b"\r\nauth ");
        assert_eq!(input.line(true), Heard::Line(&[b'x'; 12_000]));
        input.wipe();
        assert!(input.buffer.iter().all(|octet| *octet != b'x') && input.unread() == b"auth ");
        input.add(&[b'y'; 12_000]);
        assert_eq!(input.line(false), Heard::Nothing);
        input.add(&[b'y'; 300]);
        input.add(b"\r\n");
        assert_eq!(input.line(false), Heard::TooLong);
    }
}
