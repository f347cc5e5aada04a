//! The spool against real files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::mail::{Blame, BodyType, Destination, Diagnostic, Envelope, Failure, QueueId, Remote};
use crate::smtp::{EnhancedStatus, Mailbox, Reply, ReversePath};
use crate::time::{Deadline, Phase, Unix, clock};

mod accept;
mod measure;
mod orders;
mod quarantine;
mod settle;
mod start;
mod trouble;
mod versions;

/// Longer than any wait of a test that passes.
const LIMIT: Duration = Duration::from_secs(30);
const BUDGET: u64 = 1 << 20;

fn open(path: &Path) -> Arc<Spool> {
    Spool::open(path, BUDGET).unwrap()
}

fn envelope(recipients: &[&str]) -> Envelope {
    Envelope {
        reverse_path: ReversePath::parse("<jane@sender.example>").unwrap(),
        body_type: BodyType::EightBitMime,
        recipients: recipients.iter().map(|text| Mailbox::parse(text).unwrap()).collect(),
        accepted: Unix(1_700_000_000),
    }
}

fn destinations(envelope: &Envelope) -> Vec<Destination> {
    envelope.recipients.iter().map(|mailbox| Destination::of(mailbox.host())).collect()
}

fn to(text: &str) -> Destination {
    Destination::parse(text).unwrap()
}

fn try_accept(spool: &Arc<Spool>, recipients: &[&str], octets: &[u8]) -> Result<Accepted, SpoolError> {
    let mut draft = spool.draft();
    octets.chunks(1000).try_for_each(|chunk| draft.write(chunk))?;
    let envelope = envelope(recipients);
    let destinations = destinations(&envelope);
    draft.commit(envelope, destinations, LIMIT)
}

fn accept(spool: &Arc<Spool>, recipients: &[&str], octets: &[u8]) -> QueueId {
    try_accept(spool, recipients, octets).unwrap().id()
}

fn letter(recipients: &[&str], octets: &[u8]) -> NewMessage {
    let envelope = Envelope { reverse_path: ReversePath::NULL, ..envelope(recipients) };
    NewMessage { destinations: destinations(&envelope), envelope, octets: octets.to_vec() }
}

fn failure() -> Failure {
    Failure {
        blame: Blame::Recipient,
        phase: Phase::Rcpt,
        status: EnhancedStatus::new(4, 2, 2),
        diagnostic: Diagnostic::Smtp(Reply::new(452, "4.2.2 mailbox full")),
        remote: Some(Remote::new("mx.example", Some([192, 0, 2, 1].into()))),
        duplicate: false,
    }
}

fn deferred(next: i64) -> Verdict {
    Verdict::Deferred { failure: failure(), next: Unix(next) }
}

fn lease(spool: &Arc<Spool>, id: QueueId, destination: &str) -> Lease {
    spool.claim(id, &to(destination), None).unwrap().unwrap()
}

fn read(lease: &Lease) -> Vec<u8> {
    let mut octets = Vec::new();
    std::io::Read::read_to_end(&mut lease.body().reader(), &mut octets).unwrap();
    octets
}

/// Everything that is queued, with the routes as they are without any.
fn take_up(spool: &Spool) -> (TakeUp, Vec<Entry>) {
    let mut entries = Vec::new();
    let taken = spool.take_up(&Destination::of, &mut |entry| entries.push(entry)).unwrap();
    (taken, entries)
}

fn body_files(path: &Path) -> usize {
    std::fs::read_dir(path.join("body")).unwrap().count()
}

/// Runs SQL as an operator would.
fn sql(path: &Path, text: &str) {
    let connection = rusqlite::Connection::open(path.join("spool.db")).unwrap();
    connection.busy_timeout(LIMIT).unwrap();
    connection.execute_batch(text).unwrap();
}

fn number(path: &Path, text: &str) -> i64 {
    let connection = rusqlite::Connection::open(path.join("spool.db")).unwrap();
    connection.query_row(text, [], |row| row.get(0)).unwrap()
}

/// Has the writer do something to its connection, and waits until it is done.
fn in_writer(spool: &Spool, act: impl Fn(&rusqlite::Connection) + Send + 'static) {
    let (done, is_done) = crossbeam_channel::bounded(1);
    let act = Box::new(move |connection: &rusqlite::Connection| {
        act(connection);
        let _ = done.try_send(());
    });
    spool.queue.force(operation::Operation::Test(act)).unwrap();
    is_done.recv_timeout(LIMIT).unwrap();
}

/// Holds the writer up until the value is dropped, so that what comes meanwhile is one group.
fn hold(spool: &Spool) -> crossbeam_channel::Sender<()> {
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let (begin, begun) = crossbeam_channel::bounded(1);
    let act = Box::new(move |_: &rusqlite::Connection| {
        let _ = begin.try_send(());
        let _ = held.recv_timeout(LIMIT);
    });
    spool.queue.force(operation::Operation::Test(act)).unwrap();
    begun.recv_timeout(LIMIT).unwrap();
    hold
}

/// Waits until `fact` holds: the one place that polls.
fn wait_until(what: &str, mut fact: impl FnMut() -> bool) {
    let end = Deadline::within(clock::now(), LIMIT);
    let never = crossbeam_channel::never::<()>();
    while !fact() {
        assert!(end.remaining(clock::now()).is_ok(), "{what}: not within {LIMIT:?}");
        let _ = never.recv_timeout(Duration::from_millis(5));
    }
}
