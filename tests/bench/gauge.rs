//! What a relay costs, read from /proc: processor time, memory, threads, descriptors.
//!
//! The kernel adds up the time of all its processes in their control group (`cgroup`), those included that have ended. The peak
//! of one process is the kernel's too. Memory of many processes is sampled, as the sum of proportional shares, so that pages
//! they have in common count once.

use crate::cgroup;
use crate::namespace::processes;
use crate::wait::pause;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the memory of many processes is summed.
const STEP: Duration = Duration::from_secs(1);

/// A gauge at a running relay.
pub struct Gauge {
    /// The one process, if it is one.
    process: Option<u32>,
    peak: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    sampling: Option<JoinHandle<()>>,
    /// What the group had spent before.
    before: f64,
}

impl Gauge {
    /// Starts to look, at one process or at all there are; `before` is what the group had spent before the relay started.
    pub fn start(process: Option<u32>, before: f64) -> Gauge {
        let (peak, stopping) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let sampling = process.is_none().then(|| {
            let (peak, stopping) = (Arc::clone(&peak), Arc::clone(&stopping));
            std::thread::spawn(move || {
                while !stopping.load(Ordering::Relaxed) {
                    let all = processes();
                    let sum = all.iter().map(|process| shared(process.as_raw_nonzero().get())).sum();
                    peak.fetch_max(sum, Ordering::Relaxed);
                    pause(STEP);
                }
            })
        });
        Gauge { process, peak, stopping, sampling, before }
    }

    /// The most memory so far, in octets.
    pub fn peak(&self) -> u64 {
        match self.process {
            Some(process) => status(process, "VmHWM:").unwrap_or(0) * 1024,
            None => self.peak.load(Ordering::Relaxed),
        }
    }

    /// Processor seconds so far, user and system.
    pub fn seconds(&self) -> f64 {
        if let Some(spent) = cgroup::seconds() {
            return spent - self.before;
        }
        // Without a group: who runs, whom they have waited for, and the orphans that are ours now and wait for the sweep.
        let all =
            || processes().iter().map(|process| process.as_raw_nonzero().get().unsigned_abs()).collect();
        hundredths(self.process.map_or_else(all, |one| vec![one]).into_iter().filter_map(ticks).sum())
    }
}

/// Processor seconds of ourselves: the driver, the far side and the nameserver.
pub fn own_seconds() -> f64 {
    let ticks = fields(std::process::id()).map_or(0, |fields| fields.iter().take(2).sum());
    hundredths(ticks)
}

#[allow(clippy::cast_precision_loss)]
fn hundredths(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(sampling) = self.sampling.take() {
            let _ = sampling.join();
        }
    }
}

/// A number of `/proc/N/status`.
fn status(process: u32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn shared(process: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: Option<u64> = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

/// utime, stime and those of children that have been waited for: fields 14 to 17 of `/proc/N/stat`, in hundredths of a second.
fn ticks(process: u32) -> Option<u64> {
    fields(process).map(|fields| fields.iter().sum())
}

fn fields(process: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().skip(11).take(4).filter_map(|field| field.parse().ok()).collect())
}

/// A process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Octets of resident memory.
    pub resident: u64,
    pub threads: u64,
    pub descriptors: usize,
    /// TCP connections of this place that are not over, listening ones left out.
    pub sockets: usize,
}

impl Look {
    /// Looks at a process.
    pub fn at(process: u32) -> Look {
        let established = |line: &str| line.split_ascii_whitespace().nth(3) == Some("01");
        let table = |name: &str| fs::read_to_string(name).unwrap_or_default();
        let tables = table("/proc/net/tcp") + &table("/proc/net/tcp6");
        Look {
            resident: status(process, "VmRSS:").unwrap_or(0) * 1024,
            threads: status(process, "Threads:").unwrap_or(0),
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count),
            sockets: tables.lines().filter(|line| established(line)).count(),
        }
    }
}
