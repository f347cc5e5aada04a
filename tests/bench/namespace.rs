//! A place of our own: a network with nothing but loopback, a list of processes and a view of the disks that end with the
//! bench. Port 25 and port 53 are free there, and nothing that happens can be seen outside.
//!
//! The bench starts itself again as process 1 of that place, so when it ends, however it ends, the kernel ends all it has
//! started, and takes down the network and the mounts.

use crate::wait::until;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process, setrlimit, wait};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Set for the bench inside.
const INSIDE: &str = "BENCH_INSIDE";

/// Whether this is the bench inside.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether we are root outside: peers that change their user need it.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Becomes the bench inside; returns only with the reason why that is impossible.
pub fn enter() -> String {
    let Ok(own) = std::env::current_exe() else { return "this program cannot find itself".into() };
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--").arg(own).args(std::env::args_os().skip(1));
    command.env(INSIDE, if is_root() { "root" } else { "user" });
    format!("unshare (util-linux) cannot be started: {}", command.exec())
}

/// Whether the peers can run here: not in a place made without root.
pub fn has_users() -> bool {
    std::env::var_os(INSIDE).is_some_and(|who| who == "root")
}

/// Furnishes it: loopback, a resolv.conf that leads to our nameserver, as many descriptors as there may be.
pub fn furnish(scratch: &Path) -> Result<(), String> {
    end_with_signals()?;
    run("ip", &["link", "set", "lo", "up"])?;
    // Resolvers that ask only for addresses of families the machine has (AI_ADDRCONFIG) do not count loopback.
    run("ip", &["addr", "add", "192.0.2.1/32", "dev", "lo"])?;
    fs::create_dir_all(scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let resolv = scratch.join("resolv.conf");
    let words = format!("nameserver {}\n", crate::nameserver::ADDRESS);
    fs::write(&resolv, words).map_err(|error| format!("{}: {error}", resolv.display()))?;
    let resolv = resolv.display().to_string();
    let real = fs::canonicalize("/etc/resolv.conf")
        .map_or("/etc/resolv.conf".into(), |path| path.display().to_string());
    run("mount", &["--bind", &resolv, &real])?;
    // Without these it still works, with fewer connections.
    let _ = fs::write("/proc/sys/net/core/somaxconn", "65535");
    let _ = fs::write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65535");
    let hard = getrlimit(Resource::Nofile).maximum;
    let most = Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    if setrlimit(Resource::Nofile, most).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard });
    }
    Ok(())
}

/// Process 1 ignores signals that it does not ask for.
fn end_with_signals() -> Result<(), String> {
    let signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]);
    let mut signals = signals.map_err(|error| error.to_string())?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            eprintln!("bench: interrupted");
            std::process::exit(130);
        }
    });
    Ok(())
}

/// Runs a command that is done at once.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments:?}: {}", words.trim())) }
}

/// All processes here but ourselves.
pub fn processes() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|number| *number > 1).filter_map(Pid::from_raw).collect()
}

/// Ends every process here but ourselves: what a relay that has ended left behind.
pub fn sweep() {
    if !is_inside() || std::process::id() != 1 {
        return;
    }
    until(Duration::from_secs(10), || {
        for process in processes() {
            let _ = kill_process(process, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        processes().is_empty()
    });
}
