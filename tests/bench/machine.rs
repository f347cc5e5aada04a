//! The head of every report: where and when it was measured, with what, and what is not in it.

use crate::relay::Relay;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Prints it.
pub fn print(scratch: &Path, relays: &[Relay], missing: &[String]) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let load = read("/proc/loadavg");
    println!("machine: {cores} cores ({}), {memory} of memory", field(&read("/proc/cpuinfo"), "model name"));
    println!(
        "         Linux {}, queues on {}",
        read("/proc/sys/kernel/osrelease").trim(),
        file_system(scratch)
    );
    println!("date:    {}, load before it {}", date(), load.split(' ').next().unwrap_or_default());
    for relay in relays {
        println!("relay:   {} ({})", relay.name(), relay.version());
    }
    for reason in missing {
        println!("LEFT OUT {reason}");
    }
    println!("LEFT OUT KumoMTA and others: BENCH_EXTRA_RELAY takes whatever runs here");
    println!(
        "`no relay` is the ceiling: the driver straight into the far side; `driver's` is what both spent for 1,000 messages"
    );
    println!("`missing` was accepted and is not there at the limit: lost, or late");
    println!("p50 and p99 are from the relay's 250 to the message's arrival, unless a column says otherwise");
}

fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn file_system(path: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
