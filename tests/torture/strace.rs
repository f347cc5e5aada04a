//! strace, which makes the system calls of a running relay fail. The relay is one static binary: nothing can be loaded
//! before it.

use crate::process::Process;
use crate::wait::wait_until;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// strace at work; the fault is gone when it is dropped.
pub struct Strace {
    process: Option<Process>,
    pub output: PathBuf,
}

impl Strace {
    /// Attaches to every thread of a process. `arguments` are strace's own.
    pub fn attach(pid: u32, arguments: &[String], output: &Path) -> Result<Strace, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(output).args(["-p", &pid.to_string()]).args(arguments);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let there = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
        there.map_err(|error| format!("strace is not installed (apt-get install strace): {error}"))?;
        let mut process = Process::start(&mut command);
        let traced = wait_until("strace to attach", Duration::from_secs(20), || {
            match (process.ended(), is_traced(pid)) {
                (Some(status), _) => Ok(Err(format!("strace cannot attach ({status})"))),
                (None, true) => Ok(Ok(())),
                (None, false) => Err("threads without it".to_string()),
            }
        });
        traced.map(|()| Strace { process: Some(process), output: output.to_owned() })
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait_end("strace");
        }
    }
}

/// Whether every thread of the process has a tracer.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut tasks = tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap_or_default());
    tasks.all(|status| {
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    })
}
