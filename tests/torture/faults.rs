//! Faults of the disk under a relay at work. For each: clients are refused and never told 250, what was accepted stays, what
//! is queued leaves, the log says what is wrong in few lines, and when the fault is gone all goes on without a restart.

use crate::book::Book;
use crate::checkpoints;
use crate::far::Far;
use crate::kills::{drain, wait_flow};
use crate::load::Load;
use crate::place::Disk;
use crate::relay::{LIMIT, Relay};
use crate::report::Report;
use crate::strace::Strace;
use crate::wait::{pause, wait_until};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What fails.
#[derive(Debug, Clone, Copy)]
enum How {
    /// The disk of the spool is small, and something else fills it.
    Full,
    /// It has no file left.
    Inodes,
    /// These system calls fail with this error.
    Calls(&'static str, &'static str),
    /// The first syncs of the database itself fail: checkpoints.
    Checkpoints,
}

/// A fault, and what must follow from it.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    how: How,
    /// The replies that clients may get.
    codes: &'static [u16],
    /// Whether no message at all can be taken.
    all: bool,
    /// What the log says.
    words: &'static str,
    /// Whether the relay is killed while it lasts.
    kill: bool,
}

pub const FAULTS: [Fault; 7] = [
    Fault {
        name: "no space",
        how: How::Full,
        codes: &[452],
        all: false,
        words: "the spool is full: no space on its disk",
        kill: false,
    },
    Fault {
        name: "no inodes",
        how: How::Inodes,
        codes: &[452],
        all: false,
        words: "the spool is full: no space on its disk",
        kill: false,
    },
    Fault {
        name: "EIO on write",
        how: How::Calls("pwrite64", "EIO"),
        codes: &[451],
        all: true,
        words: "disk I/O error",
        kill: false,
    },
    Fault {
        name: "EIO on sync",
        how: How::Calls("fsync,fdatasync", "EIO"),
        codes: &[451],
        all: true,
        words: "disk I/O error",
        kill: false,
    },
    Fault {
        name: "EIO on sync, and a kill",
        how: How::Calls("fsync,fdatasync", "EIO"),
        codes: &[451],
        all: true,
        words: "disk I/O error",
        kill: true,
    },
    Fault {
        name: "a read-only spool",
        how: How::Calls("pwrite64,ftruncate,fsync,fdatasync,?unlink,unlinkat", "EROFS"),
        codes: &[451],
        all: true,
        words: "disk I/O error",
        kill: false,
    },
    Fault {
        name: "EIO on sync of checkpoints",
        how: How::Checkpoints,
        codes: &[451],
        all: false,
        words: "a checkpoint of the spool failed: disk I/O error",
        kill: false,
    },
];

/// How long a fault lasts after all else has been seen: the relay has tried again by then.
const LASTS: Duration = Duration::from_millis(1500);
/// The most lines of the log about one fault.
const LINES: usize = 12;

/// The fault at work; gone when it is dropped.
enum Guard {
    Files(Vec<PathBuf>),
    Calls(#[allow(dead_code, reason = "its Drop is what it is for")] Strace),
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Guard::Files(files) = self {
            files.iter().for_each(|file| drop(std::fs::remove_file(file)));
        }
    }
}

/// Shows one fault; `Err` says why it cannot be made on this machine.
pub fn run(fault: &Fault, seed: u64) -> Result<Report, String> {
    let book = Arc::new(Book::default());
    let mut relay = Relay::new(&[]);
    let disk = match fault.how {
        How::Full => Some(Disk::mount(&relay.spool(), "size=24m,mode=700")?),
        How::Inodes => Some(Disk::mount(&relay.spool(), "size=200m,nr_inodes=400,mode=700")?),
        How::Calls(..) | How::Checkpoints => None,
    };
    let far = Far::open(&relay.street, &book);
    far.shut(true);
    relay.start();
    let load = Load::start(&book, relay.smtp(), 6, seed);
    wait_flow(&book, 150);
    let mut report = Report::new(&format!("Fault: {}", fault.name));
    let from = Instant::now();
    let guard = begin(fault, &relay)?;
    match fault.how {
        How::Checkpoints => checkpoints::during(&relay, &book, &mut report),
        _ => during(fault, &book, &far, &mut report),
    }
    far.shut(false);
    report.note(format!("it lasted {:.1} s", from.elapsed().as_secs_f64()));
    if fault.kill {
        // What was delivered while it lasted could not be written down.
        relay.kill();
        book.trouble(from);
        drop(guard);
        relay.start();
    } else {
        drop(guard);
        let since = Instant::now();
        wait_flow(&book, 100);
        report.note(format!(
            "100 messages were taken within {:.1} s of its end",
            since.elapsed().as_secs_f64()
        ));
        report.check(relay.is_running(), || "the relay has ended".into());
    }
    drop(load);
    let since = Instant::now();
    drain(&mut relay, &book, &mut report);
    report.note(format!("all that was left had left {:.1} s later", since.elapsed().as_secs_f64()));
    drop(disk);
    report.count(&book);
    said(fault, &relay, &mut report);
    for code in report.codes() {
        // 421 is said by a relay that has just been started, or is about to end.
        let known = fault.codes.contains(&code) || code == 421;
        report.check(known, || format!("a client was told {code}"));
    }
    if !report.is_good() {
        relay.keep();
    }
    Ok(report)
}

/// Makes the fault.
fn begin(fault: &Fault, relay: &Relay) -> Result<Guard, String> {
    match fault.how {
        How::Full => Ok(Guard::Files(vec![fill(&relay.spool().join("filler"))])),
        How::Inodes => {
            let places = (0..).map(|n| relay.spool().join(format!("filler-{n}")));
            let made = places.take_while(|place| std::fs::File::create(place).is_ok());
            Ok(Guard::Files(made.collect()))
        }
        How::Calls(calls, error) => {
            let arguments = [
                "-e".to_string(),
                format!("trace={calls}"),
                "-e".to_string(),
                format!("inject={calls}:error={error}"),
            ];
            let output = relay.path().join("strace");
            Strace::attach(relay.pid(), &arguments, &output).map(Guard::Calls)
        }
        How::Checkpoints => checkpoints::begin(relay).map(Guard::Calls),
    }
}

/// Writes until there is no room.
fn fill(place: &Path) -> PathBuf {
    use std::io::Write;
    let mut file = std::fs::File::create(place).unwrap();
    for octets in [1 << 16, 1 << 10, 1] {
        while file.write_all(&vec![b'x'; octets]).is_ok() {}
    }
    place.to_owned()
}

/// What must be seen while it lasts.
fn during(fault: &Fault, book: &Book, far: &Far, report: &mut Report) {
    let wait_refused = |more: usize| {
        let before = book.refused();
        wait_until("refusals", LIMIT, || {
            let now = book.refused();
            (now >= before + more).then_some(()).ok_or_else(|| format!("{now}, not {before} + {more}"))
        });
    };
    wait_refused(10);
    let (accepted, finished) = (book.accepted(), book.finished());
    // What waited for this host was accepted before.
    far.shut(false);
    let end = Instant::now() + LIMIT;
    while book.finished() == finished && Instant::now() < end {
        pause(Duration::from_millis(10));
    }
    report.check(book.finished() > finished, || "nothing was delivered while it lasted".into());
    wait_refused(10);
    pause(LASTS);
    let (more, delivered) = (book.accepted() - accepted, book.finished() - finished);
    report.check(!fault.all || more == 0, || format!("{more} messages were taken while it lasted"));
    report.note(format!("while it lasted {delivered} messages were delivered, and {more} taken"));
}

/// What the log says: what is wrong, and not too often.
fn said(fault: &Fault, relay: &Relay, report: &mut Report) {
    let log = relay.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    report.check(lines.iter().any(|line| line.contains(fault.words)), || {
        format!("the log does not say {:?}: {lines:#?}", fault.words)
    });
    report.check(lines.len() <= LINES, || format!("{} lines: {:#?}", lines.len(), &lines[..LINES]));
    report.note(format!("the log has {} lines about it:", lines.len()));
    for line in lines.iter().take(LINES) {
        report.note(format!("  {}", line.split_once("ERROR ").map_or(*line, |(_, words)| words)));
    }
}
