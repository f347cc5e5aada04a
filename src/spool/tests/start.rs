//! What a start finds.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_restart_takes_up_everything() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let first = accept(&spool, &["a@x.example", "b@y.example"], b"one");
    let second = accept(&spool, &["c@x.example"], &vec![b'2'; 70_000]);
    lease(&spool, first, "y.example").settle(vec![(1, deferred(1_900_000_000))], None, None, LIMIT).unwrap();
    drop(spool);
    let spool = open(dir.path());
    assert_eq!(spool.totals().unwrap(), Totals { messages: 2, recipients: 3 });
    let (taken, entries) = take_up(&spool);
    assert_eq!(taken, TakeUp { messages: 2, entries: 3, unreadable: 0 });
    let seen: Vec<_> =
        entries.iter().map(|e| (e.id, e.destination.to_string(), e.next.0, e.attempts)).collect();
    assert_eq!(
        seen,
        [
            (first, "x.example".into(), 0, 0),
            (first, "y.example".into(), 1_900_000_000, 1),
            (second, "x.example".into(), 0, 0)
        ]
    );
    assert_eq!(read(&lease(&spool, first, "x.example")), b"one");
    assert_eq!(read(&lease(&spool, second, "x.example")).len(), 70_000);
    assert!(accept(&spool, &["a@x.example"], b"x") > second, "ids go on");
}

#[test]
fn ids_go_on_above_those_that_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    lease(&spool, id, "x.example").settle(vec![(0, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
    drop(spool);
    assert!(number(dir.path(), "SELECT last FROM ids") >= id.row() as i64);
    // Even when the clock has gone back: a mark far ahead stands for it.
    sql(dir.path(), "UPDATE ids SET last = 9000000000000000");
    assert!(open(dir.path()).draft().id().row() > 9_000_000_000_000_000);
}

#[test]
fn more_than_a_page_is_taken_up_in_order() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    sql(
        dir.path(),
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         INSERT INTO messages SELECT i, '', 7, 1, i, 0, 0, NULL FROM n;
         INSERT INTO recipients (message, n, address, destination) SELECT id, 0, 'a@x.example', 'x.example' FROM messages;",
    );
    let (taken, entries) = take_up(&open(dir.path()));
    assert_eq!(taken, TakeUp { messages: 2500, entries: 2500, unreadable: 0 });
    assert!(entries.is_sorted_by_key(|entry| entry.id));
}

#[test]
fn changed_routes_are_corrected_before_anything_is_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example", "b@y.example"], b"x");
    let smart = to("smtp://smart.example:587");
    let mut entries = Vec::new();
    spool.take_up(&|_| smart.clone(), &mut |entry| entries.push(entry.destination)).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0], smart);
    assert_eq!(spool.claim(id, &smart, None).unwrap().unwrap().recipients().len(), 2);
    assert!(spool.claim(id, &to("x.example"), None).unwrap().is_none());
}

#[test]
fn an_operator_may_drop_a_message_by_one_statement() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], &vec![b'x'; 100_000]);
    drop(spool);
    sql(dir.path(), &format!("DELETE FROM messages WHERE id = {}", id.row()));
    assert_eq!(number(dir.path(), "SELECT count(*) FROM recipients"), 0);
    let spool = open(dir.path());
    assert_eq!((take_up(&spool).0, body_files(dir.path())), (TakeUp::default(), 0));
}

#[test]
fn a_body_file_without_a_message_is_removed_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], &vec![b'x'; 100_000]);
    drop(spool);
    let body = dir.path().join("body");
    std::fs::write(body.join(QueueId::from_row(id.row() - 1).to_string()), "orphan").unwrap();
    std::fs::write(body.join("notes.txt"), "an operator's").unwrap();
    let spool = open(dir.path());
    assert_eq!(body_files(dir.path()), 2);
    assert_eq!(read(&lease(&spool, id, "x.example")).len(), 100_000);
}

#[test]
fn one_spool_has_one_relay() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let error = Spool::open(dir.path(), BUDGET).err().unwrap();
    assert_eq!(error, SpoolError::Locked { by: Some(std::process::id()) });
    assert!(error.to_string().contains(&std::process::id().to_string()));
    drop(spool);
    open(dir.path());
}

#[test]
fn nobody_else_may_read_the_mail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let spool = open(&path);
    let id = accept(&spool, &["a@x.example"], &vec![b'x'; 100_000]);
    let mode = |name: &str| std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("body")), (0o700, 0o700));
    for name in ["lock", "spool.db", "spool.db-wal", "spool.db-shm", &format!("body/{id}")] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}

#[test]
fn standing_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let record = |name: &str, failures: u32, proven: bool| DestinationRecord {
        destination: to(name),
        failures,
        until: Unix(1_800_000_000),
        proven,
        last_at: Unix(1_700_000_000),
        last_text: "no banner".into(),
    };
    let (hole, good) = (record("hole.example", 3, false), record("good.example", 0, true));
    spool.remember(vec![hole.clone(), good.clone(), record("smtp://s.example:25", 1, false)]);
    spool.remember(vec![record("smtp://s.example:25", 0, false)]);
    drop(spool);
    let spool = open(dir.path());
    let mut records = spool.destinations().unwrap();
    records.sort_by_key(|record| record.failures);
    assert_eq!(records, [good, hole]);
}
