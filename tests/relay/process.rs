//! A child process that cannot outlive its test: dropping it kills it, by its own number, and waits for it.

use crate::wait::{SOON, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, ExitStatus};

/// A running child, or one that has ended and was not looked at yet.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    #[track_caller]
    pub fn start(command: &mut Command) -> Process {
        let child = command.spawn();
        Process(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Its status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until it ends by itself; panics when it does not.
    #[track_caller]
    pub fn wait_end(mut self, what: &str) -> ExitStatus {
        wait_until(&format!("the end of {what}"), SOON * 2, || {
            self.ended().ok_or_else(|| "it runs".to_string())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_ends_with_its_test() {
    let process = Process::start(Command::new("sleep").arg("1000"));
    let place = format!("/proc/{}", process.pid());
    assert!(std::path::Path::new(&place).exists());
    drop(process);
    assert!(!std::path::Path::new(&place).exists());
}

#[test]
fn the_status_is_given() {
    let process = Process::start(Command::new("sleep").arg("1000"));
    process.signal(Signal::TERM);
    assert_eq!(process.wait_end("sleep").code(), None);
    let process = Process::start(&mut Command::new("true"));
    assert!(process.wait_end("true").success());
}
