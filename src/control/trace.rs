//! Following conversations: `sendoff trace`. Every write has a deadline, so a terminal that does not read ends its own trace
//! and nothing else.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;

use super::answers::{Answers, Refused, exit};
use super::documents::TraceLine;
use super::protocol::Answer;
use crate::mail::Destination;
use crate::net::{Overheard, Stream};
use crate::smtp::Host;
use crate::time::{Deadline, clock};

/// How long a line may take to be taken.
const LINE: Duration = Duration::from_secs(5);
/// How long anybody may follow.
const LONGEST: Duration = Duration::from_secs(86_400);
/// After so long without a word an empty line is sent: whoever has left is found out.
const SILENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether the relay stops.
const ROUND: Duration = Duration::from_millis(500);

impl Answers {
    /// Which destination is to be followed; `None` is all.
    pub(super) fn followed(&self, what: &str) -> Result<Option<Destination>, Refused> {
        if what == "*" {
            return Ok(None);
        }
        let none =
            || (exit::DATAERR, format!("{what} is neither a domain nor a destination, nor `*` for all"));
        match Host::parse(what) {
            Ok(host) => Ok(Some(self.shop.config.read().routes.destination(&host))),
            Err(_) => Destination::parse(what).map(Some).ok_or_else(none),
        }
    }
}

/// Follows until the caller has left, does not read, or the relay stops.
pub(super) fn follow(
    stream: &mut Stream,
    destination: Option<Destination>,
    answers: &Answers,
    closing: &AtomicBool,
) -> io::Result<()> {
    let follower = answers.shop.sessions.followers().follow(destination.clone());
    *stream.deadline() = Deadline::within(clock::now(), LONGEST);
    let what = destination.map_or_else(|| "everything".to_owned(), |destination| destination.to_string());
    send(stream, &own(format!("following {what}")))?;
    let mut silent = Duration::ZERO;
    while !closing.load(Ordering::Acquire) {
        match follower.lines.recv_timeout(ROUND) {
            Ok(line) => {
                silent = Duration::ZERO;
                send(stream, &shown(line))?;
                let dropped = follower.dropped();
                if dropped > 0 {
                    send(stream, &own(format!("{dropped} lines were dropped: you read too slowly")))?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                silent += ROUND;
                if silent >= SILENCE {
                    silent = Duration::ZERO;
                    stream.deadline().enter(clock::now(), LINE);
                    stream.write_all(b"\n")?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    send(stream, &own("the relay stops".to_owned()))
}

fn send(stream: &mut Stream, line: &TraceLine) -> io::Result<()> {
    let mut octets = serde_json::to_vec(&Answer::Trace(line.clone()))?;
    octets.push(b'\n');
    stream.deadline().enter(clock::now(), LINE);
    stream.write_all(&octets)
}

fn shown(line: Overheard) -> TraceLine {
    let host = line.host.map_or_else(String::new, |(name, address)| match name.starts_with('[') {
        true => name,
        false => format!("{name}[{}]", address.ip()),
    });
    TraceLine {
        at: line.at,
        session: line.session,
        destination: line.destination.to_string(),
        host,
        way: line.way.to_string(),
        text: line.text,
    }
}

/// What the relay itself says.
fn own(text: String) -> TraceLine {
    TraceLine {
        at: clock::unix_micros(),
        session: 0,
        destination: String::new(),
        host: String::new(),
        way: "*".to_owned(),
        text,
    }
}
