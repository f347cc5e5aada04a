//! `steady`, `one-domain`, `large`, `recipients`, `trickle`: healthy mail to healthy hosts, as fast as the relay takes it, or at a
//! pace.
//!
//! Mail is sent for `BENCH_SECONDS` (8), and then waited for until all that was accepted is there, for a minute at most. The
//! rate counts what arrived, until the last of it did: a relay that only accepts quickly gains nothing. Relays take turns
//! within each of `BENCH_ROUNDS` (1).

use super::Bench;
use super::figures::{Figures, Side, Spent};
use crate::relay::{Relay, Running};
use crate::source::{Order, send};
use crate::wait::until;
use std::time::Duration;

/// How long accepted mail is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// The most messages a second that a batch has room for: more than the driver can send.
const ROOM: usize = 100_000;

/// One kind of healthy mail.
#[derive(Clone, Copy)]
pub struct Load {
    title: &'static str,
    to: fn(usize) -> String,
    size: usize,
    recipients: u32,
    pace: Option<u32>,
}

const STEADY: Load = Load {
    title: "steady: 20 domains, 4 KB, 20 clients",
    to: |n| format!("gwen@good{}.test", n % 20 + 1),
    size: 4096,
    recipients: 1,
    pace: None,
};

/// Runs `steady`.
pub fn steady(bench: &Bench) {
    STEADY.run(bench);
}

/// Runs `one-domain`.
pub fn one_domain(bench: &Bench) {
    let to = |_| "gwen@good1.test".to_owned();
    Load { title: "one-domain: one domain with one host, 4 KB, 20 clients", to, ..STEADY }.run(bench);
}

/// Runs `large`.
pub fn large(bench: &Bench) {
    Load { title: "large: 20 domains, 1 MB, 20 clients", size: 1 << 20, ..STEADY }.run(bench);
}

/// Runs `recipients`.
pub fn recipients(bench: &Bench) {
    Load {
        title: "recipients: 50 recipients over 20 domains in each message, 4 KB, 20 clients; a message has arrived when all its \
                recipients have it, and what is missing or there twice is counted by recipient",
        to: |n| format!("r{}@good{}.test", n % 50, n % 50 % 20 + 1),
        recipients: 50,
        ..STEADY
    }
    .run(bench);
}

/// Runs `trickle`.
pub fn trickle(bench: &Bench) {
    Load { title: "trickle: 200 messages a second to 20 domains, 4 KB", pace: Some(200), ..STEADY }
        .run(bench);
}

impl Load {
    /// The same to other recipients.
    pub fn steady_to(to: fn(usize) -> String) -> Load {
        Load { to, ..STEADY }
    }

    fn run(&self, bench: &Bench) {
        let mut side = Side::default();
        for round in 1..=bench.rounds {
            for relay in [Relay::Ceiling].iter().chain(&bench.relays) {
                eprintln!("bench: round {round} of {}", bench.rounds);
                let figures = bench.start(relay, "").map(|running| self.once(bench, relay, &running));
                side.add(relay, figures, "");
            }
        }
        let (rounds, seconds) = (bench.rounds, bench.seconds.as_secs());
        side.print(&format!("{} ({seconds} s; medians of rounds: {rounds})", self.title));
    }

    /// Sends it to a relay that runs, and waits for it.
    pub fn once(&self, bench: &Bench, relay: &Relay, running: &Running) -> Figures {
        let seconds = usize::try_from(bench.seconds.as_secs()).unwrap_or(1);
        let room = self.pace.map_or(ROOM, |pace| pace as usize) * seconds;
        let before = Spent::now(running);
        let batch = bench.street.post.batch_of(room, self.recipients);
        let order = Order::new(relay.door(), self.to);
        send(&batch, &Order { size: self.size, pace: self.pace, limit: bench.seconds, ..order });
        until(LIMIT, || batch.missing() == 0);
        let took = batch.summary().last;
        Figures::of(&batch, running, before, took)
    }
}
