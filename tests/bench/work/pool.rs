//! `idle-pool`: what a pool of 1,000 threads weighs while it has nothing to do, and while every one of them waits for a host
//! that says nothing.

use super::Bench;
use crate::gauge::Look;
use crate::relay::{DOOR, Relay, slots};
use crate::source::{Order, send};
use crate::table::{Table, megabytes};
use crate::wait::{pause, until};
use std::time::Duration;

const THREADS: usize = 1000;

/// All seats may be held by new destinations, and nobody loses patience.
const BLOCKED: &str = "delivery.new_share = 100\ntimeouts.patience = \"5m\"";

/// Runs it.
pub fn run(bench: &Bench) {
    let mut table = Table::new(&["Sendoff", "slots", "connections at the holes", "threads", "RSS"]);
    if let Err(reason) = rows(bench, &mut table) {
        eprintln!("bench: {reason}");
    }
    table.print(&format!("idle-pool: the pool of {THREADS} threads, idle and blocked"));
}

fn rows(bench: &Bench, table: &mut Table) -> Result<(), String> {
    let relay = bench.start(&Relay::Sendoff, BLOCKED)?;
    let mut look = |what: &str| {
        let look = relay.process.map(Look::at);
        let cell = |of: fn(Look) -> String| look.map_or_else(String::new, of);
        table.row(vec![
            what.to_owned(),
            slots(&relay).map_or_else(|| "?".to_owned(), |slots| slots.to_string()),
            bench.street.held().to_string(),
            cell(|look| look.threads.to_string()),
            cell(|look| megabytes(look.resident)),
        ]);
    };
    pause(Duration::from_secs(2));
    look("idle, just started");
    let batch = bench.street.post.batch(THREADS + THREADS / 5);
    send(&batch, &Order { size: 1024, ..Order::new(DOOR.into(), |n| format!("fred@hole{n}.test")) });
    until(Duration::from_secs(60), || bench.street.held() >= THREADS);
    pause(Duration::from_secs(2));
    look("every thread blocked at a hole");
    Ok(())
}
