//! The figures of a run, their medians over rounds, and the table in which the relays stand side by side.

use crate::gauge::own_seconds;
use crate::post::{Batch, quantile};
use crate::relay::{Relay, Running};
use crate::table::{Table, megabytes, span};
use std::time::Duration;

/// One run of a workload with one relay.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Messages a second, from the first to the arrival of the last.
    pub rate: f64,
    /// From the relay's 250 to arrival.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// Processor seconds of the relay for 1,000 messages, and of ourselves.
    pub cost: f64,
    pub own: f64,
    pub peak: u64,
    pub delivered: usize,
    pub lost: usize,
    pub twice: usize,
    pub refused: usize,
}

/// What both sides have spent so far.
#[derive(Clone, Copy)]
pub struct Spent {
    relay: f64,
    own: f64,
}

impl Spent {
    pub fn now(running: &Running) -> Spent {
        Spent { relay: running.gauge.seconds(), own: own_seconds() }
    }
}

impl Figures {
    /// Of a batch that took as long as `took` until its last arrival.
    pub fn of(batch: &Batch, running: &Running, before: Spent, took: Duration) -> Figures {
        let (now, summary) = (Spent::now(running), batch.summary());
        #[allow(clippy::cast_precision_loss)]
        let delivered = summary.delivered as f64;
        let thousands = delivered / 1e3;
        Figures {
            rate: delivered / took.as_secs_f64().max(1e-9),
            p50: quantile(&summary.from_accept, 0.5),
            p99: quantile(&summary.from_accept, 0.99),
            cost: (now.relay - before.relay) / thousands.max(1e-9),
            own: (now.own - before.own) / thousands.max(1e-9),
            peak: running.gauge.peak(),
            delivered: summary.delivered,
            lost: summary.lost,
            twice: summary.duplicates,
            refused: summary.refused,
        }
    }

    /// The median of each figure by itself. Losses, duplicates and refusals are sums: a median would hide them.
    pub fn median(rounds: &[Figures]) -> Figures {
        let sum = |of: fn(&Figures) -> usize| rounds.iter().map(of).sum();
        let middle = |of: fn(&Figures) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let time = |of: fn(&Figures) -> Option<Duration>| {
            let mut values: Vec<_> = rounds.iter().map(|round| of(round).unwrap_or(Duration::MAX)).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().filter(|value| *value < Duration::MAX)
        };
        let mut peaks: Vec<_> = rounds.iter().map(|round| round.peak).collect();
        peaks.sort_unstable();
        Figures {
            rate: middle(|round| round.rate),
            p50: time(|round| round.p50),
            p99: time(|round| round.p99),
            cost: middle(|round| round.cost),
            own: middle(|round| round.own),
            peak: peaks.get(peaks.len() / 2).copied().unwrap_or(0),
            delivered: sum(|round| round.delivered),
            lost: sum(|round| round.lost),
            twice: sum(|round| round.twice),
            refused: sum(|round| round.refused),
        }
    }
}

/// The relays of a workload, side by side.
#[derive(Default)]
pub struct Side {
    rows: Vec<(Relay, Vec<Figures>, String)>,
}

/// Its columns.
const COLUMNS: [&str; 12] = [
    "relay",
    "msgs/s",
    "p50",
    "p99",
    "CPU s per 1,000",
    "driver's",
    "peak memory",
    "arrived",
    "missing",
    "twice",
    "x Postfix",
    "x ceiling",
];

impl Side {
    /// One round of a relay, or why there is none.
    pub fn add(&mut self, relay: &Relay, figures: Result<Figures, String>, remark: &str) {
        let place = self.rows.iter().position(|(known, ..)| known == relay).unwrap_or_else(|| {
            self.rows.push((relay.clone(), Vec::new(), remark.to_owned()));
            self.rows.len() - 1
        });
        match figures {
            Ok(figures) => self.rows[place].1.push(figures),
            Err(reason) => {
                eprintln!("bench: {reason}");
                self.rows[place].2 = "it did not start".to_owned();
            }
        }
    }

    /// Prints it, with a column for what there is to remark.
    pub fn print(&self, title: &str) {
        let head: Vec<_> = COLUMNS.iter().copied().chain(["remarks"]).collect();
        let mut table = Table::new(&head);
        let rate = |wanted: &Relay| {
            let row = self.rows.iter().find(|(relay, rounds, _)| relay == wanted && !rounds.is_empty());
            row.map(|(_, rounds, _)| Figures::median(rounds).rate)
        };
        let (postfix, ceiling) = (rate(&Relay::Postfix), rate(&Relay::Ceiling));
        for (relay, rounds, remark) in &self.rows {
            let mut row = vec![relay.name().to_owned()];
            if rounds.is_empty() {
                row.resize(COLUMNS.len(), "-".to_owned());
                row.push(remark.clone());
                table.row(row);
                continue;
            }
            let median = Figures::median(rounds);
            let times =
                |of: Option<f64>| of.map_or_else(|| "-".to_owned(), |of| format!("{:.3}", median.rate / of));
            let (ours, some, none) = (*relay != Relay::Ceiling, median.delivered > 0, || "-".to_owned());
            row.extend([
                format!("{:.0}", median.rate),
                span(median.p50),
                span(median.p99),
                if ours && some { format!("{:.2}", median.cost) } else { none() },
                if some { format!("{:.2}", median.own) } else { none() },
                if ours { megabytes(median.peak) } else { none() },
                median.delivered.to_string(),
                median.lost.to_string(),
                median.twice.to_string(),
                times(postfix),
                times(ceiling),
            ]);
            let refused = (median.refused > 0).then(|| format!("{} not accepted", median.refused));
            row.push([remark.clone(), refused.unwrap_or_default()].join(" ").trim().to_owned());
            table.row(row);
        }
        table.print(title);
    }
}
