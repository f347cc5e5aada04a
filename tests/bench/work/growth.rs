//! `growth`: whether a message costs more when the queue is longer, the destinations are more, or the pool is larger. Ours only.
//!
//! The load is that of `steady`, once each; one thing grows tenfold and a hundredfold. What rests in the queue is for hosts that
//! answered 421, in a back-off of an hour, so that nothing of it is due while the rest is measured.

use super::Bench;
use super::figures::Figures;
use super::throughput::Load;
use crate::relay::{DOOR, Relay};
use crate::source::{Order, send};
use crate::table::{Table, span};
use crate::wait::until_steady;
use std::time::Duration;

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
    ]);
    let to: [fn(usize) -> String; 3] = [
        |n| format!("gwen@good{}.test", n % 20 + 1),
        |n| format!("gwen@good{}.test", n % 200 + 1),
        |n| format!("gwen@good{}.test", n % 2000 + 1),
    ];
    let queue = [1_000, 10_000, 100_000].map(|count| (count, to[0], count, None));
    let destinations = [(20, to[0]), (200, to[1]), (2000, to[2])].map(|(count, to)| (count, to, 0, None));
    let pool = [10, 100, 1000].map(|count| (count, to[0], 0, Some(count)));
    for (name, steps) in
        [("messages at rest in the queue", queue), ("destinations", destinations), ("workers of the pool", pool)]
    {
        let mut first = None;
        for (count, to, rest, workers) in steps {
            let settings = workers.map_or_else(String::new, |count| format!("delivery.workers = {count}\n"))
                + "retry.site_first = \"1h\"\n";
            match once(bench, &settings, to, rest) {
                Ok(figures) => {
                    // Seconds for a thousand are milliseconds for one.
                    let base = *first.get_or_insert(figures.cost);
                    table.row(row(name, count, &figures, base));
                }
                Err(reason) => eprintln!("bench: {reason}"),
            }
        }
    }
    table.print(&format!(
        "growth: the load of steady ({} s) while one thing grows 1x, 10x, 100x; retry.site_first = \"1h\"",
        bench.seconds.as_secs()
    ));
}

fn row(name: &str, count: usize, figures: &Figures, base: f64) -> Vec<String> {
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
    ]
}

fn once(bench: &Bench, settings: &str, to: fn(usize) -> String, rest: usize) -> Result<Figures, String> {
    let running = bench.start(&Relay::Sendoff, settings)?;
    if rest > 0 {
        let batch = bench.street.post.batch(rest);
        let limit = Duration::from_secs(300);
        send(&batch, &Order { limit, size: 1024, ..Order::new(DOOR.into(), |n| format!("fred@busy{}.test", n % 20)) });
        let accepted = batch.accepted_so_far();
        if accepted < rest {
            return Err(format!("growth: only {accepted} of {rest} messages were accepted in time"));
        }
        let tries = || bench.street.counts(|_| true).iter().map(|count| count.ever).sum();
        until_steady(Duration::from_secs(3), Duration::from_secs(30), tries);
    }
    Ok(Load::steady_to(to).once(bench, &Relay::Sendoff, &running))
}
