//! The load: clients that send without pause, whether the relay is there or not.

use crate::book::{Book, Told};
use crate::client::{Client, Refused};
use crate::far::{DOMAINS, HOME, Manner, sum};
use crate::random::Random;
use crate::wait::pause;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// With so many accepted and not there yet, the clients wait: they are faster than two cores can deliver.
const BEHIND: usize = 1500;

/// The clients. Dropping it stops them and waits for their end.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(book: &Arc<Book>, relay: SocketAddr, clients: u64, seed: u64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|n| {
            let (book, stop) = (book.clone(), stop.clone());
            std::thread::spawn(move || run(&book, relay, &stop, Random::new(seed ^ (n + 1) << 32)))
        });
        Load { clients: clients.collect(), stop }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has said so, and the count will not add up.
            let _ = client.join();
        }
    }
}

fn run(book: &Book, relay: SocketAddr, stop: &AtomicBool, mut random: Random) {
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        if book.accepted() > book.finished() + BEHIND {
            pause(Duration::from_millis(5));
            continue;
        }
        let Some(mut client) = connection.take().or_else(|| Client::greet(relay).ok()) else {
            pause(Duration::from_millis(5));
            continue;
        };
        let (token, sent) = send(book, &mut client, &mut random);
        match sent {
            Ok(()) => {
                book.told(token, Told::Accepted);
                // Some clients have but one message.
                connection = (!random.percent(10)).then_some(client);
            }
            Err(Refused::Said(reply)) => {
                book.told(token, Told::Refused(reply.code));
                // Whoever is refused comes back later; here that is soon.
                pause(Duration::from_millis(10));
            }
            Err(Refused::Broken(_)) => {}
        }
    }
}

/// Sends a new message for somebody.
fn send(book: &Book, client: &mut Client, random: &mut Random) -> (u64, Result<(), Refused>) {
    let mut left = random.below(DOMAINS.iter().map(|(.., share)| share).sum());
    let domain = DOMAINS.iter().find(|(.., share)| {
        let found = left < *share;
        left = left.saturating_sub(*share);
        found
    });
    let (domain, manner, _) = domain.unwrap_or(&DOMAINS[0]);
    let token = book.open(matches!(manner, Manner::Denies | Manner::DeniesData));
    // One in eight is larger than a row of the spool may be, and becomes a file.
    let octets = if random.percent(12) { random.spread(70_000, 400_000) } else { random.spread(100, 16_000) };
    let filler = format!(".{:060x}", random.below(u64::MAX));
    let lines = || (0..octets / 64 + 1).map(|n| format!("{filler} {n}"));
    let mut body = format!("Subject: torture\nSum: {token} {}\n\n", sum(lines()));
    lines().for_each(|line| {
        body.push_str(&line);
        body.push('\n');
    });
    let sent = client.send(&format!("t{token}@{HOME}"), &[&format!("t{token}@{domain}")], &body);
    (token, sent.map(drop))
}
