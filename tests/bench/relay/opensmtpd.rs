//! OpenSMTPD, from its package (see `packages`). Its configuration is the package's: relay for whoever is local. Only the
//! port differs.
//!
//! This version never calls fsync (seen with strace: it says 250 after write and rename), so its queue is marked for synchronous
//! writes. What is made there inherits the mark, and then it is as durable as the others, but dearly: each block of a large
//! message is a sync of its own. So it also runs as it comes, under a name that says so.

use super::{DOOR, spawn, words, write};
use crate::namespace::run;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command};

pub(super) const PROGRAM: &str = "/usr/sbin/smtpd";

/// Where its queue must be.
const QUEUE: &str = "/var/spool/smtpd";

pub(super) fn version() -> String {
    words(PROGRAM, &["-h"]).map_or_else(String::new, |line| line.replace("version: ", ""))
}

pub(super) fn start(home: &Path, synced: bool) -> Result<Option<Child>, String> {
    let config = home.join("smtpd.conf");
    let (ip, port) = DOOR;
    write(
        &config,
        &format!(
            "listen on {ip} port {port}\naction \"relay\" relay\nmatch from local for any action \"relay\"\n"
        ),
    )?;
    let queue = home.join("queue");
    fs::create_dir_all(&queue).map_err(|error| error.to_string())?;
    chown(&queue, Some(0), Some(0)).map_err(|error| error.to_string())?;
    fs::set_permissions(&queue, fs::Permissions::from_mode(0o711)).map_err(|error| error.to_string())?;
    if synced {
        run("chattr", &["+SD", &queue.display().to_string()])
            .map_err(|reason| format!("it does not sync, and its queue cannot be made to: {reason}"))?;
    }
    // The queue of an earlier run is still mounted there.
    let _ = run("umount", &["--lazy", QUEUE]);
    run("mount", &["--bind", &queue.display().to_string(), QUEUE])?;
    spawn(Command::new(PROGRAM).args(["-d", "-f"]).arg(config), home).map(Some)
}
