//! `sessions`: as many short sessions as a minute holds, with hostile peers of every kind at once, and then the count of what is left.
//!
//! While it lasts, everybody misbehaves. Then every host is healed, and all the mail must leave: afterwards no slot is
//! held, no socket is open, threads and descriptors are as at the start, and memory has not grown.

use super::Bench;
use crate::gauge::Look;
use crate::namespace::run as command;
use crate::places::{REFUSED_PREFIX, ZONES};
use crate::post::Batch;
use crate::relay::{DOOR, Relay, Running, queued, slots};
use crate::source::{Order, send, start};
use crate::table::{Table, megabytes};
use crate::wait::until;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kinds of hosts, by the names of their zones.
const KINDS: [&str; 11] = [
    "silent",
    "reset",
    "hangup",
    "mute",
    "drip",
    "endless",
    "busy",
    "garbage",
    "undecided",
    "refuse",
    "good",
];
/// Domains of each kind.
const DOMAINS: usize = 100;
/// Messages for each domain.
const EACH: usize = 5;

/// Patience of tenths of seconds, so that a minute holds many sessions.
const SETTINGS: &str = "
delivery.new_share = 100
delivery.suspect_share = 100
retry.delays = [\"100ms\"]
retry.site_first = \"50ms\"
retry.site_max = \"100ms\"
timeouts.connect = \"200ms\"
timeouts.banner = \"200ms\"
timeouts.ehlo = \"200ms\"
timeouts.mail = \"200ms\"
timeouts.rcpt = \"200ms\"
timeouts.data = \"200ms\"
timeouts.block = \"200ms\"
timeouts.dot = \"200ms\"
timeouts.rset = \"200ms\"
timeouts.quit = \"200ms\"
timeouts.idle = \"50ms\"
timeouts.patience = \"200ms\"
timeouts.session = \"5s\"
";

/// Runs it: for a minute, or `BENCH_SECONDS`, or until `BENCH_SESSIONS` sessions were had.
pub fn run(bench: &Bench) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let wanted = number("BENCH_SESSIONS");
    // A million takes as long as it takes, but not for ever.
    let limit = number("BENCH_SECONDS").unwrap_or(if wanted.is_some() { 3600 } else { 60 });
    let plan = Plan { sessions: wanted, limit: Duration::from_secs(limit) };
    if let Err(reason) = plan.run(bench) {
        eprintln!("bench: sessions: {reason}");
    }
}

struct Plan {
    sessions: Option<u64>,
    limit: Duration,
}

impl Plan {
    fn run(&self, bench: &Bench) -> Result<(), String> {
        // A route to IPv6, so that the relay tries those who refuse.
        let prefix = format!("{REFUSED_PREFIX}/64");
        command("ip", &["-6", "route", "add", "local", &prefix, "dev", "lo"])?;
        command("ip", &["-6", "route", "add", "default", "dev", "lo"])?;
        let relay = bench.start(&Relay::Sendoff, SETTINGS)?;
        let process = relay.process.ok_or("it is no process")?;
        // What is made at the first need is there before the first look.
        let first = bench.street.post.batch(200);
        send(&first, &Order::new(DOOR.into(), |n| format!("gwen@good{}.test", n % DOMAINS)));
        until(Duration::from_secs(30), || first.delivered() == first.len() && slots(&relay) == Some(0));
        let mut looks =
            vec![("at the start".to_owned(), Duration::ZERO, bench.sessions(), Look::at(process))];

        let begin = Instant::now();
        let batch = bench.street.post.batch(KINDS.len() * DOMAINS * EACH);
        let order = Order { null: true, limit: self.limit, ..Order::new(DOOR.into(), recipient) };
        let clients = start(&batch, &order);
        for quarter in 1..=4 {
            until(self.limit, || self.share(begin, bench.sessions()) * 4.0 >= f64::from(quarter));
            let label = format!("{} %", quarter * 25);
            looks.push((label, begin.elapsed(), bench.sessions(), Look::at(process)));
        }
        let span = begin.elapsed();
        clients.into_iter().for_each(|client| {
            let _ = client.join();
        });
        let kinds = bench.by_kind();
        let sessions = bench.sessions();
        bench.street.heal().map_err(|error| error.to_string())?;
        let healed = Instant::now();
        let gone =
            until(Duration::from_secs(120), || batch.delivered() == batch.len() && queued(&relay) == Some(0));
        let quiet =
            until(Duration::from_secs(30), || slots(&relay) == Some(0) && bench.street.open_now() == 0);
        looks.push(("after it".to_owned(), begin.elapsed(), bench.sessions(), Look::at(process)));

        print(&relay, &looks);
        println!("\n{sessions} sessions at the peers in {:.1} s ({})", span.as_secs_f64(), kinds);
        after(bench, &relay, &batch, gone, quiet, healed.elapsed());
        Ok(())
    }

    /// How much of it is done.
    fn share(&self, begin: Instant, sessions: u64) -> f64 {
        let time = begin.elapsed().as_secs_f64() / self.limit.as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let count = self.sessions.map_or(0.0, |wanted| sessions as f64 / wanted as f64);
        time.max(count)
    }
}

/// Message `n` is for a host of kind `n` modulo the kinds.
fn recipient(n: usize) -> String {
    format!("fred@{}{}.test", KINDS[n % KINDS.len()], n / KINDS.len() % DOMAINS)
}

impl Bench {
    /// Connections that were accepted at the peers so far.
    fn sessions(&self) -> u64 {
        self.street.counts(|_| true).iter().map(|count| count.ever as u64).sum()
    }

    /// Connections by kind of host, in words. Those who refuse have counted none.
    fn by_kind(&self) -> String {
        let kinds = ZONES.iter().filter(|zone| KINDS.contains(&zone.name) && zone.name != "refuse");
        let words = kinds.map(|zone| {
            let counts = self.street.counts(|manners| manners == zone.manners);
            format!("{} {}", zone.name, counts.iter().map(|count| count.ever).sum::<usize>())
        });
        words.collect::<Vec<_>>().join(", ") + "; refused ones are not seen there"
    }
}

fn print(relay: &Running, looks: &[(String, Duration, u64, Look)]) {
    let mut table =
        Table::new(&["sessions", "after", "sessions", "RSS", "threads", "descriptors", "sockets"]);
    for (when, after, sessions, look) in looks {
        table.row(vec![
            when.clone(),
            format!("{:.1} s", after.as_secs_f64()),
            sessions.to_string(),
            megabytes(look.resident),
            look.threads.to_string(),
            look.descriptors.to_string(),
            look.sockets.to_string(),
        ]);
    }
    table.print(&format!(
        "sessions: {DOMAINS} domains of each of {} kinds, {EACH} messages each, limits of 200 ms (peak RSS {}, CPU {:.1} s)",
        KINDS.len(),
        megabytes(relay.gauge.peak()),
        relay.gauge.seconds()
    ));
}

fn after(bench: &Bench, relay: &Running, batch: &Arc<Batch>, gone: bool, quiet: bool, took: Duration) {
    let summary = batch.summary();
    println!(
        "then every host was healed: {} of {} accepted messages had arrived {:.1} s later{}, {} of them more than once",
        summary.delivered,
        summary.accepted,
        took.as_secs_f64(),
        if gone { "" } else { " (NOT ALL)" },
        summary.duplicates
    );
    let say =
        |number: Option<u64>| number.map_or_else(|| "no answer".to_owned(), |number| number.to_string());
    println!(
        "left: slots {}, queue {}, connections open at the peers {}{}",
        say(slots(relay)),
        say(queued(relay)),
        bench.street.open_now(),
        if quiet { "" } else { " - NOT QUIET" }
    );
}
