//! What a relay costs, read from /proc: processor time, memory, threads, descriptors.
//!
//! A relay of one process is read exactly (the kernel keeps its peak). One of many processes is all there is in our place
//! but ourselves, and its memory is sampled, as the sum of proportional shares, so that pages its processes have in common
//! count once.

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
}

impl Gauge {
    /// Starts to look.
    pub fn start(process: Option<u32>) -> Gauge {
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
        Gauge { process, peak, stopping, sampling }
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
        let all =
            || processes().iter().map(|process| process.as_raw_nonzero().get().unsigned_abs()).collect();
        let ticks: u64 = self.process.map_or_else(all, |one| vec![one]).into_iter().filter_map(ticks).sum();
        #[allow(clippy::cast_precision_loss)] // Hundredths of seconds.
        let ticks = ticks as f64;
        ticks / 100.0
    }
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
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_ascii_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
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
