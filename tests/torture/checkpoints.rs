//! Checkpoints whose sync fails. The kernel reports the error once, and may take the pages for written from then on: the next
//! sync proves nothing of them. So every page that was written before a failed sync has to be written again before a sync
//! that succeeds. This is held against what the relay did, by its system calls.

use crate::book::Book;
use crate::kills::wait_flow;
use crate::relay::{LIMIT, Relay};
use crate::report::Report;
use crate::strace::Strace;
use crate::wait::wait_until;
use std::collections::HashSet;
use std::path::PathBuf;

fn output(relay: &Relay) -> PathBuf {
    relay.path().join("strace")
}

/// The first two syncs of the database fail; all calls that concern it are written down.
pub fn begin(relay: &Relay) -> Result<Strace, String> {
    let database = relay.spool().join("spool.db").display().to_string();
    let arguments = ["-P", &database, "-e", "trace=pwrite64,fsync,fdatasync"];
    let arguments = [&arguments[..], &["-e", "inject=fsync,fdatasync:error=EIO:when=1..2"]].concat();
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    Strace::attach(relay.pid(), &arguments, &output(relay))
}

/// Waits for all of them, under load, and for some that succeed afterwards.
pub fn during(relay: &Relay, book: &Book, report: &mut Report) {
    let syncs = wait_until("checkpoints that fail, and then others", LIMIT, || {
        let seen = Seen::read(&std::fs::read_to_string(output(relay)).unwrap_or_default());
        // The first that succeeds has to write everything again; the second could rely on it.
        if seen.failed >= 2 && seen.synced >= 2 { Ok(seen) } else { Err(format!("{seen:?}")) }
    });
    wait_flow(book, 50);
    report.note(format!(
        "{} syncs of the database failed over {} writes; {} pages were to be written again",
        syncs.failed, syncs.written, syncs.most
    ));
    report.check(syncs.trusted == 0, || {
        format!("{} pages of a failed sync were taken for written by a later one", syncs.trusted)
    });
}

/// What has been seen of the database.
#[derive(Debug, Default)]
struct Seen {
    written: usize,
    failed: usize,
    synced: usize,
    /// Pages of failed syncs that had not been written again when a sync succeeded.
    trusted: usize,
    /// The most pages of failed syncs.
    most: usize,
}

impl Seen {
    /// Reads the calls, one a line; one that another thread interrupts is finished on a later line.
    fn read(text: &str) -> Seen {
        let mut seen = Seen::default();
        let (mut fresh, mut doubtful) = (HashSet::new(), HashSet::new());
        for line in text.lines() {
            if line.contains("pwrite64(") {
                let Some(offset) = line.rsplit(", ").next().and_then(offset) else { continue };
                seen.written += 1;
                doubtful.remove(&offset);
                fresh.insert(offset);
            } else if line.contains("sync(") || line.contains("sync resumed>") {
                if line.contains("EIO") {
                    seen.failed += 1;
                    doubtful.extend(fresh.drain());
                    seen.most = seen.most.max(doubtful.len());
                } else if line.contains("= 0") {
                    seen.synced += 1;
                    seen.trusted += doubtful.len();
                    doubtful.clear();
                    fresh.clear();
                }
            }
        }
        seen
    }
}

/// `8192) = 4096`, or `8192 <unfinished ...>`.
fn offset(text: &str) -> Option<u64> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
