//! What is damaged is put out of the way, is seen, is not counted, and can be mended.

use super::*;

/// What is in quarantine: queue id and recipient.
fn aside(spool: &Spool) -> Vec<(String, Option<u32>)> {
    let (count, found) = spool.quarantine(100).unwrap();
    assert_eq!(count, found.len() as u64);
    assert!(found.iter().all(|found| !found.reason.is_empty() && found.at > Unix(1_700_000_000)));
    found.into_iter().map(|found| (found.id, found.n)).collect()
}

/// What the writer has been asked to do is done.
fn settled(spool: &Spool) {
    in_writer(spool, |_| {});
    in_writer(spool, |_| {});
}

#[test]
fn a_row_that_cannot_be_read_is_put_aside_and_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids: Vec<_> = (0..5).map(|_| accept(&spool, &["a@x.example", "b@x.example"], b"x")).collect();
    drop(spool);
    let [one, path, body, both] = [0, 1, 2, 3].map(|n| ids[n].row());
    sql(
        dir.path(),
        &format!(
            "UPDATE recipients SET address = 'not an address' WHERE message = {one} AND n = 0 OR message = {both};
             UPDATE messages SET reverse_path = '<<>>' WHERE id = {path};
             DELETE FROM bodies WHERE message = {body};"
        ),
    );
    let spool = open(dir.path());
    let (taken, entries) = take_up(&spool);
    assert_eq!(taken, TakeUp { messages: 3, entries: 3, unreadable: 4 });
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [ids[0], ids[2], ids[4]]);
    settled(&spool);
    assert_eq!(spool.totals().unwrap(), Totals { messages: 3, recipients: 5 });
    let error = spool.claim(ids[2], &to("x.example"), None).err().unwrap();
    assert!(matches!(error, SpoolError::Corrupt { id: Some(of), .. } if of == ids[2]), "{error}");
    settled(&spool);
    for id in &ids[1..4] {
        assert!(spool.claim(*id, &to("x.example"), None).unwrap().is_none(), "out of the way");
    }
    let name = |n: usize| ids[n].to_string();
    let all = [
        (name(0), Some(0)),
        (name(1), None),
        (name(2), None),
        (name(3), None),
        (name(3), Some(0)),
        (name(3), Some(1)),
    ];
    assert_eq!(aside(&spool), all);
    assert_eq!(spool.totals().unwrap(), Totals { messages: 2, recipients: 3 });
    assert_eq!(spool.list(None, 10, &Filter::default()).unwrap().messages.len(), 2);
    let first = lease(&spool, ids[0], "x.example");
    assert_eq!((first.recipients().len(), first.recipients()[0].n), (1, 1));
    // The recipient that can be read gets it; what is left of the message is kept, and is not queued.
    first.settle(vec![(1, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
    lease(&spool, ids[4], "x.example")
        .settle(vec![(0, Verdict::Delivered(None)), (1, Verdict::Delivered(None))], None, None, LIMIT)
        .unwrap();
    assert_eq!(spool.totals().unwrap(), Totals::default());
    assert_eq!(number(dir.path(), "SELECT count(*) FROM messages"), 4);
    drop(spool);
    let spool = open(dir.path());
    assert_eq!((take_up(&spool).0, spool.totals().unwrap()), (TakeUp::default(), Totals::default()));
    assert_eq!(aside(&spool).len(), 7);
    drop(spool);
    // Mended, and dropped.
    sql(
        dir.path(),
        &format!(
            "UPDATE messages SET reverse_path = '' WHERE id = {path}; DELETE FROM quarantine WHERE message = {path};
             DELETE FROM messages WHERE id <> {path};"
        ),
    );
    let spool = open(dir.path());
    assert_eq!(take_up(&spool).0, TakeUp { messages: 1, entries: 1, unreadable: 0 });
    assert_eq!((aside(&spool), spool.totals().unwrap().recipients), (Vec::new(), 2));
    assert_eq!(lease(&spool, ids[1], "x.example").recipients().len(), 2);
}

#[test]
fn a_cut_body_file_is_put_aside_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example", "b@y.example"], &vec![b'x'; 100_000]);
    let file = dir.path().join("body").join(id.to_string());
    std::fs::write(&file, "cut").unwrap();
    // Who has it in hand already may bring it to its end.
    let held = {
        std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
        let held = lease(&spool, id, "y.example");
        std::fs::write(&file, "cut").unwrap();
        held
    };
    assert!(matches!(spool.claim(id, &to("x.example"), None), Err(SpoolError::Corrupt { .. })));
    settled(&spool);
    assert_eq!((aside(&spool), spool.totals().unwrap()), (vec![(id.to_string(), None)], Totals::default()));
    held.settle(vec![(1, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
    assert_eq!(spool.totals().unwrap(), Totals::default());
    drop(spool);
    let spool = open(dir.path());
    assert_eq!((body_files(dir.path()), take_up(&spool).0), (1, TakeUp::default()));
    drop(spool);
    std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
    sql(dir.path(), "DELETE FROM quarantine");
    let spool = open(dir.path());
    assert_eq!(spool.totals().unwrap(), Totals { messages: 1, recipients: 1 });
    assert_eq!(read(&lease(&spool, id, "x.example")).len(), 100_000);
}
