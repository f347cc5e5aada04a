//! Sendoff: the release binary with its default settings, but for where it listens and where its spool is.

use super::{DOOR, Running, spawn, words, write};
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command};

/// The binary of this build, or the one that `BENCH_SENDOFF` names: another build, to compare.
pub(super) fn binary() -> OsString {
    std::env::var_os("BENCH_SENDOFF").unwrap_or_else(|| env!("CARGO_BIN_EXE_sendoff").into())
}

pub(super) fn version() -> String {
    words(&binary().to_string_lossy(), &["--version"]).unwrap_or_default()
}

pub(super) fn start(home: &Path, settings: &str) -> Result<Option<Child>, String> {
    let config = home.join("sendoff.toml");
    write(&config, &file(home, settings))?;
    spawn(Command::new(binary()).args(["serve", "--config"]).arg(config), home).map(Some)
}

/// Its configuration: where it stands, and then what the run wants.
fn file(home: &Path, settings: &str) -> String {
    let (ip, port) = DOOR;
    let spool = home.join("spool").display().to_string();
    format!(
        "hostname = \"relay.bench.test\"\nspool.path = {spool:?}\nlisten.smtp = [\"{ip}:{port}\"]\n{settings}\n"
    )
}

/// Its own word on the slots in use.
pub fn slots(relay: &Running) -> Option<u64> {
    ask(relay, "connections")?["slots"].as_u64()
}

/// Its own word on the messages in its queue.
pub fn queued(relay: &Running) -> Option<u64> {
    ask(relay, "queue")?["messages"].as_u64()
}

fn ask(relay: &Running, command: &str) -> Option<serde_json::Value> {
    let spool = relay.home.join("spool");
    let output = Command::new(binary()).args([command, "--json", "--spool"]).arg(spool).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}
