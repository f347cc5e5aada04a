//! `holes-10000-over-200-addresses`, `holes-10000-at-one-address`, `one-hole-10000`: more silent mail than any pool has seats.
//!
//! The first two have a message for each of 10,000 silent domains, which share their addresses, and then mail to
//! destinations that were proven before the holes came, and to good ones never seen. The third has all its messages for one
//! silent domain.

use super::{Bench, COLUMNS, COSTS, LIMIT, RATIOS, cells, costs, p99, ratios};
use crate::post::Summary;
use crate::relay::{DOOR, Relay, Running};
use crate::source::{Order, send, start};
use crate::table::{Table, ratio, span};
use crate::wait::{until, until_steady};
use std::time::{Duration, Instant};

const HOLES: usize = 10_000;
const DOMAINS: usize = 20;
const PACE: u32 = 100;
const SECONDS: usize = 20;
/// Messages for each destination never seen.
const EACH: usize = 10;

/// The recipient of each of 10,000 messages.
type Holes = fn(usize) -> String;

/// Runs the first: 200 addresses.
pub fn over_200_addresses(bench: &Bench) {
    crowd(bench, "holes-10000-over-200-addresses", |n| format!("fred@group{n}.test"));
}

/// Runs the second: one address.
pub fn at_one_address(bench: &Bench) {
    crowd(bench, "holes-10000-at-one-address", |n| format!("fred@shared{n}.test"));
}

fn crowd(bench: &Bench, name: &str, holes: Holes) {
    let mut table = Table::new(&[&["relay", "holes", "mail to"], &COLUMNS[..], &COSTS[..], &RATIOS].concat());
    for relay in bench.ours() {
        let mut every = [Vec::new(), Vec::new()];
        for (round, holes) in (0..bench.rounds).flat_map(|round| [(round, None), (round, Some(holes))]) {
            let without: Option<[Option<Duration>; 2]> = every[0].get(round).copied();
            let label = if holes.is_some() { "10,000" } else { "none" };
            match once(bench, &relay, holes) {
                Ok((known, new, costs)) => {
                    let last = [ratios(&known, without), ratios(&new, None)];
                    every[usize::from(holes.is_some())].push(p99(&known));
                    for ((to, summary), last) in
                        [("proven", known), ("never seen", new)].into_iter().zip(last)
                    {
                        let mut row = vec![relay.name().to_owned(), label.to_owned(), to.to_owned()];
                        row.extend(cells(&summary));
                        row.extend(costs.clone());
                        row.extend(last);
                        table.row(row);
                    }
                }
                Err(reason) => {
                    eprintln!("bench: {reason}");
                    table.row(vec![relay.name().to_owned(), label.to_owned(), "it did not start".to_owned()]);
                }
            }
        }
        if bench.rounds > 1 {
            table.row(medians(&relay, &every));
        }
    }
    table.print(&format!(
        "{name}: a message for each of 10,000 silent domains, then {PACE}/s for {SECONDS} s to {DOMAINS} proven destinations, \
         and {EACH} messages for each of {DOMAINS} good ones never seen (limit {} s)",
        LIMIT.as_secs()
    ));
}

/// The medians of the rounds, of p99 for proven destinations: without holes, with them, and their ratios.
fn medians(relay: &Relay, every: &[Vec<[Option<Duration>; 2]>; 2]) -> Vec<String> {
    let median = |holes: usize, from: usize| {
        let mut all: Vec<_> = every[holes].iter().map(|p99| p99[from]).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().flatten()
    };
    let cell = |from| format!("{} / {}", span(median(1, from)), span(median(0, from)));
    let (none, name) = (String::new, relay.name().to_owned());
    let mut row =
        vec![name, "medians".into(), "proven".into(), none(), none(), cell(0), none(), cell(1), none()];
    row.extend([none(), none(), none()]);
    row.extend([0, 1].map(|from| ratio(median(1, from), median(0, from))));
    row
}

fn once(
    bench: &Bench,
    relay: &Relay,
    holes: Option<Holes>,
) -> Result<(Summary, Summary, Vec<String>), String> {
    let running = bench.start(relay, "")?;
    let known: fn(usize) -> String = |n| format!("gwen@known{}.test", n % DOMAINS);
    let first = bench.street.post.batch(DOMAINS * 20);
    send(&first, &Order::new(DOOR.into(), known).at(PACE));
    until(LIMIT, || first.delivered() == first.len());
    if let Some(holes) = holes {
        fill(bench, holes);
    }
    let begin = Instant::now();
    let proven = bench.street.post.batch(PACE as usize * SECONDS);
    let clients = start(&proven, &Order::new(DOOR.into(), known).at(PACE));
    let new = bench.street.post.batch(DOMAINS * EACH);
    send(&new, &Order::new(DOOR.into(), |n| format!("gwen@good{}.test", n % DOMAINS + 1)).at(PACE));
    clients.into_iter().for_each(|client| {
        let _ = client.join();
    });
    let all = || proven.delivered() == proven.len() && new.delivered() == new.len();
    until(LIMIT.saturating_sub(begin.elapsed()), all);
    Ok((proven.summary(), new.summary(), costs(bench, &running)))
}

/// Hands over 10,000 messages for holes.
fn fill(bench: &Bench, holes: Holes) {
    let batch = bench.street.post.batch(HOLES);
    let begin = Instant::now();
    send(&batch, &Order { size: 1024, ..Order::new(DOOR.into(), holes) });
    let (accepted, held) = (batch.summary().accepted, bench.street.held());
    eprintln!(
        "bench: {accepted} messages for holes in {:.1?}, {held} connections held there",
        begin.elapsed()
    );
}

/// Runs the third: one silent domain.
pub fn one_hole(bench: &Bench) {
    let mut table = Table::new(&[&["relay"], &COLUMNS[..], &COSTS[..], &["held at the end"]].concat());
    for relay in bench.ours() {
        match bench.start(&relay, "") {
            Ok(running) => table.row(one_hole_row(bench, &relay, &running)),
            Err(reason) => eprintln!("bench: {reason}"),
        }
    }
    table.print(
        "one-hole-10000: 10,000 messages for one silent domain, then 100/s for 20 s to 20 good ones never seen",
    );
}

fn one_hole_row(bench: &Bench, relay: &Relay, running: &Running) -> Vec<String> {
    fill(bench, |_| "fred@hole1.test".to_owned());
    until_steady(Duration::from_secs(2), Duration::from_secs(10), || bench.street.held());
    let begin = Instant::now();
    let good = bench.street.post.batch(PACE as usize * SECONDS);
    send(&good, &Order::new(DOOR.into(), |n| format!("gwen@good{}.test", n % DOMAINS + 1)).at(PACE));
    until(LIMIT.saturating_sub(begin.elapsed()), || good.delivered() == good.len());
    let mut row = vec![relay.name().to_owned()];
    row.extend(cells(&good.summary()));
    row.extend(costs(bench, running));
    row.push(bench.street.held().to_string());
    row
}
