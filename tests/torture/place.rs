//! A view of the disks of our own, where a small disk can be mounted as a spool and nothing of it is seen outside.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set inside.
const INSIDE: &str = "TORTURE_INSIDE";

/// Goes in, by starting this program again. Returns when it is inside, or with the reason why it cannot be.
pub fn enter() -> Result<(), String> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
    };
    let tried = unshare().arg("true").stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Err("no mount namespace (unshare --mount; root, or user namespaces)".into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let error = unshare().arg("--").arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
    Err(error.to_string())
}

/// A small disk in memory. Dropping it takes it away.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one, with these options: `size=`, `nr_inodes=`.
    pub fn mount(place: &Path, options: &str) -> Result<Disk, String> {
        if std::env::var_os(INSIDE).is_none() {
            return Err("no mount namespace".into());
        }
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place);
        let output = command.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(Disk(place.to_owned())),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
