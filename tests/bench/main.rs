//! `make bench`: the relay and its peers, side by side, with healthy hosts and among such that misbehave. It prints, and
//! asserts nothing.
//!
//! Source, nameserver and far side are threads of this one program, in a network namespace of its own where port 25 and
//! port 53 are free; relays run beside it, one at a time, from private directories. What is counted is counted at the
//! peers. Every wait has a limit, and what was started ends with the program.
//!
//! `BENCH=holes-200,idle-pool` (or arguments) chooses workloads, `BENCH_RELAYS=sendoff,postfix` relays, `BENCH_PEERS=1` lets
//! peers take part in what is only for ours, `BENCH_EXTRA_RELAY='name=command'` adds a relay, `BENCH_SESSIONS=1000000` makes
//! `sessions` that long, `BENCH_WORST=1` says when the slowest messages of a batch were due, `BENCH_SENDOFF` names another build of
//! Sendoff. `BENCH_ROUNDS=3` gives each relay three turns in what is compared, and `BENCH_SECONDS=8` says how long each sends;
//! `BENCH_DRAIN=2000` how much mail is queued for `drain`.

#![allow(
    clippy::disallowed_methods,
    reason = "a bench is the outside world: it has clocks and sockets of its own"
)]

mod cgroup;
mod gauge;
mod machine;
mod nameserver;
mod namespace;
mod places;
mod post;
mod relay;
mod source;
mod street;
mod table;
mod talk;
mod wait;
mod work;

use relay::Relay;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use street::Street;
use work::{Bench, crowd, drain, growth, holes, number, pool, sessions, throughput};

/// A workload by its name.
type Workload = (&'static str, fn(&Bench));

const WORKLOADS: [Workload; 13] = [
    ("steady", throughput::steady),
    ("one-domain", throughput::one_domain),
    ("large", throughput::large),
    ("recipients", throughput::recipients),
    ("trickle", throughput::trickle),
    ("drain", drain::run),
    ("growth", growth::run),
    ("holes-200", holes::run),
    ("holes-10000-over-200-addresses", crowd::over_200_addresses),
    ("holes-10000-at-one-address", crowd::at_one_address),
    ("one-hole-10000", crowd::one_hole),
    ("sessions", sessions::run),
    ("idle-pool", pool::run),
];

fn main() -> ExitCode {
    match chosen() {
        Ok(workloads) if namespace::is_inside() => inside(&workloads),
        Ok(_) => outside(),
        Err(words) => stop(&words),
    }
}

fn stop(words: &str) -> ExitCode {
    eprintln!("bench: {words}");
    ExitCode::FAILURE
}

/// The workloads of this run: those named, or all.
fn chosen() -> Result<Vec<Workload>, String> {
    let words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let variable = std::env::var("BENCH").unwrap_or_default();
    let mut names: Vec<_> = words.chain(variable.split([',', ' ']).map(str::to_owned)).collect();
    names.retain(|name| !name.is_empty());
    let known = |name: &String| {
        let found = WORKLOADS.into_iter().find(|(known, _)| known == name);
        let all = || WORKLOADS.map(|(name, _)| name).join(", ");
        found.ok_or_else(|| format!("there is no workload {name}; there are {}", all()))
    };
    if names.is_empty() { Ok(WORKLOADS.to_vec()) } else { names.iter().map(known).collect() }
}

/// Where relays have their directories: on the disk the build is on, so that a sync is a sync.
fn scratch() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench")
}

/// Gets what needs the network outside, and goes in.
fn outside() -> ExitCode {
    if namespace::is_root() {
        relay::fetch(&scratch());
    } else {
        eprintln!("bench: not root, so the peers cannot run: only Sendoff, in a namespace of this user");
    }
    let reason = namespace::enter();
    stop(&format!("no network namespace, and without one ports 25 and 53 are not ours: {reason}"))
}

fn inside(workloads: &[Workload]) -> ExitCode {
    let scratch = scratch();
    if let Err(reason) = namespace::furnish(&scratch) {
        return stop(&format!(
            "the namespace cannot be furnished (it takes root, or unprivileged user namespaces): {reason}"
        ));
    }
    cgroup::make(&scratch);
    if let Err(error) = nameserver::start() {
        return stop(&format!("the nameserver cannot listen at port 53: {error}"));
    }
    let street = match Street::open() {
        Ok(street) => street,
        Err(error) => return stop(&format!("the far side cannot listen at port {}: {error}", street::PORT)),
    };
    let (mut relays, missing) = Relay::all(&scratch, namespace::has_users());
    if let Ok(names) = std::env::var("BENCH_RELAYS") {
        let wanted: Vec<_> = names.split(',').map(str::to_lowercase).collect();
        relays.retain(|relay| wanted.contains(&relay.name().to_lowercase()));
    }
    machine::print(&scratch, &relays, &missing);
    let rounds = number("BENCH_ROUNDS", 1).max(1);
    let seconds = Duration::from_secs(number("BENCH_SECONDS", 8).max(1) as u64);
    let bench = Bench { street, scratch, relays, rounds, seconds };
    workloads.iter().for_each(|(_, run)| run(&bench));
    match bench.street.post.strangers() {
        0 => {}
        strangers => println!(
            "\n{strangers} messages arrived that were none of ours: letters of the relays themselves"
        ),
    }
    namespace::sweep();
    cgroup::remove();
    ExitCode::SUCCESS
}
