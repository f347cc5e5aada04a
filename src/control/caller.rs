//! The commands' end of the door.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::protocol::{Answer, Request};
use crate::net::{Stream, StreamError};
use crate::time::{Deadline, clock};

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody is at the door: no relay runs on this spool.
    NobodyThere(String),
    /// The door is there, and not for this user.
    Denied(String),
    /// The conversation broke off.
    Broken(String),
    /// The relay said no; with a code of sysexits(3).
    Refused(u8, String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::NobodyThere(words)
            | CallError::Denied(words)
            | CallError::Broken(words)
            | CallError::Refused(_, words) => f.write_str(words),
        }
    }
}

impl std::error::Error for CallError {}

/// The largest answer that is read: a page of the queue is far below it.
const MOST: u64 = 64 << 20;

/// Asks the relay on the spool at `spool`, and waits no longer than `limit`.
///
/// # Errors
/// [`CallError`], in words for the person who called.
pub fn ask(spool: &Path, request: &Request, limit: Duration) -> Result<Answer, CallError> {
    submit(spool, request, &[], limit)
}

/// Asks, with the octets of a message behind the request.
///
/// # Errors
/// [`CallError`], in words for the person who called.
pub fn submit(spool: &Path, request: &Request, octets: &[u8], limit: Duration) -> Result<Answer, CallError> {
    let path = spool.join("control.sock");
    let mut stream = knock(&path, limit)?;
    let broken = |error: io::Error| {
        CallError::Broken(format!("the relay at {}: {}", path.display(), StreamError::from(error)))
    };
    let mut line = serde_json::to_vec(request).map_err(|error| CallError::Broken(error.to_string()))?;
    line.push(b'\n');
    // A relay that refuses early stops reading; what it answered is read all the same.
    let sent = stream.write_all(&line).and_then(|()| stream.write_all(octets));
    let mut answer = Vec::new();
    match (&mut stream).take(MOST).read_to_end(&mut answer) {
        Ok(_) if answer.is_empty() => {
            sent.map_err(broken)?;
            return Err(CallError::Broken("the relay closed the door without an answer".into()));
        }
        Ok(_) => {}
        Err(error) => return Err(broken(error)),
    }
    read(&answer)
}

fn read(answer: &[u8]) -> Result<Answer, CallError> {
    match serde_json::from_slice(answer) {
        Ok(Answer::Error { exit, reason }) => Err(CallError::Refused(exit, reason)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(CallError::Broken(format!("the relay's answer cannot be read: {error}"))),
    }
}

/// Asks for what has no end, and gives each answer to `each` until that says no, or the relay ends it.
///
/// # Errors
/// [`CallError`], in words for the person who called.
pub fn follow(
    spool: &Path,
    request: &Request,
    each: &mut dyn FnMut(Answer) -> bool,
) -> Result<(), CallError> {
    /// The relay says something at least every few seconds.
    const SILENT: Duration = Duration::from_secs(60);
    let path = spool.join("control.sock");
    let mut stream = knock(&path, SILENT)?;
    let words = |error: &dyn fmt::Display| {
        CallError::Broken(format!("the relay at {} has ended it: {error}", path.display()))
    };
    let mut line = serde_json::to_vec(request).map_err(|error| words(&error))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| words(&StreamError::from(error)))?;
    let (mut gathered, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        *stream.deadline() = Deadline::within(clock::now(), SILENT);
        let read = stream.read(&mut piece).map_err(|error| words(&StreamError::from(error)))?;
        if read == 0 {
            return Ok(());
        }
        gathered.extend_from_slice(&piece[..read]);
        while let Some(end) = memchr::memchr(b'\n', &gathered) {
            let line: Vec<u8> = gathered.drain(..=end).collect();
            if line.len() > 1 && !each(self::read(&line)?) {
                return Ok(());
            }
        }
        if gathered.len() as u64 > MOST {
            return Err(words(&"its line has no end"));
        }
    }
}

fn knock(path: &Path, limit: Duration) -> Result<Stream, CallError> {
    Stream::local(path, Deadline::within(clock::now(), limit)).map_err(|error| {
        if matches!(&error, StreamError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied) {
            return CallError::Denied(format!(
                "{}: this is for the relay's own user, and for root",
                path.display()
            ));
        }
        let words = match &error {
            StreamError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "there is no such socket".into()
            }
            _ => error.to_string(),
        };
        CallError::NobodyThere(format!(
            "no relay answers at {} ({words}). Is it running, with the same --config or --spool?",
            path.display()
        ))
    })
}
