//! The relay under torture: the real binary and its spool, started and killed again and again.

use crate::process::Process;
use crate::settings::Settings;
use crate::street::Street;
use crate::wait::wait_until;
use rustix::process::Signal;
use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything of the relay may take on a machine that is busy.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The relay, its directory and its street.
pub struct Relay {
    // First, so that it ends before its directory does.
    process: Option<Process>,
    pub street: Street,
    dir: Option<TempDir>,
    smtp: SocketAddr,
    keep: bool,
}

impl Relay {
    /// A relay that is not started yet. `set` changes settings; `log` is its RUST_LOG.
    pub fn new(set: &[(&str, &str)]) -> Relay {
        let dir = tempfile::Builder::new().prefix("torture-").tempdir();
        let (dir, street) = (dir.unwrap(), Street::new());
        let smtp = street.addr();
        let mut settings = Settings::default();
        let spool = dir.path().join("spool");
        std::fs::create_dir(&spool).unwrap();
        for (key, value) in [
            ("spool.path", spool.display().to_string()),
            ("delivery.port", street.port().to_string()),
            ("dns.servers", format!("[\"{}\"]", street.ns().addr())),
            ("listen.smtp", format!("[\"{smtp}\"]")),
            // The disk itself is to say that it is full.
            ("spool.min_free", "0".into()),
            ("spool.min_free_files", "0".into()),
            ("delivery.workers", "48".into()),
            ("delivery.connections_per_destination", "4".into()),
            ("retry.delays", "[\"300ms\"]".into()),
            ("retry.site_first", "100ms".into()),
            ("retry.site_max", "500ms".into()),
            ("timeouts.dot", "5s".into()),
            ("timeouts.banner", "5s".into()),
            // strace makes everything slow.
            ("timeouts.ehlo", "5s".into()),
            ("timeouts.mail", "5s".into()),
            ("timeouts.rcpt", "5s".into()),
            ("timeouts.data", "5s".into()),
            ("timeouts.block", "5s".into()),
        ] {
            settings.put(key, &value);
        }
        set.iter().for_each(|(key, value)| settings.put(key, value));
        std::fs::write(dir.path().join("config.toml"), settings.to_toml()).unwrap();
        Relay { process: None, street, dir: Some(dir), smtp, keep: false }
    }

    pub fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    pub fn path(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
        command.args(arguments).arg("--config").arg(self.path().join("config.toml"));
        command.env("RUST_LOG", "warn,sendoff::spool=info").current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Starts it, and does not wait.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "the relay is running");
        let log = File::options().append(true).create(true).open(self.path().join("relay.log"));
        let mut command = self.command(&["serve"]);
        command.stdout(File::create(self.path().join("relay.out")).unwrap()).stderr(log.unwrap());
        self.process = Some(Process::start(&mut command));
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) {
        let out = self.path().join("relay.out");
        let ready = wait_until("the relay's `ready`", LIMIT, || {
            let ended = self.process.as_mut().and_then(Process::ended);
            let text = std::fs::read_to_string(&out).unwrap_or_default();
            let ready = text.lines().any(|line| line.starts_with("ready")).then_some(Ok(()));
            ready.or(ended.map(Err)).ok_or_else(|| self.tail())
        });
        if let Err(status) = ready {
            self.keep = true;
            panic!("the relay ended, {status}:\n{}", self.tail());
        }
    }

    pub fn start(&mut self) {
        self.launch();
        self.wait_ready();
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the relay is not running").pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("the relay is not running").signal(signal);
    }

    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// Waits for its end.
    pub fn wait_end(&mut self) -> ExitStatus {
        self.process.take().expect("the relay is not running").wait_end("the relay")
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait_end();
    }

    /// What `sendoff ARGUMENTS --json` prints; nothing when it fails.
    fn ask(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.command(&[arguments, &["--json"]].concat()).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// How many messages are queued, and how many slots in use.
    pub fn queued(&self) -> Option<(u64, u64)> {
        let (queue, connections) = (self.ask(&["queue", "--limit", "1"])?, self.ask(&["connections"])?);
        Some((queue["messages"].as_u64()?, connections["slots"].as_u64()?))
    }

    /// Body files.
    pub fn bodies(&self) -> usize {
        std::fs::read_dir(self.spool().join("body")).map_or(0, Iterator::count)
    }

    pub fn log(&self) -> String {
        let log = std::fs::read(self.path().join("relay.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Keeps the directory, for a person to look at.
    pub fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.process.take());
        if let Some(dir) = self.dir.take()
            && (self.keep || std::thread::panicking())
        {
            eprintln!("kept: {}", dir.keep().display());
        }
    }
}
