//! SMTP to the relay on this machine: for callers who may not open the operator's door, and for `-bs`.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::cli::Exit;
use crate::net::{Lines, Stream, StreamError};
use crate::smtp::{Reply, ReplyReader, Stuffer};
use crate::time::{Deadline, clock};

/// A conversation as a client.
struct Conversation {
    stream: Stream,
    lines: Lines,
}

fn dial(address: SocketAddr, limit: Duration) -> Result<Stream, Exit> {
    Stream::dial(address, Deadline::within(clock::now(), limit))
        .map_err(|error| Exit::later(format!("no relay answers at {address} ({error}); is it running?")))
}

/// Hands a message over, within `limit`; the queue id, if the relay's words have one.
pub(super) fn submit(
    address: SocketAddr,
    from: &str,
    to: &[String],
    message: &[u8],
    limit: Duration,
) -> Result<String, Exit> {
    let mut talk = Conversation { stream: dial(address, limit)?, lines: Lines::default() };
    talk.hear()?;
    let hello = talk.ask("EHLO localhost")?;
    let eight_bit = hello.lines().iter().any(|line| line.eq_ignore_ascii_case("8BITMIME"));
    let body = if eight_bit && !message.is_ascii() { " BODY=8BITMIME" } else { "" };
    talk.ask(&format!("MAIL FROM:<{from}>{body}"))?;
    for to in to {
        talk.ask(&format!("RCPT TO:<{to}>"))?;
    }
    talk.ask("DATA")?;
    let (mut stuffer, mut wire) = (Stuffer::default(), Vec::new());
    stuffer.push(message, &mut wire);
    stuffer.finish(&mut wire);
    talk.say(&wire)?;
    let reply = talk.hear()?;
    // It is taken: what QUIT meets no longer matters.
    let _ = talk.say(b"QUIT\r\n");
    Ok(reply.to_string())
}

impl Conversation {
    fn say(&mut self, octets: &[u8]) -> Result<(), Exit> {
        self.stream.write_all(octets).map_err(|error| broken(&StreamError::from(error)))
    }

    fn ask(&mut self, command: &str) -> Result<Reply, Exit> {
        self.say(format!("{command}\r\n").as_bytes())?;
        self.hear()
    }

    /// A reply; a negative one is the end.
    fn hear(&mut self) -> Result<Reply, Exit> {
        let mut reader = ReplyReader::default();
        let reply = loop {
            let line = self.lines.next(&mut self.stream).map_err(|error| broken(&error))?;
            if let Some(reply) = reader.line(line).map_err(|error| broken(&error))? {
                break reply;
            }
        };
        let words = format!("the relay said: {reply}");
        match (reply.code(), reply.status().map(|status| status.to_string())) {
            (200..400, _) => Ok(reply),
            (400..500, _) => Err(Exit::later(words)),
            (_, Some(status)) if status.starts_with("5.7.") => Err(Exit::not_permitted(words)),
            _ => Err(Exit::data(words)),
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> Exit {
    Exit::later(format!("the conversation with the relay broke off: {error}"))
}

/// `-bs`: whoever calls speaks SMTP with the listener, through us, to the end of either side or of `limit`.
pub(super) fn pass_through(address: SocketAddr, limit: Duration) -> Result<(), Exit> {
    let mut from_relay = dial(address, limit)?;
    let mut to_relay = from_relay.twin();
    // Not joined: it may wait for a caller who says nothing more after the relay has closed. It ends with the process.
    let forward = move || {
        let copied = copy(&mut io::stdin().lock(), &mut to_relay);
        to_relay.shutdown_write();
        copied
    };
    let thread = thread::Builder::new().name("forward".into()).spawn(forward);
    thread.map_err(Exit::system)?;
    copy(&mut from_relay, &mut io::stdout().lock()).map_err(|error| broken(&StreamError::from(error)))
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&piece[..read])?;
        to.flush()?;
    }
}
