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
mod far;
mod kills;
mod load;
mod random;
mod relay;
mod report;

use kills::Bounds;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What `cargo test` can wait for.
const SHORT: Bounds = Bounds { kills: 30, time: Duration::from_secs(12) };

fn main() -> ExitCode {
    // `cargo test NAME` gives every program the name.
    let mut names = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    if names.any(|name| !"torture".contains(&name)) {
        return ExitCode::SUCCESS;
    }
    let seed = number("TORTURE_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
    });
    println!("torture: TORTURE_SEED={seed}");
    let report = kills::run(bounds(), seed);
    report.print();
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn bounds() -> Bounds {
    let kills = number("TORTURE_KILLS").map(|kills| kills as usize);
    let time = number("TORTURE_SECONDS").map(Duration::from_secs);
    match (kills, time) {
        (None, None) => SHORT,
        (kills, time) => Bounds {
            kills: kills.unwrap_or(usize::MAX),
            time: time.unwrap_or(Duration::from_secs(3600)),
        },
    }
}
