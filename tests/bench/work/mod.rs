//! The workloads: each is a story about hosts, told in a table of what came of it.

pub mod crowd;
pub mod drain;
mod figures;
pub mod growth;
pub mod holes;
pub mod pool;
pub mod sessions;
pub mod throughput;

use crate::post::{Summary, quantile};
use crate::relay::{Relay, Running};
use crate::street::Street;
use crate::table::{megabytes, ratio, span};
use crate::wait::{pause, until};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What every workload is given.
pub struct Bench {
    pub street: Arc<Street>,
    /// Where relays have their directories.
    pub scratch: PathBuf,
    /// The relays of this run, ours first.
    pub relays: Vec<Relay>,
    /// How often each relay has its turn in what is compared, and for how long mail is sent in each.
    pub rounds: usize,
    pub seconds: Duration,
}

/// A number that a variable names, or what it is without.
pub fn number(name: &str, without: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(without)
}

/// How long healthy mail may take in all.
pub const LIMIT: Duration = Duration::from_secs(60);

impl Bench {
    /// Starts a relay from nothing, on a street that remembers nothing.
    pub fn start(&self, relay: &Relay, settings: &str) -> Result<Running, String> {
        until(Duration::from_secs(5), || self.street.open_now() == 0);
        self.street.forget();
        eprintln!("bench: {} starts", relay.name());
        let running = relay.start(&self.scratch, settings)?;
        // What it does for itself at first is not measured.
        pause(Duration::from_secs(1));
        Ok(running)
    }

    /// The relays of a workload that is only for ours, unless all were asked for.
    pub fn ours(&self) -> Vec<Relay> {
        let all = std::env::var_os("BENCH_PEERS").is_some();
        let relays = self.relays.iter().filter(|relay| !relay.is_variant());
        relays.filter(|relay| all || **relay == Relay::Sendoff).cloned().collect()
    }
}

/// The columns of a batch: see [`cells`].
pub const COLUMNS: [&str; 6] =
    ["delivered of sent", "from 250: p50", "p99", "from due: p50", "p99", "all there after"];

/// What became of a batch, as cells of a row.
pub fn cells(summary: &Summary) -> Vec<String> {
    let all = summary.delivered == summary.planned;
    if std::env::var_os("BENCH_WORST").is_some() {
        let worst = summary.slowest.iter().take(summary.delivered.div_ceil(50));
        let worst: Vec<_> =
            worst.map(|(at, took)| format!("{} at {:.2} s", span(Some(*took)), at.as_secs_f64())).collect();
        eprintln!("bench: the slowest fiftieth, from due: {}", worst.join(", "));
    }
    let mut delivered = format!("{} of {}", summary.delivered, summary.planned);
    if summary.accepted < summary.planned {
        delivered += &format!(" ({} accepted)", summary.accepted);
    }
    if summary.duplicates > 0 {
        delivered += &format!(" ({} twice)", summary.duplicates);
    }
    vec![
        delivered,
        span(quantile(&summary.from_accept, 0.5)),
        span(quantile(&summary.from_accept, 0.99)),
        span(quantile(&summary.from_due, 0.5)),
        span(quantile(&summary.from_due, 0.99)),
        if all { span(Some(summary.last)) } else { "never".to_owned() },
    ]
}

/// The p99 of a run with holes as a multiple of the one without: from 250, and from the moment a message was due.
pub const RATIOS: [&str; 2] = ["p99 with/without: from 250", "from due"];

/// Both of a batch's p99.
pub fn p99(summary: &Summary) -> [Option<Duration>; 2] {
    [quantile(&summary.from_accept, 0.99), quantile(&summary.from_due, 0.99)]
}

/// The ratios as cells; a run without holes has none.
pub fn ratios(summary: &Summary, without: Option<[Option<Duration>; 2]>) -> Vec<String> {
    let Some(without) = without else { return vec![String::new(); 2] };
    p99(summary).into_iter().zip(without).map(|(with, without)| ratio(with, without)).collect()
}

/// What it cost.
pub const COSTS: [&str; 3] = ["most at one hole", "peak RSS", "CPU s"];

/// The cost of a run, as cells.
pub fn costs(bench: &Bench, relay: &Running) -> Vec<String> {
    let most = bench.street.most_at_a_hole();
    vec![most.to_string(), megabytes(relay.gauge.peak()), format!("{:.1}", relay.gauge.seconds())]
}
