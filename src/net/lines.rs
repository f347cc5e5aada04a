//! Lines from a stream, each with a most length: what a hostile peer can make us keep is one line.

use std::fmt;
use std::io::Read;

use super::StreamError;

/// Why there is no line.
#[derive(Debug)]
pub enum LineError {
    /// The line is longer than it may be.
    TooLong,
    /// The stream ended.
    Stream(StreamError),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::TooLong => write!(f, "a line of more than {} octets", Lines::MOST),
            LineError::Stream(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LineError {}

/// A buffer of what has been read and not yet used.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    used: usize,
}

impl Lines {
    /// The most octets of a line, its end included. RFC 5321, 4.5.3.1.5 allows 512; real servers say more.
    pub const MOST: usize = 2048;

    /// The next line, without its end. A bare LF ends a line too: servers are read with patience, never clients.
    ///
    /// # Errors
    /// [`LineError::TooLong`], or how the stream ended.
    pub fn next(&mut self, stream: &mut impl Read) -> Result<&[u8], LineError> {
        let mut searched = self.used;
        let end = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                break searched + at;
            }
            if self.buffer.len() - self.used > Self::MOST {
                return Err(LineError::TooLong);
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            searched = self.buffer.len();
            self.fill(stream).map_err(LineError::Stream)?;
        };
        let line = &self.buffer[self.used..end];
        if line.len() > Self::MOST {
            return Err(LineError::TooLong);
        }
        self.used = end + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Whether nothing is left that has been read and not been used.
    pub fn is_empty(&self) -> bool {
        self.used == self.buffer.len()
    }

    fn fill(&mut self, stream: &mut impl Read) -> Result<(), StreamError> {
        let start = self.buffer.len();
        self.buffer.resize(start + Self::MOST, 0);
        let read = stream.read(&mut self.buffer[start..]);
        self.buffer.truncate(start + read.as_ref().copied().unwrap_or(0));
        match read? {
            0 => Err(StreamError::Closed),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Stream;
    use crate::time::{Deadline, clock};
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;

    fn hear(text: &[u8]) -> (Stream, Lines) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let deadline = Deadline::within(clock::now(), Duration::from_secs(5));
        let stream = Stream::dial(listener.local_addr().unwrap(), deadline).unwrap();
        listener.accept().unwrap().0.write_all(text).unwrap();
        (stream, Lines::default())
    }

    #[test]
    fn lines_come_one_by_one_and_the_end_is_said() {
        let (mut stream, mut lines) = hear(b"250-a\r\n\r\n250 b\nrest");
        for line in ["250-a", "", "250 b"] {
            assert_eq!(lines.next(&mut stream).unwrap(), line.as_bytes());
        }
        assert!(matches!(lines.next(&mut stream), Err(LineError::Stream(StreamError::Closed))));
    }

    #[test]
    fn a_line_without_an_end_is_cut_at_its_bound() {
        let (mut stream, mut lines) = hear(&[b'x'; 20_000]);
        assert!(matches!(lines.next(&mut stream), Err(LineError::TooLong)));
        assert!(lines.buffer.len() <= 2 * Lines::MOST);
    }
}
