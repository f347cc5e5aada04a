//! OpenSMTPD, from its package, which cannot be installed beside another mail server: it is unpacked into a directory, and laid over
//! /usr in our view of the disks, where nobody else sees it.
//!
//! Its configuration is the package's: relay for whoever is local. Only the port differs.

use super::{DOOR, spawn, words, write};
use crate::namespace::run;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const PROGRAM: &str = "/usr/sbin/smtpd";

/// Where its queue must be.
const QUEUE: &str = "/var/spool/smtpd";

/// Its two users, made up in our view of /etc/passwd: a number nobody has.
const USERS: [(&str, u32); 2] = [("opensmtpd", 64_901), ("opensmtpq", 64_902)];

/// Where its package is, unpacked.
fn unpacked(scratch: &Path) -> PathBuf {
    scratch.join("packages/opensmtpd")
}

/// Gets its package, while there is a network: outside our place.
///
/// # Errors
/// Why it could not be had.
pub fn fetch(scratch: &Path) -> Result<(), String> {
    let place = unpacked(scratch);
    if place.join("usr/sbin/smtpd").exists() || Path::new(PROGRAM).exists() {
        return Ok(());
    }
    let downloads = scratch.join("packages/download");
    fs::create_dir_all(&downloads).map_err(|error| error.to_string())?;
    let download = Command::new("apt-get").args(["download", "opensmtpd"]).current_dir(&downloads).output();
    let download = download.map_err(|error| format!("apt-get: {error}"))?;
    if !download.status.success() {
        return Err(format!("apt-get download: {}", String::from_utf8_lossy(&download.stderr).trim()));
    }
    let packages = fs::read_dir(&downloads).map_err(|error| error.to_string())?.flatten();
    for package in packages {
        run("dpkg", &["-x", &package.path().display().to_string(), &place.display().to_string()])?;
    }
    Ok(())
}

/// Lays it over our view of the disks; inside our place, once.
pub(super) fn check(scratch: &Path) -> Result<(), String> {
    let place = unpacked(scratch);
    if !Path::new(PROGRAM).exists() {
        if !place.join("usr/sbin/smtpd").exists() {
            return Err("its package could not be had (apt-get download opensmtpd)".to_owned());
        }
        // Its queue and its chroot are at places that are compiled in.
        fs::create_dir_all(place.join("var/spool/smtpd")).map_err(|error| error.to_string())?;
        for layer in ["/usr", "/var/lib", "/var/spool"] {
            let layers = format!("lowerdir={}{layer}:{layer}", place.display());
            run("mount", &["-t", "overlay", "overlay", "-o", &layers, layer])?;
        }
    }
    let libraries = Command::new("ldd").arg(PROGRAM).output().map_err(|error| format!("ldd: {error}"))?;
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    if let Some(missing) = libraries.lines().find(|line| line.contains("not found")) {
        return Err(format!("a library it needs is not installed: {}", missing.trim()));
    }
    users(scratch)
}

fn users(scratch: &Path) -> Result<(), String> {
    let passwd = "x:{}:{}::/var/lib/opensmtpd/empty:/usr/sbin/nologin";
    for (file, line) in [("passwd", passwd), ("group", "x:{}:")] {
        let real = format!("/etc/{file}");
        let mut text = fs::read_to_string(&real).map_err(|error| error.to_string())?;
        for (name, number) in USERS {
            if !text.lines().any(|line| line.starts_with(&format!("{name}:"))) {
                text += &format!("{name}:{}\n", line.replace("{}", &number.to_string()));
            }
        }
        let ours = scratch.join(file);
        write(&ours, &text)?;
        run("mount", &["--bind", &ours.display().to_string(), &real])?;
    }
    Ok(())
}

pub(super) fn version() -> String {
    words(PROGRAM, &["-h"]).map_or_else(String::new, |line| line.replace("version: ", ""))
}

pub(super) fn start(home: &Path) -> Result<Option<Child>, String> {
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
    // The queue of an earlier run is still mounted there.
    let _ = run("umount", &["--lazy", QUEUE]);
    run("mount", &["--bind", &queue.display().to_string(), QUEUE])?;
    spawn(Command::new(PROGRAM).args(["-d", "-f"]).arg(config), home).map(Some)
}
