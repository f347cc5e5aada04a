//! `holes-200`: 200 silent domains with ten messages each, then healthy mail at 200 a second to 20 good domains that
//! nobody has seen before; and the same without holes.

use super::{Bench, COLUMNS, COSTS, LIMIT, RATIOS, cells, costs, p99, ratios};
use crate::relay::{DOOR, Relay};
use crate::source::{Order, send};
use crate::table::Table;
use crate::wait::{until, until_steady};
use std::time::{Duration, Instant};

const HOLES: usize = 200;
const EACH: usize = 10;
const GOOD: usize = 20;
const PACE: u32 = 200;
const SECONDS: usize = 10;

/// Runs it with every relay.
pub fn run(bench: &Bench) {
    let mut table = Table::new(&[&["relay", "holes"], &COLUMNS[..], &COSTS[..], &RATIOS].concat());
    for relay in bench.relays.iter().filter(|relay| !relay.is_variant()) {
        let without = once(bench, relay, false, None, &mut table);
        once(bench, relay, true, without, &mut table);
    }
    table.print(&format!(
        "holes-{HOLES}: {HOLES} silent domains x {EACH} messages, then {PACE}/s for {SECONDS} s to {GOOD} good domains \
         never seen before (limit {} s)",
        LIMIT.as_secs()
    ));
}

/// One run; its p99, both.
fn once(
    bench: &Bench,
    relay: &Relay,
    holes: bool,
    without: Option<[Option<Duration>; 2]>,
    table: &mut Table,
) -> Option<[Option<Duration>; 2]> {
    let mut row = vec![relay.name().to_owned(), if holes { HOLES.to_string() } else { "none".to_owned() }];
    let running = match bench.start(relay, "") {
        Ok(running) => running,
        Err(reason) => {
            eprintln!("bench: {reason}");
            row.push("it did not start".to_owned());
            table.row(row);
            return None;
        }
    };
    if holes {
        let batch = bench.street.post.batch(HOLES * EACH);
        send(&batch, &Order::new(DOOR.into(), |n| format!("fred@hole{}.test", n % HOLES)));
        until_steady(Duration::from_secs(1), Duration::from_secs(10), || bench.street.held());
        let accepted = batch.summary().accepted;
        eprintln!("bench: {accepted} messages for holes, {} connections held there", bench.street.held());
    }
    let batch = bench.street.post.batch(PACE as usize * SECONDS);
    let begin = Instant::now();
    let order = Order::new(DOOR.into(), |n| format!("gwen@good{}.test", n % GOOD + 1)).at(PACE);
    send(&batch, &order);
    until(LIMIT.saturating_sub(begin.elapsed()), || batch.delivered() == batch.len());
    let summary = batch.summary();
    row.extend(cells(&summary));
    row.extend(costs(bench, &running));
    row.extend(ratios(&summary, without));
    table.row(row);
    Some(p99(&summary))
}
