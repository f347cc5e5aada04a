//! The server's side of one SMTP connection, for a good `Host`.
//!
//! Good, and strict: a bare CR or LF, a command line over 512 octets, commands pipelined where that was not offered or
//! past a command that must end its group (RFC 2920, 3.1), or words before the banner are recorded as violations and
//! answered with a 5xx, so that the message does not pass.

use super::door::{End, Guest};
use super::host::{Host, Message};
use rustix::net::{RecvFlags, recv};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// RFC 5321, 4.5.3.1.4, with the CRLF.
const COMMAND_LINE: usize = 512;

/// How long the relay may take to close after our 221. A relay that does not is counted as not having closed.
const AFTER_QUIT: Duration = Duration::from_secs(5);

/// Serves one connection to its end.
pub(super) fn serve(host: &Host, guest: &Guest) -> End {
    let mut talk = Talk {
        host,
        guest,
        reader: BufReader::new(guest.stream()),
        greeted: None,
        pipelining: false,
        mail: None,
    };
    match talk.run() {
        Ok(end) | Err(end) => end,
    }
}

struct Talk<'a> {
    host: &'a Host,
    guest: &'a Guest,
    reader: BufReader<&'a TcpStream>,
    greeted: Option<String>,
    pipelining: bool,
    mail: Option<Mail>,
}

struct Mail {
    reverse_path: String,
    params: Vec<String>,
    forward_paths: Vec<String>,
}

/// `Err` too is an end: the `?` of a read or write that failed, or of a close on purpose.
type Step<T> = Result<T, End>;

impl Talk<'_> {
    fn run(&mut self) -> Step<End> {
        let banner = self.host.with(|m| m.banner.clone());
        if self.has_more() {
            self.violation("spoke before the banner".to_string());
        }
        self.delayed("BANNER");
        self.say(&banner)?;
        let open = banner.starts_with("220");
        loop {
            let line = self.command()?;
            let Some(line) = line else { continue };
            let verb = line.split(' ').next().unwrap_or("").to_uppercase();
            self.check_pipelining(&verb);
            self.delayed(&verb);
            if let Some(reply) = self.told(&verb) {
                self.say(&reply)?;
                continue;
            }
            match verb.as_str() {
                "QUIT" => return self.quit(),
                _ if !open => self.say("503 5.5.1 no service here")?,
                "EHLO" | "HELO" => self.hello(&verb, &line)?,
                "MAIL" => self.mail(&line)?,
                "RCPT" => self.rcpt(&line)?,
                "DATA" => self.data()?,
                "RSET" => {
                    self.mail = None;
                    self.say("250 2.0.0 reset")?;
                }
                "NOOP" => self.say("250 2.0.0 noop")?,
                _ => self.say("500 5.5.1 unknown command")?,
            }
        }
    }

    fn hello(&mut self, verb: &str, line: &str) -> Step<()> {
        let (ehlo, size, keywords) = self.host.with(|m| (m.ehlo, m.size, m.keywords.clone()));
        if verb == "EHLO" && !ehlo {
            return self.say("502 5.5.1 what is that?");
        }
        let name = line.get(5..).unwrap_or("").trim();
        if name.is_empty() {
            self.violation(format!("{verb} without a name"));
            return self.say("501 5.5.4 and you are?");
        }
        self.greeted = Some(name.to_string());
        self.mail = None;
        self.pipelining = verb == "EHLO" && keywords.iter().any(|word| word == "PIPELINING");
        if verb == "HELO" {
            return self.say("250 good.test");
        }
        let offer = |word: String| if word == "SIZE" { format!("SIZE {size}") } else { word };
        let mut lines = vec!["good.test".to_string()];
        lines.extend(keywords.into_iter().map(offer));
        let last = lines.pop().unwrap_or_default();
        let first: String = lines.iter().map(|line| format!("250-{line}\n")).collect();
        self.say(&format!("{first}250 {last}"))
    }

    fn mail(&mut self, line: &str) -> Step<()> {
        if self.greeted.is_none() {
            self.violation("MAIL before EHLO".to_string());
            return self.say("503 5.5.1 EHLO first");
        }
        if self.mail.is_some() {
            self.violation("MAIL within a transaction".to_string());
            return self.say("503 5.5.1 one at a time");
        }
        let Some((reverse_path, params)) = path(line, "MAIL FROM:<") else {
            self.violation(format!("not a MAIL command: {line:?}"));
            return self.say("501 5.5.4 syntax");
        };
        let size = self.host.with(|m| m.size);
        let declared = params.iter().find_map(|p| p.strip_prefix("SIZE="));
        if declared.is_some_and(|bytes| bytes.parse().is_ok_and(|bytes: usize| bytes > size)) {
            return self.say("552 5.3.4 too big");
        }
        self.mail = Some(Mail { reverse_path, params, forward_paths: Vec::new() });
        self.say("250 2.1.0 ok")
    }

    fn rcpt(&mut self, line: &str) -> Step<()> {
        let Some((forward_path, _)) = path(line, "RCPT TO:<") else {
            self.violation(format!("not a RCPT command: {line:?}"));
            return self.say("501 5.5.4 syntax");
        };
        let key = forward_path.to_lowercase();
        let (refusal, max) = self.host.with(|m| (m.refused.get(&key).cloned(), m.max_rcpt));
        // No violation: with pipelining, RCPT may follow a MAIL that was refused.
        let Some(mail) = &mut self.mail else {
            return self.say("503 5.5.1 MAIL first");
        };
        if let Some(refusal) = refusal {
            return self.say(&refusal);
        }
        if mail.forward_paths.len() >= max {
            return self.say("452 4.5.3 too many recipients");
        }
        mail.forward_paths.push(forward_path);
        self.say("250 2.1.5 ok")
    }

    fn data(&mut self) -> Step<()> {
        let none = self.mail.as_ref().is_none_or(|mail| mail.forward_paths.is_empty());
        if none {
            return self.say("554 5.5.1 no valid recipients");
        }
        self.say("354 go on")?;
        let (data, bare) = self.body()?;
        let mail = self.mail.take();
        if !self.pipelining && self.has_more() {
            self.violation("pipelined after the final dot, which was not offered".to_string());
        }
        self.delayed(".");
        if let Some(reply) = self.told(".") {
            return self.say(&reply);
        }
        if bare {
            self.violation("a bare CR or LF in the data".to_string());
            return self.say("554 5.6.0 a bare CR or LF");
        }
        if data.len() > self.host.with(|m| m.size) {
            return self.say("552 5.3.4 too big");
        }
        let Some(mail) = mail else {
            return self.say("503 5.5.1 MAIL first");
        };
        self.host.keep(Message {
            reverse_path: mail.reverse_path,
            params: mail.params,
            forward_paths: mail.forward_paths,
            data: Arc::new(data),
            at: Instant::now(),
            connection: self.guest.number,
            helo: self.greeted.clone().unwrap_or_default(),
        });
        self.say("250 2.0.0 taken")
    }

    /// The data up to the final dot, and whether a bare CR or LF was in it. Only CRLF.CRLF ends it.
    fn body(&mut self) -> Step<(Vec<u8>, bool)> {
        let (mut data, mut bare, mut at_start) = (Vec::new(), false, true);
        loop {
            let line = self.line(usize::MAX)?;
            let whole = line.ends_with(b"\r\n");
            if at_start && line == b".\r\n" {
                return Ok((data, bare));
            }
            bare |= !whole || line[..line.len() - 2].contains(&b'\r');
            let stuffed = at_start && line.first() == Some(&b'.');
            data.extend_from_slice(&line[usize::from(stuffed)..]);
            at_start = whole;
        }
    }

    /// One command without its CRLF; none when it was answered here, for being no line.
    fn command(&mut self) -> Step<Option<String>> {
        let line = self.line(COMMAND_LINE)?;
        let Some(text) = line.strip_suffix(b"\r\n") else {
            let what = if line.len() < COMMAND_LINE { "a bare LF ends" } else { "over 512 octets:" };
            self.violation(format!("{what} the command {:?}", String::from_utf8_lossy(&line)));
            self.say("500 5.5.2 no command line")?;
            return Ok(None);
        };
        if text.contains(&b'\r') {
            self.violation("a bare CR in a command".to_string());
        }
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    /// Bytes to the next line feed, at most `max`.
    fn line(&mut self, max: usize) -> Step<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.by_ref().take(max as u64).read_until(b'\n', &mut line)?;
        // Half a line is a relay that died, not one that broke the protocol.
        if line.len() < max && !line.ends_with(b"\n") {
            return Err(End::Theirs);
        }
        Ok(line)
    }

    fn check_pipelining(&mut self, verb: &str) {
        if !self.has_more() {
            return;
        }
        if !self.pipelining {
            self.violation(format!("pipelined after {verb}, where PIPELINING was not offered"));
        } else if ["EHLO", "HELO", "DATA", "QUIT", "NOOP"].contains(&verb) {
            self.violation(format!("pipelined after {verb}, which must end its group (RFC 2920, 3.1)"));
        }
    }

    /// True when the relay has already sent more than was read: in our buffer or in the kernel's.
    fn has_more(&self) -> bool {
        let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let mut byte = [0_u8];
        !self.reader.buffer().is_empty() || matches!(recv(self.guest.stream(), &mut byte, peek), Ok((_, 1..)))
    }

    /// The reply the host was told to give to this verb.
    fn told(&self, verb: &str) -> Option<String> {
        self.host.with(|m| {
            let next = m.next.get_mut(verb).and_then(|queue| queue.pop_front());
            next.or_else(|| m.always.get(verb).cloned())
        })
    }

    fn delayed(&self, verb: &str) {
        let span = self.host.with(|m| m.delays.get(verb).copied());
        if span.is_some() {
            self.guest.wait_hang_up(span);
        }
    }

    /// Sends a reply; after a 421 the connection is ours to close.
    fn say(&self, reply: &str) -> Step<()> {
        let wire: String = reply.lines().map(|line| format!("{line}\r\n")).collect();
        self.guest.stream().write_all(wire.as_bytes())?;
        if reply.starts_with("421") {
            return Err(End::Ours);
        }
        Ok(())
    }

    /// Waits for the relay's close after the 221, so that a connection counts until both sides have let go of it.
    fn quit(&self) -> Step<End> {
        self.say("221 2.0.0 bye")?;
        let _ = self.guest.stream().shutdown(Shutdown::Write);
        if self.guest.wait_hang_up(Some(AFTER_QUIT)) {
            return Ok(End::Theirs);
        }
        Ok(End::Ours)
    }

    fn violation(&self, what: String) {
        self.host.violation(self.guest.number, what);
    }
}

/// The path and the parameters of MAIL or RCPT.
fn path(line: &str, start: &str) -> Option<(String, Vec<String>)> {
    let head = line.get(..start.len())?;
    if !head.eq_ignore_ascii_case(start) {
        return None;
    }
    let (path, params) = line[start.len()..].rsplit_once('>')?;
    let params = params.split_ascii_whitespace().map(str::to_string);
    Some((path.to_string(), params.collect()))
}
