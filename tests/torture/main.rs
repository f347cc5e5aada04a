//! `make torture`: the real relay is killed with `kill -9` at random moments under load, and its disk fails under it; then
//! the far side is counted. Every message that got 250 arrives or bounces, and arrives twice only with a cause.
//!
//! Without arguments, as `cargo test` runs it, it is short. `TORTURE_KILLS` and `TORTURE_SECONDS` bound it, `TORTURE_SEED`
//! repeats the moments of a run, `TORTURE_ONLY=kills` or the name of a fault chooses a part. Faults need things that not
//! every machine allows (strace, a mount namespace); what is not possible here is said loudly, and skipped. It ends with a
//! failure when anything is lost, or there twice without a cause.

#![allow(
    clippy::disallowed_methods,
    reason = "the outside world: it has clocks, sockets and waits of its own"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the verdict")]
#![allow(dead_code, unused_imports, reason = "it speaks the tests' language, and not every word of it")]

#[path = "../relay/client.rs"]
mod client;
#[path = "../relay/peer/mod.rs"]
mod peer;
#[path = "../relay/process.rs"]
mod process;
#[path = "../relay/settings.rs"]
mod settings;
#[path = "../relay/street.rs"]
mod street;
#[path = "../relay/wait.rs"]
mod wait;

mod book;
mod checkpoints;
mod far;
mod faults;
mod kills;
mod load;
mod place;
mod random;
mod relay;
mod report;
mod strace;
mod torn;

use faults::FAULTS;
use kills::Bounds;
use report::Report;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What `cargo test` can wait for.
const SHORT: Bounds = Bounds { kills: 30, time: Duration::from_secs(12) };

/// How often the log is torn.
const TEARS: usize = 6;

fn main() -> ExitCode {
    // `cargo test NAME` gives every program the name.
    let mut names = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    if names.any(|name| !"torture".contains(&name)) {
        return ExitCode::SUCCESS;
    }
    let seed = number("TORTURE_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()));
    if let Err(reason) = place::enter() {
        eprintln!("SKIPPED: faults that need a small disk: {reason}");
    }
    println!("torture: TORTURE_SEED={seed}");
    let only = std::env::var("TORTURE_ONLY").ok();
    let wanted = |name: &str| only.as_deref().is_none_or(|only| name.contains(only));
    let mut good = true;
    for fault in FAULTS.iter().filter(|fault| wanted(fault.name)) {
        match faults::run(fault, seed) {
            Ok(report) => good &= show(&report),
            Err(reason) => eprintln!("SKIPPED: {}: {reason}", fault.name),
        }
    }
    if wanted("torn") {
        good &= show(&torn::run(TEARS, seed));
    }
    if wanted("kills") {
        good &= show(&kills::run(bounds(), seed));
    }
    println!("\ntorture: {}", if good { "all is well" } else { "FAILED, see WRONG above" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(report: &Report) -> bool {
    report.print();
    report.is_good()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn bounds() -> Bounds {
    let kills = number("TORTURE_KILLS").map(|kills| kills as usize);
    let time = number("TORTURE_SECONDS").map(Duration::from_secs);
    match (kills, time) {
        (None, None) => SHORT,
        (kills, time) => {
            Bounds { kills: kills.unwrap_or(usize::MAX), time: time.unwrap_or(Duration::from_secs(3600)) }
        }
    }
}
