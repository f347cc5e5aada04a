//! A spool that an earlier version has left is taken over with all that is in it; one of a later version is left alone.

use super::*;

/// One of each earlier version, with data. Whoever makes a new version adds the one that was.
const EARLIER: [&str; 2] = [include_str!("version1.sql"), include_str!("version2.sql")];

#[test]
fn every_earlier_version_is_taken_over_with_its_mail() {
    assert_eq!(schema::VERSION - 1, EARLIER.len() as i64, "a dump of the version that was is missing");
    for (n, dump) in EARLIER.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        sql(dir.path(), dump);
        assert_eq!(number(dir.path(), "PRAGMA user_version"), n as i64 + 1);
        let [small, large] = [1_732_000_000_000_001, 1_732_000_000_000_002].map(QueueId::from_row);
        std::fs::create_dir(dir.path().join("body")).unwrap();
        std::fs::write(dir.path().join("body").join(large.to_string()), vec![b'x'; 100_000]).unwrap();
        let spool = open(dir.path());
        assert_eq!(number(dir.path(), "PRAGMA user_version"), schema::VERSION);
        assert_eq!(spool.totals().unwrap(), Totals { messages: 2, recipients: 3 });
        assert_eq!(take_up(&spool).0, TakeUp { messages: 2, entries: 3, unreadable: 0 });
        let listed = spool.list(None, 10, &Filter::default()).unwrap().messages;
        assert_eq!(listed[0].recipients[1].last.as_ref().unwrap().failure, Failure { ..listed_failure() });
        assert_eq!((listed[1].delay_notified, spool.history(small).unwrap().len()), (true, 2));
        assert_eq!(spool.destinations().unwrap()[0].failures, 3);
        let aside: Vec<_> = spool.quarantine(10).unwrap().1.into_iter().map(|found| found.reason).collect();
        assert_eq!(aside, ["no mailbox"; 1][..n.min(1)], "what came with version 2");
        let orders = (spool.held().unwrap().len(), spool.suspended().unwrap().len());
        assert_eq!((orders, listed[0].recipients[0].redirected), ((0, 0), false));
        assert_eq!(read(&lease(&spool, small, "x.example")), b"hello\r\n");
        assert_eq!(read(&lease(&spool, large, "sender.example")).len(), 100_000);
        lease(&spool, large, "sender.example")
            .settle(vec![(0, Verdict::Delivered(None))], None, None, LIMIT)
            .unwrap();
        assert!(accept(&spool, &["new@x.example"], b"x").row() > 1_732_000_060_000_000);
        drop(spool);
        let fresh = tempfile::tempdir().unwrap();
        drop(open(fresh.path()));
        assert_eq!(made(dir.path()), made(fresh.path()), "as if it had been made today");
        open(dir.path());
    }
}

fn listed_failure() -> Failure {
    Failure {
        remote: Some(Remote {
            name: "mx.y.example".into(),
            address: Some([192, 0, 2, 1].into()),
            channel: None,
        }),
        ..failure()
    }
}

/// What the database consists of.
fn made(path: &Path) -> Vec<(String, String)> {
    let connection = rusqlite::Connection::open(path.join("spool.db")).unwrap();
    let select = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut statement = connection.prepare(select).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_newer_spool_and_a_foreign_database_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let (found, ours) = (schema::VERSION + 1, schema::VERSION);
    sql(dir.path(), &format!("PRAGMA user_version = {found}"));
    let error = Spool::open(dir.path(), 0).err().unwrap();
    assert_eq!(error, SpoolError::Version { found, ours });
    assert!(error.to_string().contains("use a newer one"), "{error}");
    sql(dir.path(), "PRAGMA user_version = -1");
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Version { found: -1, .. })));
    let dir = tempfile::tempdir().unwrap();
    sql(dir.path(), "CREATE TABLE recipes (name)");
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Corrupt { id: None, .. })));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spool.db"), "not a database at all, but long enough to look like one")
        .unwrap();
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Corrupt { id: None, .. })));
}

/// SQLite would have made an empty database, and the start removed every body without a row.
#[test]
fn a_lost_database_is_never_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    accept(&spool, &["a@x.example"], &vec![b'x'; 100_000]);
    drop(spool);
    let database = dir.path().join("spool.db");
    for lost in [false, true] {
        std::fs::write(&database, "").unwrap();
        if lost {
            std::fs::remove_file(&database).unwrap();
        }
        let error = Spool::open(dir.path(), 0).err().unwrap();
        assert!(
            error.to_string().contains("spool.db is missing or empty, but there are 1 messages"),
            "{error}"
        );
        assert_eq!(body_files(dir.path()), 1);
    }
    std::fs::remove_dir_all(dir.path().join("body")).unwrap();
    std::fs::write(dir.path().join("spool.db-wal"), "what was committed").unwrap();
    assert!(matches!(Spool::open(dir.path(), 0), Err(SpoolError::Corrupt { id: None, .. })));
    assert!(dir.path().join("spool.db-wal").exists());
    std::fs::remove_file(dir.path().join("spool.db-wal")).unwrap();
    open(dir.path());
}
