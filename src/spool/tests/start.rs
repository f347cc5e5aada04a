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
    lease(&spool, id, "x.example").settle(vec![(0, Verdict::Delivered)], None, None, LIMIT).unwrap();
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
fn a_row_that_cannot_be_read_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids: Vec<_> = (0..4).map(|_| accept(&spool, &["a@x.example", "b@x.example"], b"x")).collect();
    drop(spool);
    sql(
        dir.path(),
        &format!(
            "UPDATE recipients SET address = 'not an address' WHERE message = {} AND n = 0;
             UPDATE messages SET reverse_path = '<<>>' WHERE id = {};
             DELETE FROM bodies WHERE message = {};",
            ids[0].row(),
            ids[1].row(),
            ids[2].row()
        ),
    );
    let spool = open(dir.path());
    let (taken, entries) = take_up(&spool);
    assert_eq!(taken, TakeUp { messages: 3, entries: 3, unreadable: 2 });
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[3]]);
    assert_eq!(lease(&spool, ids[0], "x.example").recipients().len(), 1);
    for id in &ids[1..3] {
        let error = spool.claim(*id, &to("x.example"), None).err().unwrap();
        assert!(matches!(error, SpoolError::Corrupt { id: Some(of), .. } if of == *id), "{error}");
    }
    assert_eq!(lease(&spool, ids[3], "x.example").recipients().len(), 2);
    assert_eq!(spool.list(None, 10, &Filter::default()).unwrap().messages.len(), 3);
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
fn a_cut_body_file_is_said_and_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], &vec![b'x'; 100_000]);
    std::fs::write(dir.path().join("body").join(id.to_string()), "cut").unwrap();
    assert!(matches!(spool.claim(id, &to("x.example"), None), Err(SpoolError::Corrupt { .. })));
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
fn a_newer_spool_and_a_foreign_database_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    sql(dir.path(), "PRAGMA user_version = 99");
    let ours = crate::spool::schema::VERSION;
    assert_eq!(Spool::open(dir.path(), 0).err(), Some(SpoolError::Version { found: 99, ours }));
    let dir = tempfile::tempdir().unwrap();
    sql(dir.path(), "CREATE TABLE recipes (name)");
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Corrupt { id: None, .. })));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spool.db"), "not a database at all, but long enough to look like one")
        .unwrap();
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Corrupt { id: None, .. })));
}

/// A spool as version 1 left it, with a message in it.
#[test]
fn a_spool_of_version_1_is_brought_up_to_date_with_its_mail() {
    let dir = tempfile::tempdir().unwrap();
    sql(dir.path(), crate::spool::schema::TABLES);
    sql(
        dir.path(),
        "INSERT INTO messages VALUES (7, 's@from.example', 7, 5, 100, 0, 0);
         INSERT INTO recipients (message, n, address, destination) VALUES (7, 0, 'a@x.example', 'x.example');
         INSERT INTO bodies VALUES (7, CAST('body' || char(10) AS BLOB));
         INSERT INTO destinations VALUES ('x.example', 3, 100, 0, 90, 'silent');
         UPDATE ids SET last = 60000000;",
    );
    let spool = open(dir.path());
    let id = QueueId::from_row(7);
    assert_eq!(read(&lease(&spool, id, "x.example")), b"body\n");
    assert_eq!(spool.destinations().unwrap()[0].failures, 3);
    assert!(accept(&spool, &["b@x.example"], b"new\r\n") > id);
    drop(spool);
    assert_eq!(number(dir.path(), "PRAGMA user_version"), crate::spool::schema::VERSION);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM messages WHERE held IS NULL"), 2);
    assert_eq!(number(dir.path(), "SELECT count(*) FROM recipients WHERE redirected = 0"), 2);
    assert_eq!(take_up(&open(dir.path())).0.messages, 2);
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
