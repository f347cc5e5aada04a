//! The source: our own client, which hands messages to a relay at a pace, or as fast as the relay takes them.
//!
//! At a pace it is an open loop: each message has its moment, and a relay that is slow to answer does not slow the clock
//! against which it is measured. Every wait is bounded, and the source as a whole ends at its limit.

use crate::post::Batch;
use crate::wait::pause;
use std::io::{BufRead, BufReader, Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a relay may take over one reply.
const REPLY: Duration = Duration::from_secs(30);

/// The reverse-path: a good host, so that what a relay writes back leaves as well.
pub const FROM: &str = "bench@good0.test";

/// What is to be sent, and how.
#[derive(Clone)]
pub struct Order {
    /// The relay.
    pub relay: SocketAddr,
    /// The recipient of each message, by its number; with several (`Batch::each`), recipient `k` of message `n` is that of
    /// `n * each + k`.
    pub to: fn(usize) -> String,
    /// Clients at once, each with one session.
    pub clients: usize,
    /// Messages a second; none: each client sends its next when the last was answered.
    pub pace: Option<u32>,
    /// Octets of a message.
    pub size: usize,
    /// Nothing more is begun after this.
    pub limit: Duration,
    /// The null reverse-path: what fails leaves no letter behind.
    pub null: bool,
}

impl Order {
    /// 4 KB messages from 20 clients, within a minute.
    pub fn new(relay: SocketAddr, to: fn(usize) -> String) -> Order {
        let limit = Duration::from_secs(60);
        Order { relay, to, clients: 20, pace: None, size: 4096, limit, null: false }
    }

    /// The same at a pace, from as many clients as keep it up when a relay takes a quarter of a second.
    pub fn at(self, pace: u32) -> Order {
        Order { pace: Some(pace), clients: 50, ..self }
    }
}

/// Sends a batch; returns when all of it was answered, or at the limit.
pub fn send(batch: &Arc<Batch>, order: &Order) {
    start(batch, order).into_iter().for_each(|client| {
        let _ = client.join();
    });
}

/// Begins to send a batch.
pub fn start(batch: &Arc<Batch>, order: &Order) -> Vec<JoinHandle<()>> {
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let client = |_| {
        let (batch, order, next) = (Arc::clone(batch), order.clone(), Arc::clone(&next));
        std::thread::spawn(move || work(&batch, &order, &next, begin))
    };
    (0..order.clients.min(batch.len())).map(client).collect()
}

fn work(batch: &Batch, order: &Order, next: &AtomicUsize, begin: Instant) {
    let mut session = None;
    let filler = filler(order.size);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= batch.len() {
            break;
        }
        let due = order.pace.map_or_else(Instant::now, |pace| {
            begin + Duration::from_secs(1) * u32::try_from(number).unwrap_or(u32::MAX) / pace
        });
        pause(due.saturating_duration_since(Instant::now()));
        if begin.elapsed() > order.limit {
            break;
        }
        batch.due(number, Instant::now().saturating_duration_since(due));
        let mut hand_over = || hand_over(&mut session, batch, order, number, &filler);
        // A relay may end a session when it has had enough of it; the message is refused if a new one does not take it. Once
        // its final dot is on the way it is not sent again: the duplicate would be ours.
        let sent = match hand_over() {
            Err(Trouble::Before(_)) => hand_over(),
            sent => sent,
        };
        match sent {
            Ok(()) => batch.accepted(number),
            Err(Trouble::Before(error) | Trouble::After(error)) => batch.refused(&error),
        }
    }
    if let Some(mut session) = session {
        let _ = session.say(b"QUIT\r\n").and_then(|()| session.hear(b'2'));
    }
}

/// Why a message was not taken: an error before its final dot was sent, or one after it.
enum Trouble {
    Before(Error),
    After(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Before(error)
    }
}

/// Hands over a message; a session in which that fails is closed.
fn hand_over(
    kept: &mut Option<Session>,
    batch: &Batch,
    order: &Order,
    number: usize,
    filler: &[u8],
) -> Result<(), Trouble> {
    let mut session = match kept.take() {
        Some(session) => session,
        None => Session::open(order.relay)?,
    };
    let from = if order.null { "" } else { FROM };
    let each = batch.each();
    let to: Vec<_> = (0..each).map(|k| (order.to)(number * each + k)).collect();
    let mut commands = vec![(format!("MAIL FROM:<{from}>\r\n"), b'2')];
    commands.extend(to.iter().map(|to| (format!("RCPT TO:<{to}>\r\n"), b'2')));
    commands.push(("DATA\r\n".to_owned(), b'3'));
    if session.pipelining {
        session.say(commands.iter().map(|(command, _)| command.as_str()).collect::<String>().as_bytes())?;
    }
    for (command, class) in &commands {
        if !session.pipelining {
            session.say(command.as_bytes())?;
        }
        session.hear(*class)?;
    }
    let mut message = Vec::with_capacity(filler.len() + 300);
    let head = batch.mark(number);
    let process = std::process::id();
    write!(
        message,
        "{head}\r\nMessage-ID: <{number}.{process}@bench.test>\r\nFrom: <{FROM}>\r\nTo: <{}>\r\nSubject: {number}\r\n\r\n",
        to[0]
    )?;
    message.extend(filler);
    session.say(&message)?;
    session.hear(b'2').map_err(Trouble::After)?;
    *kept = Some(session);
    Ok(())
}

/// Lines of 64 octets, and the final dot.
fn filler(size: usize) -> Vec<u8> {
    let line = [&[b'm'; 62][..], b"\r\n"].concat();
    let mut body = line.repeat(size / line.len());
    body.extend(b".\r\n");
    body
}

struct Session {
    stream: BufReader<TcpStream>,
    /// The relay takes several commands at once (RFC 2920).
    pipelining: bool,
}

impl Session {
    fn open(relay: SocketAddr) -> Result<Session, Error> {
        let stream = TcpStream::connect_timeout(&relay, REPLY)?;
        stream.set_read_timeout(Some(REPLY))?;
        stream.set_write_timeout(Some(REPLY))?;
        stream.set_nodelay(true)?;
        let mut session = Session { stream: BufReader::new(stream), pipelining: false };
        session.hear(b'2')?;
        session.say(b"EHLO source.test\r\n")?;
        session.hear(b'2')?;
        Ok(session)
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.get_mut().write_all(bytes)
    }

    /// A reply of this class.
    fn hear(&mut self, class: u8) -> Result<(), Error> {
        let mut line = Vec::new();
        loop {
            line.clear();
            self.stream.read_until(b'\n', &mut line)?;
            self.pipelining |= line.get(4..14).is_some_and(|word| word.eq_ignore_ascii_case(b"PIPELINING"));
            if line.get(3) != Some(&b'-') || line.first() != Some(&class) {
                break;
            }
        }
        if line.first() == Some(&class) {
            return Ok(());
        }
        Err(Error::other(String::from_utf8_lossy(&line).into_owned()))
    }
}
