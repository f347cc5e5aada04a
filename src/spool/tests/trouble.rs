//! Full disks, locked databases, dead writers.

use super::*;

/// Lets the database grow no further.
fn fill(spool: &Spool) {
    in_writer(spool, |connection| {
        connection.query_row("PRAGMA max_page_count = 1", [], |row| row.get::<_, i64>(0)).unwrap();
    });
}

fn make_room(spool: &Spool) {
    in_writer(spool, |connection| {
        connection.query_row("PRAGMA max_page_count = 1000000", [], |row| row.get::<_, i64>(0)).unwrap();
    });
}

#[test]
fn a_full_disk_refuses_mail_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let first = accept(&spool, &["a@x.example"], b"one");
    fill(&spool);
    assert_eq!(try_accept(&spool, &["b@x.example"], &[b'x'; 60_000]).err(), Some(SpoolError::Full));
    assert_eq!(spool.totals().unwrap(), Totals { messages: 1, recipients: 1 });
    assert_eq!(read(&lease(&spool, first, "x.example")), b"one");
    lease(&spool, first, "x.example").settle(vec![(0, Verdict::Delivered)], None, None, LIMIT).unwrap();
    make_room(&spool);
    accept(&spool, &["b@x.example"], &[b'x'; 60_000]);
}

#[test]
fn one_that_does_not_fit_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    fill(&spool);
    let hold = hold(&spool);
    std::thread::scope(|scope| {
        let large = scope.spawn(|| try_accept(&spool, &["a@x.example"], &[b'x'; 60_000]));
        wait_until("the large one waits", || spool.queue.burden() >= 1);
        let small = scope.spawn(|| try_accept(&spool, &["b@x.example"], b"x"));
        wait_until("the small one waits", || spool.queue.burden() >= 2);
        drop(hold);
        assert_eq!(large.join().unwrap().err(), Some(SpoolError::Full));
        assert!(small.join().unwrap().is_ok());
    });
}

/// Whoever gave up waiting had told the scheduler nothing: the message was in no queue any more until the next start.
#[test]
fn a_reroute_that_nobody_waits_for_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let hold = hold(&spool);
    let short = Duration::from_millis(20);
    assert!(lease(&spool, id, "x.example").reroute(vec![(0, to("y.example"))], short).is_err());
    drop(hold);
    accept(&spool, &["b@z.example"], b"after it");
    assert_eq!(lease(&spool, id, "x.example").recipients().len(), 1);
    assert!(spool.claim(id, &to("y.example"), None).unwrap().is_none());
}

#[test]
fn a_settlement_that_cannot_be_written_is_kept_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    fill(&spool);
    let failed = vec![(0, Verdict::Failed { failure: failure() })];
    let bounce = letter(&["jane@sender.example"], &[b'b'; 60_000]);
    let error = lease(&spool, id, "x.example").settle(failed, Some(bounce), None, LIMIT).err();
    assert!(matches!(error, Some(SpoolError::Kept(_))), "{error:?}");
    assert_eq!(spool.claim(id, &to("x.example"), None).err(), Some(SpoolError::Claimed(id)));
    make_room(&spool);
    let bounce = spool.late().recv_timeout(LIMIT).unwrap();
    assert_eq!(bounce.entries()[0].0, to("sender.example"));
    assert!(spool.claim(id, &to("x.example"), None).unwrap().is_none());
    assert_eq!(spool.totals().unwrap(), Totals { messages: 1, recipients: 1 });
}

#[test]
fn a_kept_settlement_is_written_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let first = lease(&spool, id, "x.example");
    let operator = rusqlite::Connection::open(dir.path().join("spool.db")).unwrap();
    in_writer(&spool, |connection| connection.busy_timeout(Duration::ZERO).unwrap());
    operator.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = try_accept(&spool, &["b@x.example"], b"x").err();
    assert!(matches!(refused, Some(SpoolError::Temporary(_))), "{refused:?}");
    let error = first.settle(vec![(0, Verdict::Delivered)], None, None, LIMIT).err();
    assert!(matches!(error, Some(SpoolError::Kept(_))), "{error:?}");
    operator.execute_batch("ROLLBACK").unwrap();
    spool.close(LIMIT);
    assert_eq!(try_accept(&spool, &["b@x.example"], b"x").err(), Some(SpoolError::Closed));
    drop(spool);
    assert_eq!(take_up(&open(dir.path())).0, TakeUp::default());
}

#[test]
fn while_the_database_is_opened_anew_mail_is_refused_and_settlements_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let held = lease(&spool, id, "x.example");
    let (closing, closed) = crossbeam_channel::bounded::<()>(0);
    spool.queue.force(operation::Operation::Close(closing)).unwrap();
    assert!(closed.recv_timeout(LIMIT).is_err());
    let refused = try_accept(&spool, &["b@x.example"], &[b'x'; 100_000]).err();
    assert!(matches!(refused, Some(SpoolError::Temporary(_))), "{refused:?}");
    assert_eq!(body_files(dir.path()), 0);
    let error = held.settle(vec![(0, Verdict::Delivered)], None, None, LIMIT).err();
    assert!(matches!(error, Some(SpoolError::Kept(_))), "{error:?}");
    let connection = schema::connect(dir.path()).unwrap();
    spool.queue.force(operation::Operation::Open(connection)).unwrap();
    let next = accept(&spool, &["b@x.example"], b"y");
    wait_until("the settlement", || spool.claim(id, &to("x.example"), None).is_ok());
    assert_eq!(read(&lease(&spool, next, "x.example")), b"y");
    assert_eq!(spool.totals().unwrap(), Totals { messages: 1, recipients: 1 });
}

/// It stayed until the next start.
#[test]
fn a_body_file_that_cannot_be_removed_is_removed_when_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], &[b'x'; 100_000]);
    // Nobody can remove a directory as a file, root neither.
    let place = dir.path().join("body").join(id.to_string());
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    spool.files.remove(id);
    assert!(spool.files.has_left());
    std::fs::remove_dir(&place).unwrap();
    std::fs::write(&place, "x").unwrap();
    spool.files.remove_left();
    assert!(!spool.files.has_left());
    assert_eq!(body_files(dir.path()), 0);
}

#[test]
fn nobody_waits_for_a_dead_writer() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let held = lease(&spool, id, "x.example");
    spool.queue.force(operation::Operation::Test(Box::new(|_| panic!("a test's")))).unwrap();
    assert_eq!(try_accept(&spool, &["b@x.example"], b"x").err(), Some(SpoolError::Closed));
    let error = held.settle(vec![(0, Verdict::Delivered)], None, None, LIMIT).err();
    assert_eq!(error, Some(SpoolError::Closed));
    // Delivered, and not written down: this process does not send it again.
    assert_eq!(spool.claim(id, &to("x.example"), None).err(), Some(SpoolError::Claimed(id)));
    drop(spool);
    assert_eq!(take_up(&open(dir.path())).0.messages, 1);
}

#[test]
fn the_log_is_moved_into_the_database_and_does_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let before = std::fs::metadata(dir.path().join("spool.db")).unwrap().len();
    for _ in 0..50 {
        accept(&spool, &["a@x.example"], &[b'x'; 10_000]);
    }
    wait_until("a checkpoint", || {
        std::fs::metadata(dir.path().join("spool.db")).unwrap().len() > before + 400_000
    });
    spool.close(LIMIT);
    assert_eq!(std::fs::metadata(dir.path().join("spool.db-wal")).unwrap().len(), 0);
}

#[test]
fn every_commit_is_synced_and_none_waits_for_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    in_writer(&spool, |connection| {
        let number = |name: &str| {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        // 2 is FULL: with NORMAL a log is not synced at each commit.
        assert_eq!((number("synchronous"), number("wal_autocheckpoint")), (2, 0));
        let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
    });
}
