//! Taking messages in, and claiming them.

use super::*;
use std::sync::atomic::Ordering;

#[test]
fn a_small_message_comes_back_from_memory_and_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let accepted = try_accept(&spool, &["a@x.example", "b@y.example", "c@x.example"], b"hello\r\n").unwrap();
    let id = accepted.id();
    let entries = accepted.entries();
    assert_eq!(entries.iter().map(|(to, _)| to.to_string()).collect::<Vec<_>>(), ["x.example", "y.example"]);
    assert_eq!(spool.budget.used(), 7 + (3 << 10));
    for (destination, fresh) in entries {
        assert!(fresh.is_some());
        for fresh in [fresh, None] {
            let lease = spool.claim(id, &destination, fresh).unwrap().unwrap();
            assert_eq!(read(&lease), b"hello\r\n");
            assert_eq!(lease.envelope().reverse_path.to_string(), "jane@sender.example");
            assert_eq!(lease.envelope().body_type, BodyType::EightBitMime);
            let seen: Vec<_> =
                lease.recipients().iter().map(|r| (r.n, r.address.to_string(), r.attempts)).collect();
            let expected = match destination.to_string().as_str() {
                "x.example" => vec![(0, "a@x.example".into(), 0), (2, "c@x.example".into(), 0)],
                _ => vec![(1, "b@y.example".into(), 0)],
            };
            assert_eq!(seen, expected);
            assert_eq!(lease.envelope().recipients.len(), seen.len());
        }
    }
    assert_eq!(spool.budget.used(), 0, "what was kept for the first attempt is given back");
}

#[test]
fn a_large_message_is_a_file_and_goes_with_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let octets: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let accepted = try_accept(&spool, &["a@x.example"], &octets).unwrap();
    let id = accepted.id();
    assert!(accepted.entries()[0].1.is_none(), "a large body is not kept in memory");
    assert_eq!((body_files(dir.path()), number(dir.path(), "SELECT count(*) FROM bodies")), (1, 0));
    let lease = lease(&spool, id, "x.example");
    assert_eq!(read(&lease), octets);
    lease.settle(vec![(0, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
    assert_eq!(spool.totals().unwrap(), Totals::default());
    wait_until("the body file is removed", || body_files(dir.path()) == 0);
}

#[test]
fn a_message_of_just_the_row_size_is_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], &vec![b'x'; 64 << 10]);
    assert_eq!(body_files(dir.path()), 0);
    assert_eq!(lease(&spool, id, "x.example").body().len(), 64 << 10);
}

#[test]
fn a_dropped_draft_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let mut draft = spool.draft();
    draft.write(&vec![b'x'; 200_000]).unwrap();
    assert_eq!((draft.len(), body_files(dir.path())), (200_000, 1));
    drop(draft);
    assert_eq!((body_files(dir.path()), take_up(&spool).0), (0, TakeUp::default()));
}

#[test]
fn an_envelope_without_recipients_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    assert!(matches!(try_accept(&spool, &[], b"x"), Err(SpoolError::Temporary(_))));
    let one = spool.draft().commit(envelope(&["a@x.example"]), Vec::new(), LIMIT);
    assert!(matches!(one, Err(SpoolError::Temporary(_))));
}

#[test]
fn many_accepts_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    // While the writer is held up, all of them gather.
    let before = spool.commits();
    let hold = hold(&spool);
    std::thread::scope(|scope| {
        for n in 0..32 {
            let spool = &spool;
            scope.spawn(move || accept(spool, &[&format!("a@d{n}.example")], b"x"));
        }
        wait_until("all of them wait", || spool.queue.burden() >= 32);
        drop(hold);
    });
    assert_eq!(spool.totals().unwrap(), Totals { messages: 32, recipients: 32 });
    let commits = spool.commits() - before;
    assert_eq!(commits, 2, "{commits} commits");
    assert_eq!(take_up(&spool).0, TakeUp { messages: 32, entries: 32, unreadable: 0 });
}

#[test]
fn nobody_claims_what_is_claimed_and_a_drop_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example", "b@y.example"], b"x");
    let held = lease(&spool, id, "x.example");
    assert_eq!(spool.claim(id, &to("x.example"), None).err(), Some(SpoolError::Claimed(id)));
    drop(lease(&spool, id, "y.example"));
    drop(held);
    assert_eq!(lease(&spool, id, "x.example").recipients()[0].attempts, 0);
    assert!(spool.claim(id, &to("z.example"), None).unwrap().is_none());
}

#[test]
fn what_was_kept_in_memory_is_not_believed_once_the_disk_knows_better() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let accepted = try_accept(&spool, &["a@x.example", "b@x.example"], b"x").unwrap();
    let id = accepted.id();
    let (destination, fresh) = accepted.entries().remove(0);
    let first = lease(&spool, id, "x.example");
    first.settle(vec![(0, Verdict::Delivered(None)), (1, deferred(5))], None, None, LIMIT).unwrap();
    let second = spool.claim(id, &destination, fresh).unwrap().unwrap();
    let seen: Vec<_> =
        second.recipients().iter().map(|recipient| (recipient.n, recipient.attempts)).collect();
    assert_eq!(seen, [(1, 1)], "a@x.example has been delivered");
}

#[test]
fn a_message_whose_client_gave_up_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let hold = hold(&spool);
    let mut draft = spool.draft();
    draft.write(&vec![b'x'; 100_000]).unwrap();
    let late = draft.commit(envelope(&["a@x.example"]), vec![to("x.example")], Duration::from_millis(50));
    assert!(matches!(late, Err(SpoolError::Temporary(_))), "{:?}", late.err());
    drop(hold);
    in_writer(&spool, |_| {});
    assert_eq!((take_up(&spool).0, body_files(dir.path())), (TakeUp::default(), 0));
}

#[test]
fn a_message_whose_client_gave_up_in_the_middle_is_removed_again() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    // The answer is abandoned after the writer has begun: as the same group that the accept is in sees it.
    let (ticket, answer) = ticket::ticket();
    let message = accepted::Message::new(
        spool.next_id(),
        envelope(&["a@x.example"]),
        vec![to("x.example")],
        accepted::Content::octets(&spool.budget, b"x".to_vec(), 1),
    );
    let ticket = std::sync::Arc::new(parking_lot::Mutex::new(Some(ticket)));
    let hold = hold(&spool);
    let accept = operation::Accept { message: message.unwrap(), answer };
    spool.queue.force(operation::Operation::Accept(accept)).unwrap();
    let abandon =
        Box::new(move |_: &rusqlite::Connection| drop(ticket.lock().take().map(|t| t.wait(clock::now()))));
    spool.queue.force(operation::Operation::Test(abandon)).unwrap();
    drop(hold);
    wait_until("it was stored and removed", || spool.commits() >= 3);
    assert_eq!((take_up(&spool).0, spool.totals().unwrap()), (TakeUp::default(), Totals::default()));
}

impl Spool {
    pub(super) fn commits(&self) -> u64 {
        self.counts().commits.load(Ordering::Relaxed)
    }
}

/// A page was bounded in messages only, and each may have a thousand recipients.
#[test]
fn a_page_is_bounded_in_recipients_too() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let many: Vec<_> = (0..1000).map(|n| format!("r{n}@x.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let ids: Vec<_> = (0..7).map(|_| accept(&spool, &many, b"x")).collect();
    let page = |after| {
        spool.list(after, 1000, &Filter::default()).unwrap().messages.iter().map(|m| m.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None), ids[..5]);
    assert_eq!(page(Some(ids[4])), ids[5..]);
}
