//! Settling leases.

use super::*;

#[test]
fn a_settlement_changes_whom_it_names_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id =
        accept(&spool, &["a@x.example", "b@x.example", "c@x.example", "d@x.example", "e@y.example"], b"x");
    let verdicts = vec![
        (0, Verdict::Delivered(None)),
        (1, deferred(1_800_000_000)),
        (2, Verdict::Postponed { next: Unix(1_800_000_001) }),
        // Not of this lease.
        (4, Verdict::Delivered(None)),
    ];
    lease(&spool, id, "x.example").settle(verdicts, None, None, LIMIT).unwrap();
    let listed = spool.list(None, 10, &Filter::default()).unwrap().messages.remove(0);
    assert_eq!((listed.id, listed.size, listed.accepted), (id, 1, Unix(1_700_000_000)));
    let seen: Vec<_> =
        listed.recipients.iter().map(|r| (r.n, r.attempts, r.next.0, r.last.is_some())).collect();
    assert_eq!(
        seen,
        [(1, 1, 1_800_000_000, true), (2, 0, 1_800_000_001, false), (3, 0, 0, false), (4, 0, 0, false)]
    );
    assert_eq!(listed.recipients[0].last.as_ref().unwrap().failure, failure());
    let history: Vec<_> =
        spool.history(id).unwrap().into_iter().map(|a| (a.n, a.address, a.outcome)).collect();
    let expected = [(0, "a@x.example", "delivered"), (1, "b@x.example", "deferred")];
    assert_eq!(history, expected.map(|(n, a, o)| (n, a.to_owned(), o.to_owned())));
    assert_eq!(spool.totals().unwrap(), Totals { messages: 1, recipients: 4 });
    let again = lease(&spool, id, "x.example");
    assert_eq!(again.recipients()[0].last.as_ref().unwrap().failure, failure());
}

#[test]
fn the_last_recipient_takes_the_message_along() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example", "b@y.example"], b"x");
    lease(&spool, id, "x.example").settle(vec![(0, deferred(5))], None, None, LIMIT).unwrap();
    lease(&spool, id, "x.example").settle(vec![(0, Verdict::Delivered(None))], None, None, LIMIT).unwrap();
    let failed = Verdict::Failed { failure: failure() };
    lease(&spool, id, "y.example").settle(vec![(1, failed)], None, None, LIMIT).unwrap();
    for table in ["messages", "recipients", "bodies", "attempts"] {
        assert_eq!(number(dir.path(), &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    assert!(spool.claim(id, &to("y.example"), None).unwrap().is_none());
}

#[test]
fn a_failure_and_its_bounce_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let failed = || vec![(0, Verdict::Failed { failure: failure() })];
    let bounce = letter(&["jane@sender.example"], &vec![b'b'; 100_000]);
    let settled = lease(&spool, id, "x.example").settle(failed(), Some(bounce), None, LIMIT).unwrap();
    let bounce = settled.bounce.unwrap();
    assert!(bounce.envelope().reverse_path.mailbox().is_none());
    let (destination, fresh) = bounce.entries().remove(0);
    assert_eq!(destination, to("sender.example"));
    assert!(fresh.is_some());
    let (taken, entries) = take_up(&spool);
    assert_eq!((taken.messages, entries[0].destination.clone()), (1, destination.clone()));
    let lease = spool.claim(entries[0].id, &destination, None).unwrap().unwrap();
    assert_eq!((read(&lease).len(), lease.envelope().reverse_path.to_string()), (100_000, String::new()));
}

#[test]
fn a_notice_of_delay_marks_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let first = lease(&spool, id, "x.example");
    assert!(!first.delay_notified());
    let notice = letter(&["jane@sender.example"], b"late");
    let settled = first.settle(vec![(0, deferred(5))], None, Some(notice), LIMIT).unwrap();
    assert!(settled.notice.is_some() && settled.bounce.is_none());
    assert!(lease(&spool, id, "x.example").delay_notified());
    assert_eq!(spool.totals().unwrap(), Totals { messages: 2, recipients: 2 });
}

#[test]
fn the_history_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    for n in 0..60 {
        lease(&spool, id, "x.example").settle(vec![(0, deferred(n))], None, None, LIMIT).unwrap();
    }
    assert_eq!(spool.history(id).unwrap().len(), 50);
    assert_eq!(lease(&spool, id, "x.example").recipients()[0].attempts, 60);
}

#[test]
fn a_list_has_pages_and_can_ask_for_one_destination() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids: Vec<_> =
        (0..7).map(|n| accept(&spool, &[&format!("a@d{}.example", n % 2), "z@z.example"], b"x")).collect();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = spool.list(after, 3, &Filter::default()).unwrap().messages;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|listed| listed.id));
    }
    assert_eq!(seen, ids);
    let for_d1 = Filter { destination: Some(to("d1.example")), ..Filter::default() };
    let odd = spool.list(None, 100, &for_d1).unwrap().messages;
    assert_eq!(
        odd.iter().map(|listed| (listed.id, listed.recipients.len())).collect::<Vec<_>>(),
        [(ids[1], 1), (ids[3], 1), (ids[5], 1)]
    );
}

#[test]
fn a_settlement_nobody_waits_for_holds_its_claim_until_it_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example"], b"x");
    let held = hold(&spool);
    lease(&spool, id, "x.example").settle_soon(vec![(0, Verdict::Delivered(None))], LIMIT).unwrap();
    assert_eq!(spool.claim(id, &to("x.example"), None).err(), Some(SpoolError::Claimed(id)));
    drop(held);
    wait_until("it is on disk", || spool.totals().unwrap() == Totals::default());
    assert!(spool.claim(id, &to("x.example"), None).unwrap().is_none());
}

#[test]
fn many_deferrals_share_a_sync_and_what_is_urgent_takes_them_along() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let all = (0..8).map(|_| accept(&spool, &["a@x.example"], b"x"));
    let all: Vec<_> = all.collect();
    let before = spool.commits();
    for id in &all {
        lease(&spool, *id, "x.example").settle_soon(vec![(0, deferred(5))], LIMIT).unwrap();
    }
    wait_until("they are on disk", || {
        number(dir.path(), "SELECT count(*) FROM recipients WHERE attempts = 1") == 8
    });
    // A slow machine may need longer for the eight than the first of them waits.
    assert!(spool.commits() - before < 8);
    lease(&spool, all[0], "x.example").settle_soon(vec![(0, deferred(6))], LIMIT).unwrap();
    accept(&spool, &["b@x.example"], b"x");
    assert_eq!(number(dir.path(), "SELECT count(*) FROM recipients WHERE attempts = 2"), 1);
}

#[test]
fn while_the_writer_is_behind_a_settlement_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let all: Vec<_> = (0..300).map(|_| accept(&spool, &["a@x.example"], b"x")).collect();
    let held = hold(&spool);
    let mut late = 0;
    for id in &all {
        let settled =
            lease(&spool, *id, "x.example").settle_soon(vec![(0, Verdict::Delivered(None))], Duration::ZERO);
        late += usize::from(matches!(settled, Err(SpoolError::Kept(_))));
    }
    assert_eq!(late, 300 - 256);
    drop(held);
    wait_until("all are on disk", || spool.totals().unwrap() == Totals::default());
}
