//! A torn log: what a crash of the machine leaves behind the last commit. Garbage, half a frame, old frames, zeros.

use crate::book::Book;
use crate::far::Far;
use crate::kills::{drain, wait_flow};
use crate::load::Load;
use crate::random::Random;
use crate::relay::Relay;
use crate::report::Report;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

/// The log's header, and the header of a frame (sqlite.org/fileformat.html, 4.1).
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Kills, tears the log and starts again, so often.
pub fn run(tears: usize, seed: u64) -> Report {
    let book = Arc::new(Book::default());
    let mut relay = Relay::new(&[]);
    let _far = Far::open(&relay.street, &book);
    let mut random = Random::new(seed);
    relay.start();
    let load = Load::start(&book, relay.smtp(), 6, seed);
    for n in 0..tears {
        wait_flow(&book, 40);
        let from = Instant::now();
        relay.kill();
        book.trouble(from);
        tear(&relay, n, &mut random);
        relay.start();
    }
    drop(load);
    let mut report = Report::new(&format!("A torn log: {tears} kills, each with another end of the log"));
    drain(&mut relay, &book, &mut report);
    report.count(&book);
    if !report.is_good() {
        relay.keep();
    }
    report
}

/// Damages the log where nothing is promised: behind the last commit.
fn tear(relay: &Relay, n: usize, random: &mut Random) {
    let path = relay.spool().join("spool.db-wal");
    let log = std::fs::read(&path).unwrap();
    let (end, frame) = committed(&log);
    let file = File::options().write(true).open(&path).unwrap();
    let noise: Vec<u8> = (0..10_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    match n % 3 {
        // Noise in place of what follows.
        0 => file.write_all_at(&noise, end as u64).unwrap(),
        // Half a frame, which was whole elsewhere.
        1 if end >= HEADER + frame => {
            let last = &log[end - frame..end - frame / 2];
            file.set_len(end as u64).unwrap();
            file.write_all_at(last, end as u64).unwrap();
        }
        // Zeros to the end.
        _ => file.write_all_at(&vec![0; log.len().saturating_sub(end)], end as u64).unwrap(),
    }
    file.sync_all().unwrap();
}

/// Where the last commit ends, and how long a frame is.
fn committed(log: &[u8]) -> (usize, usize) {
    let number = |at: usize| Some(u32::from_be_bytes(log.get(at..at + 4)?.try_into().ok()?));
    let Some(page) = number(8) else { return (log.len(), 0) };
    let frame = FRAME_HEADER + page as usize;
    let (mut end, mut at) = (HEADER.min(log.len()), HEADER);
    // Frames of this log have its salts; older ones, of before it was begun anew, have others.
    while log.get(at + 8..at + 16).is_some_and(|salts| salts == &log[16..24]) && log.len() >= at + frame {
        at += frame;
        if number(at - frame + 4).is_some_and(|pages| pages > 0) {
            end = at;
        }
    }
    (end, frame)
}
