//! Relays that somebody has built here: `BENCH_EXTRA_RELAY='name=command'`, several separated by `;`.
//!
//! The command runs in the foreground, in the relay's fresh directory, listens at 127.0.0.1:2525, asks the
//! nameserver of /etc/resolv.conf and delivers to port 25. That it has mail on the disk before it says 250 is for whoever
//! writes the command.

use super::{Relay, spawn};
use std::path::Path;
use std::process::{Child, Command};

pub(super) fn all() -> Vec<Relay> {
    let value = std::env::var("BENCH_EXTRA_RELAY").unwrap_or_default();
    let each = value.split(';').filter_map(|one| one.split_once('='));
    each.map(|(name, command)| Relay::Extra(name.trim().to_owned(), command.trim().to_owned())).collect()
}

pub(super) fn start(home: &Path, command: &str) -> Result<Option<Child>, String> {
    spawn(Command::new("sh").args(["-c", &format!("exec {command}")]).current_dir(home), home).map(Some)
}
