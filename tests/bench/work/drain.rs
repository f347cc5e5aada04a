//! `drain`: mail that waits for hosts that turned everybody away, and how fast it leaves once they are well and the relay is told so.
//!
//! Every host answers 421 until `BENCH_DRAIN` (2,000) messages are queued and the relay has left them alone. Then they take mail, and
//! the relay's own command to try everything now is given, once.

use super::Bench;
use super::figures::{Figures, Side, Spent};
use crate::relay::{Relay, flush};
use crate::source::{Order, send};
use crate::wait::{until, until_steady};
use std::time::{Duration, Instant};

/// How long a relay may take to let go of its queue.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs it with every relay.
pub fn run(bench: &Bench) {
    let count = super::number("BENCH_DRAIN", 2000);
    let mut side = Side::default();
    for round in 1..=bench.rounds {
        for relay in &bench.relays {
            eprintln!("bench: round {round} of {}", bench.rounds);
            match once(bench, relay, count) {
                Ok((figures, command)) => side.add(relay, Ok(figures), &command),
                Err(reason) => side.add(relay, Err(reason), ""),
            }
        }
    }
    side.print(&format!(
        "drain: {count} messages (4 KB) for 20 domains that answered 421, from the moment they took mail and the command under \
         remarks was given (medians of rounds: {}; limit {} s; p50 and p99 from that moment too)",
        bench.rounds,
        LIMIT.as_secs()
    ));
}

fn once(bench: &Bench, relay: &Relay, count: usize) -> Result<(Figures, String), String> {
    let running = bench.start(relay, "")?;
    let batch = bench.street.post.batch(count);
    send(&batch, &Order::new(relay.door(), |n| format!("gwen@busy{}.test", n % 20)));
    let tries = || bench.street.counts(|_| true).iter().map(|count| count.ever).sum();
    until_steady(Duration::from_secs(3), Duration::from_secs(30), tries);
    let (before, healed, at) = (Spent::now(&running), Instant::now(), batch.age());
    bench.street.relent();
    let command = flush(relay, &running);
    until(LIMIT.saturating_sub(healed.elapsed()), || batch.missing() == 0);
    let took = batch.summary().last.saturating_sub(at);
    let mut figures = Figures::of(&batch, &running, before, took);
    let since = |quantile: Option<Duration>| quantile.map(|last| last.saturating_sub(at));
    (figures.p50, figures.p99) = (since(batch.arrival(0.5)), since(batch.arrival(0.99)));
    Ok((figures, command))
}
