//! The log: the same keys for people and for machines, and no words of others that pass for ours.

use crate::house::House;
use crate::look::wait_last;
use crate::wait::{SOON, wait_until};
use serde_json::Value;

const HELLO: &str = "Subject: hello\n\nhello\n";

#[test]
fn the_log_for_machines_is_a_document_a_line() {
    let house = House::new().set("log.format", "json").set("retry.site_first", "100s");
    let house = house.set("retry.site_max", "100s").start();
    let _good = house.good("good.test");
    let hostile = house.script("say 421 4.3.2 \" outcome=delivered id=FORGED \\ \u{fc}\nclose\n");
    house.domain("x.test", &hostile);
    house.submit("a@sender.test", &["b@good.test"], HELLO).unwrap();
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2");
    let line = |to: &str| {
        wait_until("a line of the attempt", SOON, || {
            let log = house.log();
            let whole = log.lines().filter(|_| log.ends_with('\n'));
            let mut lines = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.find(|line| line["to"] == to && line["outcome"].is_string()).ok_or(log.clone())
        })
    };
    let good = line("b@good.test");
    assert_eq!((&good["level"], &good["target"]), (&"INFO".into(), &"sendoff::delivery".into()));
    assert_eq!(
        (&good["outcome"], &good["phase"], &good["attempts"]),
        (&"delivered".into(), &"dot".into(), &1.into())
    );
    assert!(good["delay"].is_number() && good["time"].as_str().unwrap().ends_with('Z'), "{good}");
    let bad = line("b@x.test");
    assert_eq!((&bad["outcome"], &bad["destination"]), (&"deferred".into(), &"x.test".into()));
    assert_ne!(bad["id"], "FORGED");
    assert!(bad["text"].as_str().unwrap().contains("\" outcome=delivered id=FORGED \\"), "{bad}");
}

#[test]
fn the_log_for_people_has_colours_on_a_terminal_only() {
    let house = House::started();
    let _good = house.good("good.test");
    house.submit("a@sender.test", &["b@good.test"], HELLO).unwrap();
    house.wait_log(" INFO  sendoff::delivery: id=");
    assert!(!house.log().contains('\u{1b}'), "{}", house.log());
}
