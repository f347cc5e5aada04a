//! The relays: how each is started from a private directory with its defaults, and how it ends.
//!
//! What is set beside the defaults is only what a relay needs to stand in our place: where it listens, where its queue is,
//! for whom it relays. All of them have a message on the disk before they say 250, but for one whose name says that it has not.
//! Beside the defaults of two there is another variant each; those take part only in what is compared in figures.

mod exim;
mod extra;
mod flush;
mod opensmtpd;
mod packages;
mod postfix;
mod sendoff;

use crate::cgroup;
use crate::gauge::Gauge;
use crate::namespace::sweep;
use crate::street;
use crate::wait::{pause, until};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use flush::flush;
pub use packages::fetch;
pub use sendoff::{queued, slots};

/// Where every relay listens.
pub const DOOR: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 2525);

/// A relay that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relay {
    /// None at all: the driver hands its mail straight to a host of the far side.
    Ceiling,
    Sendoff,
    Postfix,
    PostfixTuned,
    Exim,
    OpenSmtpd,
    /// As its package has it: it says 250 before the message is on the disk.
    OpenSmtpdUnsynced,
    /// Its name and the command that runs it in the foreground.
    Extra(String, String),
}

impl Relay {
    /// All that this machine has, ours first; and why others are not among them.
    pub fn all(scratch: &Path, root: bool) -> (Vec<Relay>, Vec<String>) {
        let (mut found, mut missing) = (vec![Relay::Sendoff], Vec::new());
        if !root {
            missing.push(
                "every peer: Postfix, Exim and OpenSMTPD change their user, which needs root".to_owned(),
            );
            return (found, missing);
        }
        let laid = packages::lay(scratch);
        let unpacked = |program| laid.clone().and_then(|()| packages::check(program));
        for (relay, there) in [
            (Relay::Postfix, postfix::check()),
            (Relay::PostfixTuned, postfix::check()),
            (Relay::Exim, unpacked(exim::PROGRAM)),
            (Relay::OpenSmtpd, unpacked(opensmtpd::PROGRAM)),
            (Relay::OpenSmtpdUnsynced, unpacked(opensmtpd::PROGRAM)),
        ] {
            match there {
                Ok(()) => found.push(relay),
                Err(reason) => missing.push(format!("{}: {reason}", relay.name())),
            }
        }
        found.extend(extra::all());
        (found, missing)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Relay::Ceiling => "no relay",
            Relay::Sendoff => "Sendoff",
            Relay::Postfix => "Postfix",
            Relay::PostfixTuned => "Postfix-tuned",
            Relay::Exim => "Exim",
            Relay::OpenSmtpd => "OpenSMTPD",
            Relay::OpenSmtpdUnsynced => "OpenSMTPD-unsynced",
            Relay::Extra(name, _) => name,
        }
    }

    /// Its version, as it says itself.
    pub fn version(&self) -> String {
        match self {
            Relay::Ceiling => "the driver and the far side alone".to_owned(),
            Relay::Sendoff => sendoff::version(),
            Relay::Postfix | Relay::PostfixTuned => postfix::version(),
            Relay::Exim => exim::version(),
            Relay::OpenSmtpd => opensmtpd::version(),
            Relay::OpenSmtpdUnsynced => opensmtpd::version() + ", NOT durable at 250: for comparison only",
            Relay::Extra(..) => "version unknown".to_owned(),
        }
    }

    /// Whether it is another variant of a relay that is there with its defaults.
    pub fn is_variant(&self) -> bool {
        matches!(self, Relay::PostfixTuned | Relay::OpenSmtpdUnsynced)
    }

    /// Where it takes mail.
    pub fn door(&self) -> SocketAddr {
        match self {
            Relay::Ceiling => SocketAddr::from(([127, 20, 0, 1], street::PORT)),
            _ => SocketAddr::from(DOOR),
        }
    }

    /// Starts it in a fresh directory. `settings` are lines for Sendoff's configuration.
    ///
    /// # Errors
    /// The reason in words, with the end of its log.
    pub fn start(&self, scratch: &Path, settings: &str) -> Result<Running, String> {
        let home = scratch.join(self.name().to_lowercase());
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let before = cgroup::seconds().unwrap_or(0.0);
        let started = match self {
            Relay::Ceiling => Ok(None),
            Relay::Sendoff => sendoff::start(&home, settings),
            Relay::Postfix => postfix::start(&home, &[]),
            Relay::PostfixTuned => postfix::start(&home, &postfix::TUNED),
            Relay::Exim => exim::start(&home),
            Relay::OpenSmtpd => opensmtpd::start(&home, true),
            Relay::OpenSmtpdUnsynced => opensmtpd::start(&home, false),
            Relay::Extra(_, command) => extra::start(&home, command),
        };
        let child = started.map_err(|error| format!("{}: {error}", self.name()))?;
        // Only Sendoff is one process that stays the one we have started.
        let process = child.as_ref().map(Child::id).filter(|_| *self == Relay::Sendoff);
        let running = Running { child, process, home, gauge: Gauge::start(process, before) };
        let door = self.door();
        if until(Duration::from_secs(30), || greets(door)) {
            return Ok(running);
        }
        Err(format!("{}: it does not answer at {door}:\n{}", self.name(), running.log()))
    }
}

/// Whether somebody says 220 there.
fn greets(door: SocketAddr) -> bool {
    let greeting = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&door, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut code = [0; 3];
        stream.read_exact(&mut code)?;
        Ok(&code == b"220")
    };
    greeting().unwrap_or(false)
}

/// A relay that runs; it and all it has started end with this value.
pub struct Running {
    child: Option<Child>,
    /// The one process it consists of, if it is one.
    pub process: Option<u32>,
    /// Its directory.
    pub home: PathBuf,
    pub gauge: Gauge,
}

impl Running {
    /// The last lines of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
            until(Duration::from_secs(20), || !matches!(child.try_wait(), Ok(None)));
            let _ = child.kill();
            let _ = child.wait();
        }
        sweep();
        // The log stays until the next run; the mail does not.
        for queue in ["spool", "queue"] {
            let _ = fs::remove_dir_all(self.home.join(queue));
        }
        pause(Duration::from_millis(200));
    }
}

/// Starts a program whose words go into `log`.
fn spawn(command: &Command, home: &Path) -> Result<Child, String> {
    let log = File::create(home.join("log")).map_err(|error| error.to_string())?;
    let other = log.try_clone().map_err(|error| error.to_string())?;
    let mut inside = cgroup::inside(command);
    inside.stdin(Stdio::null()).stdout(other).stderr(log);
    inside.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))
}

/// What a command prints, in one line.
fn words(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().map(|line| line.trim().to_owned()).find(|line| !line.is_empty())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
