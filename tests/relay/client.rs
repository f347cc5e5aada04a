//! A raw SMTP client: what an application, or an attacker, would say to the listener.
//!
//! It is deliberately dumb: it sends the bytes it is given and reads replies, each within a limit. `send` is the one
//! polite transaction most tests want.

use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A reply as it came: the code, and the text of each line without code, separator and CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// All lines, joined with a line feed.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// True for a 2xx or a 3xx.
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}", self.code, self.text())
    }
}

/// Why a message was not taken.
#[derive(Debug)]
pub enum Refused {
    /// The listener said so.
    Said(Reply),
    /// The connection failed or ended first: nobody knows whether the message was taken.
    Broken(io::Error),
}

impl Refused {
    /// The code of the refusal, or zero when the connection broke.
    pub fn code(&self) -> u16 {
        match self {
            Refused::Said(reply) => reply.code,
            Refused::Broken(_) => 0,
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Broken(error)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    limit: Duration,
}

impl Client {
    /// Connects and says nothing; the banner has not been read.
    pub fn connect(addr: SocketAddr) -> io::Result<Client> {
        let limit = Duration::from_secs(20);
        let stream = TcpStream::connect_timeout(&addr, limit)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Client { reader: BufReader::new(stream), limit })
    }

    /// Connects from this address of ours, and says nothing.
    pub fn connect_from(from: IpAddr, addr: SocketAddr) -> io::Result<Client> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        let limit = Duration::from_secs(20);
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&addr.into(), limit)?;
        socket.set_write_timeout(Some(limit))?;
        Ok(Client { reader: BufReader::new(socket.into()), limit })
    }

    /// Connects, reads the banner and says EHLO.
    pub fn greet(addr: SocketAddr) -> Result<Client, Refused> {
        let mut client = Client::connect(addr)?;
        positive(client.hear()?)?;
        positive(client.ask("EHLO client.test")?)?;
        Ok(client)
    }

    /// How long a reply may take, all its lines together; 20 s unless told.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The socket itself, for what this client has no word for.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends the bytes as they are.
    pub fn say_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream().write_all(bytes)
    }

    /// Sends a line; the CRLF is added.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.say_raw(format!("{line}\r\n").as_bytes())
    }

    /// Sends a line and reads the reply.
    pub fn ask(&mut self, line: &str) -> io::Result<Reply> {
        self.say(line)?;
        self.hear()
    }

    /// Reads one reply of any number of lines. A line that is no reply line is `InvalidData`; the end of the stream
    /// `UnexpectedEof`; a reply past the limit `TimedOut` or `WouldBlock`.
    pub fn hear(&mut self) -> io::Result<Reply> {
        let end = Instant::now() + self.limit;
        let mut lines = Vec::new();
        loop {
            let line = self.line(end)?;
            let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("no reply: {line:?}"));
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(bad)?;
            lines.push(line.get(4..).unwrap_or("").to_string());
            match line.as_bytes().get(3) {
                Some(b' ') | None => return Ok(Reply { code, lines }),
                Some(b'-') => {}
                Some(_) => return Err(bad()),
            }
        }
    }

    /// Reads to the end of the stream: true when it came within the limit, with or without a reset.
    pub fn is_closed(&mut self) -> bool {
        let end = Instant::now() + self.limit;
        loop {
            match self.line(end) {
                Ok(_) => {}
                Err(error) => {
                    return !matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
                }
            }
        }
    }

    /// Ends our direction: the other side reads the end of the stream.
    pub fn half_close(&self) {
        let _ = self.stream().shutdown(Shutdown::Write);
    }

    /// One transaction on a connection that has said EHLO. Stops at the first refusal, also of one recipient.
    ///
    /// `body` may have bare line feeds, which are sent as CRLF; it is dot-stuffed and ends in CRLF. For other bytes
    /// there is `say_raw`.
    pub fn send(&mut self, from: &str, to: &[&str], body: &str) -> Result<Reply, Refused> {
        positive(self.ask(&format!("MAIL FROM:<{from}>"))?)?;
        for to in to {
            positive(self.ask(&format!("RCPT TO:<{to}>"))?)?;
        }
        positive(self.ask("DATA")?)?;
        self.say_raw(&on_the_wire(body))?;
        positive(self.hear()?)
    }

    fn line(&mut self, end: Instant) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            // Checked here too: a peer that never stops talking never lets a read time out.
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.reader.get_ref().set_read_timeout(Some(left))?;
            let buffer = match self.reader.fill_buf() {
                // A process that was stopped for a moment comes back with this.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let found = buffer.iter().position(|&byte| byte == b'\n');
            let used = found.map_or(buffer.len(), |at| at + 1);
            line.extend_from_slice(&buffer[..used]);
            self.reader.consume(used);
            if found.is_some() {
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_string());
            }
        }
    }
}

/// A body as DATA wants it: CRLF, dots doubled, the final dot (RFC 5321, 4.5.2).
fn on_the_wire(body: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(body.len() + 64);
    for line in body.lines() {
        if line.starts_with('.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

fn positive(reply: Reply) -> Result<Reply, Refused> {
    if reply.is_positive() { Ok(reply) } else { Err(Refused::Said(reply)) }
}

#[test]
fn a_body_is_stuffed_and_ended() {
    let wire = on_the_wire("Subject: a\n\n.dot\r\nlast");
    assert_eq!(wire, b"Subject: a\r\n\r\n..dot\r\nlast\r\n.\r\n");
}
