//! What an operator orders, and which messages are meant.

use super::*;

fn find(spool: &Spool, id: QueueId) -> Listed {
    spool.find(id).unwrap().unwrap()
}

#[test]
fn a_hold_survives_a_restart_and_remembers_its_first_time() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids: Vec<_> = (0..3).map(|_| accept(&spool, &["a@x.example"], b"x")).collect();
    spool.hold(vec![ids[0], ids[1], QueueId::from_row(1)], Some(Unix(50)), LIMIT).unwrap();
    spool.hold(vec![ids[0]], Some(Unix(60)), LIMIT).unwrap();
    spool.hold(vec![ids[1]], None, LIMIT).unwrap();
    drop(spool);
    let spool = open(dir.path());
    assert_eq!(spool.held().unwrap(), [ids[0]]);
    assert_eq!((find(&spool, ids[0]).held, find(&spool, ids[1]).held), (Some(Unix(50)), None));
    assert_eq!(spool.find(QueueId::from_row(1)).unwrap(), None);
}

#[test]
fn a_suspension_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let (x, y) = (to("x.example"), to("smtp://y.example:25"));
    spool.suspend(x.clone(), Some((Unix(5), "they asked".into())), LIMIT).unwrap();
    spool.suspend(y.clone(), Some((Unix(6), String::new())), LIMIT).unwrap();
    spool.suspend(y, None, LIMIT).unwrap();
    drop(spool);
    let suspended = open(dir.path()).suspended().unwrap();
    assert_eq!(suspended, [Suspended { destination: x, since: Unix(5), reason: "they asked".into() }]);
}

#[test]
fn what_is_redirected_stays_there_whatever_the_routes_say() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let id = accept(&spool, &["a@x.example", "b@x.example"], b"x");
    let smart = to("smtp://smart.example:25");
    let it = vec![(lease(&spool, id, "x.example"), vec![(0, smart.clone())])];
    spool.redirect(it, false, LIMIT).unwrap();
    assert!(lease(&spool, id, "smtp://smart.example:25").recipients()[0].redirected);
    assert!(!lease(&spool, id, "x.example").recipients()[0].redirected);
    drop(spool);
    let spool = open(dir.path());
    let (_, entries) = take_up(&spool);
    let taken: Vec<_> = entries.iter().map(|entry| entry.destination.to_string()).collect();
    assert_eq!(taken, ["smtp://smart.example:25", "x.example"]);
    let back = vec![(lease(&spool, id, "smtp://smart.example:25"), vec![(0, to("x.example"))])];
    spool.redirect(back, true, LIMIT).unwrap();
    let recipients = find(&spool, id).recipients;
    assert!(recipients.iter().all(|it| !it.redirected && it.destination == to("x.example")));
}

#[test]
fn what_is_removed_goes_without_a_letter_and_its_body_is_read_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let large = vec![b'x'; 100_000];
    let id = accept(&spool, &["a@x.example"], &large);
    assert_eq!(spool.body(id).unwrap().unwrap().len(), 100_000);
    let settling = lease(&spool, id, "x.example").begin_settling(vec![(0, Verdict::Removed)], None, None);
    assert!(settling.unwrap().wait(LIMIT).unwrap().bounce.is_none());
    assert_eq!(spool.totals().unwrap(), Totals::default());
    wait_until("its file is gone", || body_files(dir.path()) == 0);
    assert!(spool.body(id).unwrap().is_none() && spool.find(id).unwrap().is_none());
    let small = accept(&spool, &["a@x.example"], b"small\r\n");
    assert_eq!(spool.body(small).unwrap().unwrap().octets(), Some(&b"small\r\n"[..]));
}

#[test]
fn a_filter_means_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let first = accept(&spool, &["Ann@x.example", "bob@y.example"], b"x");
    let second = accept(&spool, &["ann@[192.0.2.1]"], b"x");
    sql(dir.path(), &format!("UPDATE messages SET accepted = 100 WHERE id = {}", first.row()));
    spool.hold(vec![second], Some(Unix(1)), LIMIT).unwrap();
    let ids = |filter: Filter| -> Vec<_> {
        let page = spool.list(None, 10, &filter).unwrap();
        page.messages.iter().map(|message| (message.id, message.recipients.len())).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    assert_eq!(ids(none()), [(first, 2), (second, 1)]);
    assert_eq!(ids(Filter { to: some("ann@*"), ..none() }), [(first, 1), (second, 1)]);
    assert_eq!(ids(Filter { to: some("@X.EXAMPLE"), ..none() }), [(first, 1)]);
    assert_eq!(ids(Filter { to: some("ann@[192.0.2.1]"), ..none() }), [(second, 1)]);
    assert_eq!(ids(Filter { address: some("bob@y.example"), ..none() }), [(first, 2)]);
    assert_eq!(ids(Filter { address: some("bob"), ..none() }), []);
    assert_eq!(ids(Filter { accepted_by: Some(Unix(100)), ..none() }), [(first, 2)]);
    assert_eq!(ids(Filter { accepted_since: Some(Unix(101)), ..none() }), [(second, 1)]);
    assert_eq!(ids(Filter { held: Some(true), ..none() }), [(second, 1)]);
    assert_eq!(ids(Filter { up_to: Some(first), ..none() }), [(first, 2)]);
    let all = spool.list(None, 1, &none()).unwrap();
    assert_eq!(all.next, Some(first));
    assert_eq!(spool.list(all.next, 2, &none()).unwrap().next, None);
}

#[test]
fn the_shape_of_the_queue_is_counted_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let ids: Vec<_> = (0..3).map(|_| accept(&spool, &["a@x.example", "b@y.example"], b"x")).collect();
    for (id, minutes) in ids.iter().zip([0, 7, 5000]) {
        let accepted = 1_000_000 - minutes * 60;
        sql(dir.path(), &format!("UPDATE messages SET accepted = {accepted} WHERE id = {}", id.row()));
    }
    spool.hold(vec![ids[0]], Some(Unix(1)), LIMIT).unwrap();
    let shapes = spool.shapes(Unix(1_000_000), 1).unwrap();
    let ages = [1, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(shapes, [Shape { destination: to("x.example"), ages, oldest: Unix(700_000), held: 1 }]);
    assert_eq!(spool.shapes(Unix(1_000_000), 10).unwrap().len(), 2);
}
