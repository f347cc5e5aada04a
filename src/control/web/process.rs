//! What the system says of this process, from /proc.

use std::fs;

/// What this process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    /// Open file descriptors.
    pub(super) descriptors: u64,
    /// Threads.
    pub(super) threads: u64,
    /// Resident memory, in octets.
    pub(super) resident: u64,
}

impl Process {
    /// Now; what the system does not say is 0.
    pub(super) fn now() -> Process {
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Process {
            descriptors: u64::try_from(descriptors).unwrap_or(0),
            threads: number(&status, "Threads:"),
            resident: number(&status, "VmRSS:") << 10,
        }
    }
}

/// The number behind a key of /proc/self/status (proc(5)).
fn number(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_threads_memory_and_descriptors() {
        let process = Process::now();
        assert!(process.threads > 0 && process.descriptors > 2 && process.resident > 1 << 20, "{process:?}");
        assert_eq!(number("Threads:\t7\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
        assert_eq!(number("", "VmRSS:"), 0);
    }
}
