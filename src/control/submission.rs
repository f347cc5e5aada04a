//! Submission through the door: `sendoff send`. The same spool, the same proof, the same limits as over SMTP.

use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::answers::{Answers, Refused, exit, trouble};
use super::documents::Submitted;
use super::protocol::Answer;
use crate::delivery::announce;
use crate::mail::{BodyType, Envelope, Protocol, QueueId, Received};
use crate::metrics::{METRICS, Source};
use crate::smtp::{Mailbox, ReversePath};
use crate::spool::Marks;
use crate::time::clock;

impl Answers {
    /// Takes a message whose `size` octets follow on `stream`: CRLF line ends, not stuffed.
    pub fn submit(&self, from: &str, to: &[String], size: u64, stream: &mut impl Read) -> Answer {
        match self.take(from, to, size, stream) {
            Ok(id) => Answer::Submitted(Submitted { id: id.to_string() }),
            Err((exit, reason)) => Answer::Error { exit, reason },
        }
    }

    fn take(&self, from: &str, to: &[String], size: u64, stream: &mut impl Read) -> Result<QueueId, Refused> {
        let config = Arc::clone(&self.shop.config.read());
        let mut envelope = envelope(from, to)?;
        let most = config.listen.max_recipients;
        if envelope.recipients.is_empty() || envelope.recipients.len() > most {
            return Err((exit::DATAERR, format!("a message needs 1 to {most} recipients")));
        }
        let most = config.listen.max_message_size;
        if size > most {
            return Err((exit::DATAERR, format!("the message has {size} octets; {most} are allowed")));
        }
        let (spool, recipients) = (&self.shop.spool, envelope.recipients.len() as u64);
        spool.room(&Marks::of(&config), size, recipients).map_err(trouble)?;
        let mut draft = spool.draft();
        let received = Received {
            helo: "localhost",
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hostname: &config.hostname,
            protocol: Protocol::Local,
            tls: None,
            id: draft.id(),
        };
        draft.write(received.field(&envelope).as_bytes()).map_err(trouble)?;
        let (mut left, mut piece) = (size, vec![0; 64 << 10]);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let broken = |error: io::Error| (exit::TEMPFAIL, format!("the message broke off: {error}"));
            let read = stream.read(&mut piece[..most]).map_err(broken)?;
            if read == 0 {
                return Err((exit::DATAERR, "the message broke off".into()));
            }
            if !piece[..read].is_ascii() {
                envelope.body_type = BodyType::EightBitMime;
            }
            draft.write(&piece[..read]).map_err(trouble)?;
            left -= read as u64;
        }
        let hosts = envelope.recipients.iter().map(Mailbox::host);
        let destinations = hosts.map(|host| config.routes.destination(host)).collect();
        let accepted = envelope.accepted;
        let done = draft.commit(envelope, destinations, Duration::from_secs(25)).map_err(trouble)?;
        let id = done.id();
        log::info!("id={id} client=local from=<{from}> rcpts={} size={size} event=accepted", to.len());
        METRICS.accepted.of(Source::Local as usize).one();
        announce(&self.shop.arrivals, done, accepted);
        Ok(id)
    }
}

fn envelope(from: &str, to: &[String]) -> Result<Envelope, Refused> {
    let wrong = |what: &str, why: &dyn fmt::Display| (exit::DATAERR, format!("{what}: {why}"));
    let reverse_path = ReversePath::parse(&format!("<{from}>")).map_err(|error| wrong(from, &error))?;
    let mailbox = |to: &String| Mailbox::parse(to).map_err(|error| wrong(to, &error));
    let recipients = to.iter().map(mailbox).collect::<Result<_, _>>()?;
    Ok(Envelope { reverse_path, body_type: BodyType::SevenBit, recipients, accepted: clock::unix() })
}
