//! `growth`: whether a message costs more when the queue is longer, the destinations are more, or the pool is larger. Ours only.
//!
//! The load is that of `steady`, once each; one thing grows tenfold and a hundredfold. What rests in the queue is for hosts that
//! answered 421, in a back-off of an hour, so that nothing of it is due while the rest is measured. Every destination has had
//! a message before, so that what is counted is the message, and not the first acquaintance.

use super::Bench;
use super::figures::Figures;
use super::throughput::Load;
use crate::relay::{DOOR, Relay};
use crate::source::{Order, send};
use crate::table::{Table, span};
use crate::wait::{until, until_steady};
use std::time::Duration;

/// The pool of ten must be larger than what one destination may hold.
const FEW: &str = "delivery.connections_per_destination = 5\ndelivery.connections_per_address = 5\n";

/// Runs it.
pub fn run(bench: &Bench) {
    let mut table = Table::new(&[
        "what grows",
        "to",
        "msgs/s",
        "CPU ms a message",
        "p50",
        "p99",
        "peak memory",
        "missing",
        "twice",
        "CPU to 1x",
        "sessions a message",
    ]);
    let to: [fn(usize) -> String; 5] = [
        |n| format!("gwen@good{}.test", n % 20 + 1),
        |n| format!("gwen@good{}.test", n % 8 + 1),
        |n| format!("gwen@good{}.test", n % 80 + 1),
        |n| format!("gwen@good{}.test", n % 800 + 1),
        |n| format!("gwen@good{}.test", n % 2000 + 1),
    ];
    let step = |count, to, destinations| Step { count, to, destinations, rest: 0, workers: None };
    let queue = [1_000, 10_000, 100_000].map(|count| Step { rest: count, ..step(count, to[0], 20) });
    // The last are twice the seats of the pool: who is without one takes that of another, and begins a session.
    let destinations = [(8, to[1]), (80, to[2]), (800, to[3]), (2000, to[4])].map(|(n, to)| step(n, to, n));
    let pool = [10, 100, 1000].map(|count| Step { workers: Some(count), ..step(count, to[0], 20) });
    for (name, steps) in [
        ("messages at rest in the queue", &queue[..]),
        ("destinations", &destinations),
        ("workers of the pool", &pool),
    ] {
        let mut first = None;
        for step in steps {
            match once(bench, step) {
                Ok((figures, sessions)) => {
                    // Seconds for a thousand are milliseconds for one.
                    let base = *first.get_or_insert(figures.cost);
                    table.row(row(name, step.count, &figures, base, sessions));
                }
                Err(reason) => eprintln!("bench: {reason}"),
            }
        }
    }
    table.print(&format!(
        "growth: the load of steady ({} s) while one thing grows 1x, 10x, 100x (and destinations beyond the \
         seats of the pool); retry.site_first = \"1h\", and \
         caps of 5 connections in the rows of the pool",
        bench.seconds.as_secs()
    ));
}

/// One row.
struct Step {
    /// What grows, in figures.
    count: usize,
    to: fn(usize) -> String,
    destinations: usize,
    /// Messages at rest.
    rest: usize,
    workers: Option<usize>,
}

#[allow(clippy::cast_precision_loss)]
fn row(name: &str, count: usize, figures: &Figures, base: f64, sessions: usize) -> Vec<String> {
    vec![
        name.to_owned(),
        count.to_string(),
        format!("{:.0}", figures.rate),
        format!("{:.3}", figures.cost),
        span(figures.p50),
        span(figures.p99),
        crate::table::megabytes(figures.peak),
        figures.lost.to_string(),
        figures.twice.to_string(),
        format!("{:.2}", figures.cost / base),
        format!("{:.2}", sessions as f64 / figures.delivered.max(1) as f64),
    ]
}

/// The figures, and the sessions that the far side had for them.
fn once(bench: &Bench, step: &Step) -> Result<(Figures, usize), String> {
    let workers = step.workers.map(|count| format!("delivery.workers = {count}\n{FEW}"));
    let settings = workers.unwrap_or_default() + "retry.site_first = \"1h\"\n";
    let running = bench.start(&Relay::Sendoff, &settings)?;
    let first = bench.street.post.batch(step.destinations);
    send(&first, &Order::new(DOOR.into(), step.to));
    if !until(Duration::from_secs(60), || first.delivered() == first.len()) {
        return Err("growth: the first message for each destination is not there after a minute".to_owned());
    }
    let sessions = || bench.street.counts(|_| true).iter().map(|count| count.ever).sum::<usize>();
    if step.rest > 0 {
        let batch = bench.street.post.batch(step.rest);
        let resting = Order::new(DOOR.into(), |n| format!("fred@busy{}.test", n % 20));
        send(&batch, &Order { limit: Duration::from_secs(300), size: 1024, ..resting });
        let accepted = batch.accepted_so_far();
        if accepted < step.rest {
            return Err(format!("growth: only {accepted} of {} messages were accepted in time", step.rest));
        }
        until_steady(Duration::from_secs(3), Duration::from_secs(30), sessions);
    }
    let before = sessions();
    let figures = Load::steady_to(step.to).once(bench, &Relay::Sendoff, &running);
    Ok((figures, sessions() - before))
}
