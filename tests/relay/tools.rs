//! Real programs of other people as the relay's neighbours: what they accept is not ours to define.
//!
//! They are packages that may be missing. A test that needs one then says so loudly and passes: a machine without it is
//! not a broken relay, and silence about it would be a lie.

use crate::process::Process;
use crate::wait::{SOON, wait_until};
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The Debian package of a program that has another name.
const PACKAGES: [(&str, &str); 7] = [
    ("aiosmtplib", "python3-aiosmtplib"),
    ("aiosmtpd", "python3-aiosmtpd"),
    ("php", "php-cli"),
    ("smtp-sink", "postfix"),
    ("smtp-source", "postfix"),
    ("sqlite3", "sqlite3"),
    ("mail", "bsd-mailx"),
];

/// Where the program is. When it is nowhere, that is printed, past the capture of a passing test's output.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A daemon's directory is not in everybody's PATH.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skipped(name);
    }
    found
}

/// Python, when it has this module.
pub fn python_with(module: &str) -> Option<PathBuf> {
    let python = tool("python3")?;
    let there = run(Command::new(&python).args(["-c", &format!("import {module}")]));
    if !there.status.success() {
        skipped(module);
        return None;
    }
    Some(python)
}

/// Says loudly that a test passes without its program.
pub fn skipped(name: &str) {
    let other = PACKAGES.iter().find(|(program, _)| *program == name);
    let package = other.map_or(name, |(_, package)| *package);
    // Not `eprintln!`, which the test runner keeps to itself when the test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is not installed (apt-get install {package})");
}

/// Runs a program to its end, bounded, and gives what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    run_fed(command, "")
}

/// As `run`, with this on its standard input.
#[track_caller]
pub fn run_fed(command: &mut Command, input: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    std::fs::write(dir.path().join("in"), input).unwrap();
    command.stdin(File::open(dir.path().join("in")).unwrap());
    command.stdout(File::create(&out).unwrap());
    command.stderr(File::create(&err).unwrap());
    let status = Process::start(command).wait_end(&format!("{command:?}"));
    Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
}

/// Another program's SMTP server, at an address; killed when dropped.
#[derive(Debug)]
pub struct FarSide {
    // First, so that the program ends before its directory does.
    process: Process,
    addr: SocketAddr,
    dir: TempDir,
}

impl FarSide {
    /// Postfix's smtp-sink, which keeps each message as a file: see `dumps`. `options` are its own, `-p` for one.
    #[track_caller]
    pub fn smtp_sink(addr: SocketAddr, options: &[&str]) -> Option<FarSide> {
        let mut command = Command::new(tool("smtp-sink")?);
        // It insists on being told which user to be when root starts it.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "root"]);
        }
        command.args(options).args(["-d", "dump-"]);
        command.args([&addr.to_string(), "128"]);
        Some(FarSide::start(addr, &mut command))
    }

    /// aiosmtpd, which prints each message: see `output`.
    #[track_caller]
    pub fn aiosmtpd(addr: SocketAddr) -> Option<FarSide> {
        let mut command = Command::new(python_with("aiosmtpd")?);
        command.args(["-u", "-m", "aiosmtpd", "-n", "-l", &addr.to_string()]);
        command.args(["-c", "aiosmtpd.handlers.Debugging", "stdout"]);
        Some(FarSide::start(addr, &mut command))
    }

    /// Starts any server that listens at `addr`, in a directory of its own, and waits until it accepts.
    #[track_caller]
    pub fn start(addr: SocketAddr, command: &mut Command) -> FarSide {
        let dir = tempfile::Builder::new().prefix("far-side-").tempdir();
        let dir = dir.unwrap();
        let log = File::create(dir.path().join("output")).unwrap();
        command.current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = Process::start(command);
        let mut far = FarSide { process, addr, dir };
        let second = Duration::from_secs(1);
        wait_until(&format!("{command:?} at {addr}"), SOON, || {
            let ended = far.process.ended();
            assert!(ended.is_none(), "{command:?}: {}", far.output());
            TcpStream::connect_timeout(&addr, second).map_err(|e| e.to_string())
        });
        far
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The directory it runs in.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// All that it has printed.
    pub fn output(&self) -> String {
        let output = std::fs::read(self.path().join("output")).unwrap();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits until it has printed this, and gives all that it has printed.
    #[track_caller]
    pub fn wait_output(&self, words: &str) -> String {
        wait_until(&format!("{words:?} in the output"), SOON, || {
            let output = self.output();
            if output.contains(words) { Ok(output) } else { Err(output) }
        })
    }

    /// The messages smtp-sink has written so far: `X-Mail-Args` and `X-Rcpt-Args` lines, then the message. One that is
    /// being received may be among them, and be short.
    pub fn dumps(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let dump = |file: &PathBuf| file.to_string_lossy().contains("/dump-");
        let text = |file: PathBuf| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into();
        files.filter(dump).map(text).collect()
    }

    /// Waits until smtp-sink has written a message with this in it.
    #[track_caller]
    pub fn wait_dump(&self, words: &str) -> String {
        wait_until(&format!("{words:?} in a dump"), SOON, || {
            let dumps = self.dumps();
            let found = dumps.iter().find(|dump| dump.contains(words)).cloned();
            found.ok_or_else(|| format!("{dumps:#?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::peer::{Peer, Sink};
    use crate::street::Street;

    fn send(addr: SocketAddr) {
        let mut client = Client::greet(addr).unwrap();
        let reply = client.send("a@client.test", &["b@far.test"], "Subject: hello\n\nthe end\n");
        assert_eq!(reply.unwrap().code, 250);
        client.ask("QUIT").unwrap();
    }

    #[test]
    fn smtp_sink_takes_a_message() {
        let Some(far) = FarSide::smtp_sink(Street::new().addr(), &[]) else {
            return;
        };
        send(far.addr());
        let dump = far.wait_dump("the end");
        assert!(dump.contains("<b@far.test>"), "{dump}");
    }

    #[test]
    fn aiosmtpd_takes_a_message() {
        let Some(far) = FarSide::aiosmtpd(Street::new().addr()) else {
            return;
        };
        send(far.addr());
        let output = far.wait_output("END MESSAGE");
        assert!(output.contains("Subject: hello"), "{output}");
    }

    #[test]
    fn swaks_finds_no_fault_in_our_sink() {
        let Some(swaks) = tool("swaks") else {
            return;
        };
        let sink = Sink::start(Street::new().addr());
        let server = sink.addr().to_string();
        let mut command = Command::new(swaks);
        command.args(["--server", &server, "--from", "a@b.test", "--to", "c@d.test"]);
        let output = run(&mut command);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(sink.wait_for(1, SOON)[0].forward_paths, ["c@d.test"]);
    }

    #[test]
    fn a_missing_tool_is_none() {
        assert!(tool("no-such-mail-tool").is_none());
    }
}
