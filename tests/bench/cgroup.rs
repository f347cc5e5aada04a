//! The control group that every relay runs in: the kernel adds up what all its processes have spent, also those that are gone.
//!
//! A relay that forks for every connection and every message has spent most of its time in processes that no longer exist, so
//! sums over /proc would flatter it. Any cgroup v2 hierarchy does, since it needs no controller.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static GROUP: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Makes the group of this run; its name is that of the scratch directory, which two runs cannot share either.
pub fn make(scratch: &Path) {
    let name: String = scratch
        .to_string_lossy()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    GROUP.get_or_init(|| {
        let place = hierarchy()?.join(format!("bench{name}"));
        let made = fs::create_dir(&place).is_ok() || place.is_dir();
        (made && spent(&place).is_some()).then_some(place)
    });
}

/// Takes it away, once nobody is in it.
pub fn remove() {
    if let Some(place) = group() {
        let _ = fs::remove_dir(place);
    }
}

/// Where it is; none without root or without cgroup v2.
fn group() -> Option<&'static PathBuf> {
    GROUP.get()?.as_ref()
}

/// The mount point of cgroup v2.
fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(PathBuf::from)
}

/// The same command, in the group from its first instruction on.
pub fn inside(command: &Command) -> Command {
    let mut within = match group() {
        None => Command::new(command.get_program()),
        Some(place) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "echo 0 > \"$0/cgroup.procs\"; exec \"$@\""]).arg(place);
            shell.arg(command.get_program());
            shell
        }
    };
    within.args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        within.current_dir(directory);
    }
    within
}

/// Processor seconds of everything that ever ran in it, user and system; none when there is no group.
pub fn seconds() -> Option<f64> {
    spent(group()?)
}

fn spent(place: &Path) -> Option<f64> {
    let text = fs::read_to_string(place.join("cpu.stat")).ok()?;
    let micros: u32 = 1_000_000;
    let value = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse::<f64>().ok()?;
    Some(value / f64::from(micros))
}
