//! What happens when there is no room: new mail is refused for a while, what is here leaves, and the log says so once.

use crate::client::Client;
use crate::house::House;
use crate::look::{wait_empty, wait_recipient};
use crate::peer::dialog;
use crate::wait::{SOON, wait_until};

const HELLO: &str = "Subject: hello\n\nhello\n";
const REFUSED: &str = "new mail is answered 452";

#[test]
fn a_full_queue_refuses_new_mail_until_it_has_emptied() {
    let house = House::new()
        .set("listen.max_recipients", 3)
        .set("spool.max_queued", 3)
        .set("retry.site_first", "200ms")
        .set("retry.site_max", "200ms")
        .start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    let to = ["1@x.test", "2@x.test", "3@x.test", "4@x.test"];
    house.submit("a@sender.test", &to[..2], HELLO).unwrap();
    let refused = house.submit("a@sender.test", &to[2..], HELLO).unwrap_err();
    assert_eq!(refused.code(), 452, "one too many is refused by itself: {refused:?}");
    assert!(!house.log().contains(REFUSED), "the mark was not reached");
    house.submit("a@sender.test", &to[2..3], HELLO).unwrap();
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    for _ in 0..30 {
        let reply = client.ask("MAIL FROM:<a@sender.test>").unwrap();
        assert!(reply.code == 452 && reply.text().contains("4.3.1"), "{reply:?}");
        assert_eq!(client.ask("RCPT TO:<4@x.test>").unwrap().code, 503);
    }
    let local = house.run_with(&["send", "--from", "a@sender.test", "--to", "4@x.test"], HELLO.as_bytes());
    assert_eq!(local.status.code(), Some(75), "{local:?}");
    let low = house.queue()["low"].as_str().map(str::to_owned);
    assert!(low.is_some_and(|low| low.contains("spool.max_queued")), "{:#?}", house.queue());
    assert_eq!(house.log().matches(REFUSED).count(), 1, "{}", house.log());
    let host = script.recover();
    host.wait_for(2, SOON);
    wait_empty(&house);
    house.wait_log("there is room again, and mail is taken");
    house.submit("a@sender.test", &to[3..], HELLO).unwrap();
    host.wait_for(3, SOON);
    assert!(house.queue()["low"].is_null());
}

#[test]
fn on_a_full_disk_mail_leaves_and_bounces_are_kept() {
    let house = House::new().set("retry.delays", "[\"200ms\"]").start();
    let (host, home) = (house.good("x.test"), house.good("sender.test"));
    host.reject_rcpt("b@x.test", "450 4.2.1 later");
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_recipient(&house, "b@x.test", "an attempt", |r| r["last"].is_object());
    // No disk has as much.
    house.rewrite("spool.min_free", "\"1000000 GiB\"");
    house.hup();
    house.wait_log(REFUSED);
    let refused = house.submit("a@sender.test", &["c@x.test"], HELLO).unwrap_err();
    assert_eq!(refused.code(), 452, "{refused:?}");
    host.reject_rcpt("b@x.test", "550 5.1.1 nobody");
    assert!(home.wait_for(1, SOON)[0].forward_paths.contains(&"a@sender.test".to_owned()));
    wait_empty(&house);
    house.rewrite("spool.min_free", "\"1 MiB\"");
    house.hup();
    house.wait_log("there is room again, and mail is taken");
    house.submit("a@sender.test", &["c@x.test"], HELLO).unwrap();
    wait_until("the next message", SOON, || host.count() == 1);
}
