//! `kill -9` at random moments, again and again, under load: while mail flows, before `ready`, and after SIGTERM.

use crate::book::Book;
use crate::far::Far;
use crate::load::Load;
use crate::random::Random;
use crate::relay::{LIMIT, Relay};
use crate::report::Report;
use crate::wait::{pause, wait_until};
use rustix::process::Signal;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When to stop: after so many kills, or when the time is over.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub kills: usize,
    pub time: Duration,
}

/// How long the mail that is left may take to leave.
const DRAIN: Duration = Duration::from_secs(120);

/// Kills, and counts what became of the mail.
pub fn run(bounds: Bounds, seed: u64) -> Report {
    let book = Arc::new(Book::default());
    let mut relay = Relay::new(&[]);
    let _far = Far::open(&relay.street, &book);
    let mut random = Random::new(seed);
    relay.start();
    let load = Load::start(&book, relay.smtp(), 8, seed);
    let (start, mut kills) = (Instant::now(), [0; 3]);
    while kills.iter().sum::<usize>() < bounds.kills && start.elapsed() < bounds.time {
        let chance = random.below(100);
        let moment = match chance {
            // While it flows. Sometimes after long enough that only what is really in flight may be there twice.
            0..75 => {
                let span = if chance < 4 { 3000 } else { random.spread(5, 400) };
                pause(Duration::from_millis(span));
                0
            }
            // At its start.
            75..90 => {
                kill(&mut relay, &book);
                relay.launch();
                pause(Duration::from_micros(random.spread(100, 60_000)));
                kills[0] += 1;
                1
            }
            // At its end.
            _ => {
                pause(Duration::from_millis(random.spread(5, 400)));
                relay.signal(Signal::TERM);
                pause(Duration::from_micros(random.spread(100, 300_000)));
                2
            }
        };
        kill(&mut relay, &book);
        kills[moment] += 1;
        relay.start();
    }
    let took = start.elapsed();
    drop(load);
    let [flowing, starting, ending] = kills;
    let mut report = Report::new(&format!(
        "{} kills in {:.0} s: {flowing} under load, {starting} at the start, {ending} after SIGTERM",
        flowing + starting + ending,
        took.as_secs_f64()
    ));
    drain(&mut relay, &book, &mut report);
    report.count(&book);
    if !report.is_good() {
        relay.keep();
    }
    report
}

fn kill(relay: &mut Relay, book: &Book) {
    let from = Instant::now();
    relay.kill();
    book.trouble(from);
}

/// Waits until all has left, and looks what is left behind: nothing must be. Ends the relay.
pub fn drain(relay: &mut Relay, book: &Book, report: &mut Report) {
    let end = Instant::now() + DRAIN;
    let drained = || matches!(relay.queued(), Some((0, 0)));
    while !drained() && Instant::now() < end {
        pause(Duration::from_millis(50));
    }
    let queued = relay.queued();
    report.check(queued == Some((0, 0)), || format!("left in the queue, and slots in use: {queued:?}"));
    let missing = book.missing();
    report.check(missing.is_empty(), || format!("missing: {} messages", missing.len()));
    let bodies = || relay.bodies();
    let gone = Instant::now() + Duration::from_secs(5);
    while bodies() > 0 && Instant::now() < gone {
        pause(Duration::from_millis(50));
    }
    report.check(bodies() == 0, || format!("{} body files without a message", bodies()));
    relay.signal(Signal::TERM);
    let status = relay.wait_end();
    report.check(status.success(), || format!("the relay ended with {status}"));
    let wrong = integrity(relay);
    report.check(wrong.is_empty(), || format!("the database: {wrong}"));
}

/// What SQLite finds wrong with the database, or what is left in it.
fn integrity(relay: &Relay) -> String {
    let ask = || -> rusqlite::Result<String> {
        let connection = rusqlite::Connection::open(relay.spool().join("spool.db"))?;
        let found = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?;
        let rows = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM recipients) \
                    + (SELECT count(*) FROM bodies) + (SELECT count(*) FROM attempts)";
        let left = connection.query_row(rows, [], |row| row.get::<_, i64>(0))?;
        Ok(if (found.as_str(), left) == ("ok", 0) { String::new() } else { format!("{found}, {left} rows") })
    };
    ask().unwrap_or_else(|error| error.to_string())
}

/// Waits until so many more have been accepted.
pub fn wait_flow(book: &Book, more: usize) {
    let before = book.accepted();
    wait_until("mail that flows", LIMIT, || {
        let now = book.accepted();
        (now >= before + more).then_some(()).ok_or_else(|| format!("{now} of {before} + {more}"))
    });
}
