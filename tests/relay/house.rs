//! The relay as its operator has it: the real binary, a directory, a config file, and addresses of its own.
//!
//! A house stands in a `Street` of its own, where its peers live, and dereferences to it. Many houses run at the same time in one test process, so nothing is shared: each has its own loopback addresses,
//! its own delivery port, its own nameserver. The relay is killed with its house; its directory is removed, or kept and
//! told when the test fails.

use crate::client::{Client, Refused, Reply};
use crate::process::Process;
use crate::settings::Settings;
use crate::street::Street;
use crate::wait::{SOON, wait_until};
use parking_lot::Mutex;
use rustix::process::Signal;
use std::fmt::Display;
use std::fs::File;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// How much of the log a failure shows.
const TAIL: usize = 60;

struct Relay {
    process: Process,
    smtp: SocketAddr,
}

/// A relay, or what it takes to start one.
pub struct House {
    dir: Option<TempDir>,
    street: Street,
    settings: Mutex<Settings>,
    program: PathBuf,
    env: Vec<(String, String)>,
    relay: Mutex<Option<Relay>>,
    runs: AtomicUsize,
}

impl House {
    /// A house that is not started: first `set`, `route`, `env`, and the peers a route needs.
    pub fn new() -> House {
        let dir = tempfile::Builder::new().prefix("sendoff-").tempdir();
        let dir = dir.unwrap();
        let street = Street::new();
        let spool = dir.path().join("spool");
        let house = House {
            dir: Some(dir),
            street,
            settings: Mutex::new(Settings::default()),
            program: env!("CARGO_BIN_EXE_sendoff").into(),
            env: vec![("RUST_LOG".to_string(), "info".to_string())],
            relay: Mutex::new(None),
            runs: AtomicUsize::new(0),
        };
        let (port, ns) = (house.street.port(), house.street.ns().addr());
        house
            .set("spool.path", spool.display())
            .set("delivery.port", port)
            .set("dns.servers", format!("[\"{ns}\"]"))
    }

    /// A house with nothing set, running.
    pub fn started() -> House {
        House::new().start()
    }

    /// Sets a dotted key: `set("timeouts.banner", "\"2s\"")`. A value that is no TOML is taken as a string, so `"2s"`
    /// will do as well.
    pub fn set(self, key: &str, value: impl Display) -> House {
        self.settings.lock().put(key, &value.to_string());
        self
    }

    /// Routes a domain, `*.domain` or `*` to a smart host: `route("x.test", "smtp://127.1.2.3:25")`.
    pub fn route(self, domain: &str, target: impl Display) -> House {
        self.set(&format!("routes.\"{domain}\""), format!("\"{target}\""))
    }

    /// An environment variable for the relay. `RUST_LOG` is `info` unless set.
    pub fn env(mut self, name: &str, value: &str) -> House {
        self.env.push((name.to_string(), value.to_string()));
        self
    }

    /// Another program in place of the relay that was built with this test: an older one, for upgrades.
    pub fn program(mut self, program: &Path) -> House {
        self.program = program.to_path_buf();
        self
    }

    /// Starts the relay and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> House {
        self.start_again();
        self
    }

    /// Starts the relay of a house where it has ended: after `kill9` or `terminate`.
    #[track_caller]
    pub fn start_again(&self) {
        let mut relay = self.relay.lock();
        assert!(relay.is_none(), "the relay is running");
        self.write_config();
        let log = self.path().join("relay.log");
        let log = File::options().append(true).create(true).open(log);
        let mut command = self.command(&["serve"]);
        command.stdin(Stdio::null());
        command.stdout(File::create(self.path().join("relay.out")).unwrap());
        command.stderr(log.unwrap());
        let mut process = Process::start(&mut command);
        let ready = wait_until("the relay's `ready`", SOON, || match process.ended() {
            None => self.ready().ok_or_else(|| self.tail()),
            // Not to be waited for any longer; told below.
            Some(status) => Ok(format!("the end, {status}")),
        });
        let smtp = ready.split_ascii_whitespace();
        let smtp = smtp.filter_map(|word| word.strip_prefix("smtp=")).next();
        let smtp = smtp.and_then(|list| list.split(',').next()?.parse().ok());
        let smtp = smtp.unwrap_or_else(|| panic!("no smtp= in {ready:?}\n{}", self.tail()));
        *relay = Some(Relay { process, smtp });
    }

    fn ready(&self) -> Option<String> {
        let out = std::fs::read_to_string(self.path().join("relay.out")).ok()?;
        // A line is only there with its end.
        let mut lines = out.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        Some(lines.find(|line| line.starts_with("ready"))?.to_string())
    }

    /// Changes the config file of a running house, for `hup` or the next start.
    pub fn rewrite(&self, key: &str, value: impl Display) {
        self.settings.lock().put(key, &value.to_string());
        self.write_config();
    }

    fn write_config(&self) {
        let text = self.settings.lock().to_toml();
        std::fs::write(self.config_file(), text).unwrap();
    }

    /// The directory of this house.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    /// The config file; written at each start.
    pub fn config_file(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// The spool directory.
    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    /// Where the relay listens.
    #[track_caller]
    pub fn smtp_addr(&self) -> SocketAddr {
        self.with(|relay| relay.smtp)
    }

    /// A connection to the listener, on which nothing has been said or read.
    #[track_caller]
    pub fn smtp(&self) -> Client {
        Client::connect(self.smtp_addr()).unwrap()
    }

    /// Submits one message on a connection of its own: the reply to the final dot, or the first refusal. The body may
    /// have bare line feeds, which become CRLF.
    pub fn submit(&self, from: &str, to: &[&str], body: &str) -> Result<Reply, Refused> {
        let mut client = Client::greet(self.smtp_addr())?;
        let reply = client.send(from, to, body)?;
        // The message is taken: what QUIT meets no longer matters.
        let _ = client.ask("QUIT");
        Ok(reply)
    }

    /// `sendoff ARGS --config FILE`, with this house's environment, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--config").arg(self.config_file());
        let env = self.env.iter().map(|(name, value)| (name, value));
        command.envs(env).current_dir(self.path());
        command
    }

    /// Runs `sendoff ARGS --config FILE` to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, b"")
    }

    /// As `run`, with something on standard input.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], stdin: &[u8]) -> Output {
        self.write_config();
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let file = |what: &str| self.path().join(format!("run-{number}.{what}"));
        std::fs::write(file("in"), stdin).unwrap();
        // Files and no pipes: nothing can block on a pipe that nobody reads.
        let mut command = self.command(args);
        command.stdin(File::open(file("in")).unwrap());
        command.stdout(File::create(file("out")).unwrap());
        command.stderr(File::create(file("err")).unwrap());
        let process = Process::start(&mut command);
        Output {
            status: process.wait_end(&format!("sendoff {args:?}")),
            stdout: std::fs::read(file("out")).unwrap(),
            stderr: std::fs::read(file("err")).unwrap(),
        }
    }

    /// What `ARGS --json` prints.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let args = [args, &["--json"]].concat();
        let output = self.run(&args);
        assert!(output.status.success(), "sendoff {args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {output:?}"))
    }

    /// `sendoff queue --json`.
    #[track_caller]
    pub fn queue(&self) -> serde_json::Value {
        self.json(&["queue"])
    }

    /// `sendoff connections --json`.
    #[track_caller]
    pub fn connections(&self) -> serde_json::Value {
        self.json(&["connections"])
    }

    /// All that the relay has logged, over all its starts.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.path().join("relay.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits until the log has this in it, and gives the first line that has.
    #[track_caller]
    pub fn wait_log(&self, words: &str) -> String {
        wait_until(&format!("{words:?} in the log"), SOON, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(words));
            line.map(str::to_string).ok_or_else(|| self.tail())
        })
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// The process number of the relay.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.with(|relay| relay.process.pid())
    }

    /// True until the relay's process has ended.
    pub fn is_running(&self) -> bool {
        let mut relay = self.relay.lock();
        relay.as_mut().is_some_and(|relay| relay.process.ended().is_none())
    }

    /// SIGTERM, and the status with which the relay ended.
    #[track_caller]
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_exit()
    }

    /// SIGKILL: the relay ends here and now, with no word said.
    #[track_caller]
    pub fn kill9(&self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.wait_exit()
    }

    /// SIGHUP.
    #[track_caller]
    pub fn hup(&self) {
        self.signal(Signal::HUP);
    }

    /// Any signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.with(|relay| relay.process.signal(signal));
    }

    /// Waits for the relay's own end.
    #[track_caller]
    pub fn wait_exit(&self) -> ExitStatus {
        let relay = self.relay.lock().take();
        let relay = relay.expect("the relay is not running");
        relay.process.wait_end("the relay")
    }

    /// Ends the relay as `terminate` does, when it runs, and starts it again. It listens at another port then.
    #[track_caller]
    pub fn restart(&self) {
        if self.relay.lock().is_some() {
            self.terminate();
        }
        self.start_again();
    }

    #[track_caller]
    fn with<T>(&self, ask: impl FnOnce(&Relay) -> T) -> T {
        let relay = self.relay.lock();
        ask(relay.as_ref().expect("the relay is not running"))
    }
}

/// The neighbourhood: `house.ns()`, `house.good("good.test")`, `house.script(..)`.
impl Deref for House {
    type Target = Street;
    fn deref(&self) -> &Street {
        &self.street
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.relay.get_mut().take());
        if std::thread::panicking() {
            let tail = self.tail();
            if let Some(dir) = self.dir.take() {
                eprintln!("kept {}; the end of relay.log:\n{tail}", dir.keep().display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A house whose relay is a shell script: what is tested here is the house.
    fn shell(serve: &str) -> House {
        let house = House::new();
        let program = house.path().join("relay.sh");
        let text = format!(
            "#!/bin/sh\nif [ $1 = serve ]; then\n{serve}\nfi\necho '{{\"args\": \"'$1 $2 $3'\"}}'\ncat >&2\n"
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        house.program(&program)
    }

    const READY: &str = "echo started $RUST_LOG >&2; echo ready smtp=127.0.0.1:25 spool=x\n\
        trap 'exit 7' TERM; trap 'echo hup >&2' HUP; while :; do sleep 0.01; done";

    #[test]
    fn a_relay_is_started_signalled_and_started_again() {
        let house = shell(READY).env("RUST_LOG", "debug").start();
        assert_eq!(house.smtp_addr().port(), 25);
        assert_eq!(house.wait_log("started"), "started debug");
        house.hup();
        house.wait_log("hup");
        assert_eq!(house.terminate().code(), Some(7));
        assert!(!house.is_running());
        house.start_again();
        let first = house.pid();
        house.restart();
        assert_ne!(house.pid(), first);
        assert_eq!(house.kill9().code(), None);
        assert_eq!(house.log().matches("started").count(), 3);
    }

    #[test]
    fn a_command_is_given_the_config_and_the_input() {
        let house = shell(READY).set("timeouts.banner", "7s");
        let output = house.run_with(&["send"], b"a message");
        assert!(output.status.success() && output.stderr == b"a message");
        assert_eq!(house.queue()["args"], "queue --json --config");
        let config = std::fs::read_to_string(house.config_file()).unwrap();
        assert!(config.contains("banner = \"7s\""), "{config}");
    }

    #[test]
    fn a_relay_that_does_not_start_is_told_at_once_and_its_directory_kept() {
        let house = shell("exit 3");
        let dir = house.path().to_path_buf();
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(house.start())));
        let words = *started.unwrap_err().downcast::<String>().unwrap();
        assert!(words.contains("the end, exit status: 3"), "{words}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
