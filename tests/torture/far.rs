//! The far side: hosts that take mail, hosts that refuse it for good, and hosts that want to be asked twice. They keep no
//! message: they hold it against its token and its sum, and enter it into the book.

use crate::book::Book;
use crate::peer::{Door, End, Guest};
use crate::street::Street;
use crate::wait::pause;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Takes,
    /// Takes, a moment after the final dot: its reply is in flight longer.
    Slow,
    /// 550 to RCPT.
    Denies,
    /// 554 to the final dot.
    DeniesData,
    /// 451 to the first RCPT of each message.
    Later,
    /// 451 to the first final dot of each message.
    LaterData,
    /// Takes the first copy of each message and says nothing: nobody can know.
    Cuts,
    /// 451 to RCPT until it is opened.
    Shut,
}

/// The domains, and how many messages of a hundred are for each.
pub const DOMAINS: [(&str, Manner, u64); 10] = [
    ("one.test", Manner::Takes, 20),
    ("two.test", Manner::Takes, 20),
    ("three.test", Manner::Takes, 15),
    ("slow.test", Manner::Slow, 10),
    ("deny.test", Manner::Denies, 8),
    ("denydata.test", Manner::DeniesData, 8),
    ("later.test", Manner::Later, 8),
    ("laterdata.test", Manner::LaterData, 6),
    ("cut.test", Manner::Cuts, 1),
    ("shut.test", Manner::Shut, 4),
];

/// Where bounces go.
pub const HOME: &str = "home.test";

/// All hosts. Dropping it ends them.
#[derive(Debug)]
pub struct Far {
    _doors: Vec<Door>,
    shut: Arc<AtomicBool>,
}

impl Far {
    /// Opens every host in this street. The one that may be shut is open.
    pub fn open(street: &Street, book: &Arc<Book>) -> Far {
        let shut = Arc::new(AtomicBool::new(false));
        let homes = [(HOME, Manner::Takes, 0)];
        let doors = DOMAINS.iter().chain(&homes).map(|(domain, manner, _)| {
            let addr = street.addr();
            street.domain_at(domain, addr);
            let host = Host {
                book: book.clone(),
                manner: *manner,
                seen: Mutex::new(HashSet::new()),
                shut: shut.clone(),
            };
            Door::open(addr, move |guest| host.serve(guest).unwrap_or(End::Theirs))
        });
        Far { _doors: doors.collect(), shut }
    }

    /// Shuts or opens `shut.test`.
    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

struct Host {
    book: Arc<Book>,
    manner: Manner,
    /// Tokens that have been here.
    seen: Mutex<HashSet<u64>>,
    shut: Arc<AtomicBool>,
}

impl Host {
    fn is_first(&self, token: u64) -> bool {
        self.seen.lock().insert(token)
    }

    fn serve(&self, guest: &Guest) -> io::Result<End> {
        let mut reader = BufReader::new(guest.stream());
        let say = |reply: &str| {
            let mut stream = guest.stream();
            stream.write_all(format!("{reply}\r\n").as_bytes())
        };
        say("220 far.test ESMTP")?;
        let (mut null, mut token) = (false, None);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(End::Theirs);
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_string();
            let upper = text.to_uppercase();
            match upper.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => say("250-far.test\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 PIPELINING")?,
                "MAIL" => {
                    (null, token) = (upper.starts_with("MAIL FROM:<>"), None);
                    say("250 2.1.0 ok")?;
                }
                "RCPT" => {
                    let found = text.split('<').nth(1).and_then(|rest| rest.split('@').next());
                    let found = found.and_then(|local| local.strip_prefix('t')?.parse().ok());
                    let reply = match (self.manner, found) {
                        (_, None) => "550 5.1.1 whose?",
                        (Manner::Denies, _) => "550 5.1.1 never",
                        (Manner::Later, Some(token)) if self.is_first(token) => "451 4.7.1 later",
                        (Manner::Shut, _) if self.shut.load(Ordering::Relaxed) => "451 4.3.2 shut",
                        _ => "250 2.1.5 ok",
                    };
                    if reply.starts_with('2') {
                        token = found;
                    }
                    say(reply)?;
                }
                "DATA" => {
                    let Some(token) = token.take() else {
                        say("503 5.5.1 for whom?")?;
                        continue;
                    };
                    say("354 go on")?;
                    if self.data(&mut reader, token, null, &say)? {
                        return Ok(End::Ours);
                    }
                }
                "RSET" | "NOOP" => say("250 2.0.0 ok")?,
                "QUIT" => {
                    say("221 2.0.0 bye")?;
                    return Ok(End::Theirs);
                }
                _ => say("500 5.5.1 what?")?,
            }
        }
    }

    /// Reads a message and answers it; true when the connection is to be cut in place of an answer.
    fn data(
        &self,
        reader: &mut impl BufRead,
        token: u64,
        null: bool,
        say: &impl Fn(&str) -> io::Result<()>,
    ) -> io::Result<bool> {
        let damage = read(reader, token, null)?;
        let reply = match self.manner {
            Manner::DeniesData => "554 5.6.0 never",
            Manner::LaterData if self.is_first(token) => "451 4.7.1 later",
            _ => "250 2.0.0 taken",
        };
        if !reply.starts_with('2') {
            say(reply)?;
            return Ok(false);
        }
        if let Some(damage) = damage {
            self.book.damaged(format!("t{token}: {damage}"));
        }
        let copy = self.book.arrived(token, null);
        if self.manner == Manner::Cuts && self.is_first(token) {
            return Ok(true);
        }
        if self.manner == Manner::Slow {
            pause(Duration::from_millis(30));
        }
        say(reply)?;
        if let Some(copy) = copy {
            self.book.answered(copy);
        }
        Ok(false)
    }
}

/// The sum over the lines of a body, as sent and as received.
pub fn sum(lines: impl Iterator<Item = impl AsRef<[u8]>>) -> u64 {
    lines.fold(0xcbf2_9ce4_8422_2325, |sum, line| {
        let line = line.as_ref().iter().chain(b"\n");
        line.fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// Reads to the final dot, and says what is wrong with the message. A bounce has its own words: of it only that it tells of
/// the token.
fn read(reader: &mut impl BufRead, token: u64, bounce: bool) -> io::Result<Option<String>> {
    let (mut line, mut head, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let mut in_head = true;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if text == b"." {
            break;
        }
        let text = text.strip_prefix(b".").unwrap_or(text);
        match in_head {
            true if text.is_empty() => in_head = false,
            true => head.push(String::from_utf8_lossy(text).into_owned()),
            false => body.push(text.to_vec()),
        }
    }
    if bounce {
        let mark = format!("t{token}@");
        let told = body.iter().any(|line| String::from_utf8_lossy(line).contains(&mark));
        return Ok((!told).then(|| "its bounce does not name it".to_string()));
    }
    let mark = format!("Sum: {token} {}", sum(body.iter()));
    let fine = head.contains(&mark);
    Ok((!fine).then(|| format!("{mark} is not in {head:?}")))
}
