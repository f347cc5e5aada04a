//! What the operator does to the queue: hold, release, retry, remove, bounce, redirect; and what is shown of it.

use crate::house::House;
use crate::look::{recipients, text, wait_empty, wait_last, wait_recipient};
use crate::peer::{Peer, dialog};
use crate::wait::{SOON, hold_for, wait_until};
use serde_json::Value;
use std::process::Output;
use std::time::Duration;

const HELLO: &str = "Subject: hello\nX-Mark: there\n\nthe body\n";

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A house in which a failed destination rests for long.
pub fn slow() -> House {
    House::new()
        .set("retry.site_first", "100s")
        .set("retry.site_max", "100s")
        .set("retry.delays", "[\"100s\"]")
}

/// Submits, and gives the queue id.
pub fn submit(house: &House, to: &str) -> String {
    let reply = house.submit("a@sender.test", &[to], HELLO).unwrap();
    let words = format!("{reply:?}");
    let id = words.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| word.len() == 11);
    id.unwrap_or_else(|| panic!("no queue id in {words}")).to_string()
}

#[track_caller]
pub fn done(house: &House, args: &[&str]) -> String {
    let output = house.run(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    out(&output)
}

fn state(house: &House, to: &str) -> String {
    let all = recipients(house);
    let found = all.iter().find(|recipient| recipient["to"] == to);
    found.map_or_else(String::new, |recipient| text(&recipient["state"]).to_string())
}

#[test]
fn a_held_message_stays_over_a_restart_and_goes_when_it_is_released() {
    let house = slow().set("delivery.expire_after", "400s").start();
    house.ns().servfail("x.test");
    let id = submit(&house, "b@x.test");
    wait_last(&house, "b@x.test", "x.test");
    assert_eq!(done(&house, &["queue", "hold", &id]), "1 message held, for 1 recipient.\n");
    assert_eq!(state(&house, "b@x.test"), "held");
    house.ns().heal("x.test");
    let sink = house.good("x.test");
    house.restart();
    assert_eq!(state(&house, "b@x.test"), "held");
    done(&house, &["queue", "retry", "--all"]);
    hold_for("nothing is sent", Duration::from_millis(300), || sink.messages().is_empty());
    assert!(done(&house, &["queue"]).contains("from <a@sender.test>  held\n"));
    assert!(done(&house, &["queue", "show", &id]).contains("does not expire"));
    assert!(done(&house, &["explain", &id]).contains(&format!("`sendoff queue release {id}`")));
    done(&house, &["queue", "release", &id]);
    done(&house, &["queue", "retry", "--destination", "x.test"]);
    wait_empty(&house);
    assert_eq!(sink.messages().len(), 1);
    house.wait_log("event=held messages=1 recipients=1 in_delivery=0 failed=0 by=uid:");
}

#[test]
fn what_is_in_delivery_is_left_alone_and_that_is_said() {
    let house = slow().set("timeouts.banner", "60s").set("timeouts.patience", "60s").start();
    let hole = house.blackhole();
    house.domain("hole.test", &hole);
    let id = submit(&house, "b@hole.test");
    wait_recipient(&house, "b@hole.test", "in delivery", |it| text(&it["why"]).contains("in delivery"));
    let output = house.run(&["queue", "remove", &id]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(out(&output).contains("0 recipients"), "{output:?}");
    assert!(out(&output).contains(&format!("{id} is in delivery, and was left alone: session 1 has it")));
    // A hold takes effect when it comes back.
    assert!(done(&house, &["queue", "hold", &id]).contains("is held if it comes back"));
    assert!(
        done(&house, &["connections", "kill", "1"]).contains("session 1 with hole.test is cut while waiting")
    );
    let words = "cut by the operator while waiting for the banner";
    wait_recipient(&house, "b@hole.test", "held, and why", |it| {
        it["state"] == "held" && text(&it["last"]["text"]).contains(words)
    });
    assert!(done(&house, &["queue", "remove", &id]).contains("1 message meant; removed for 1 recipient."));
    wait_empty(&house);
    assert_eq!(house.run(&["connections", "kill", "77"]).status.code(), Some(66));
}

#[test]
fn a_removal_tells_nobody_and_a_bounce_tells_the_reverse_path_why() {
    let house = slow().start();
    house.ns().servfail("x.test");
    let sink = house.good("sender.test");
    let ids = [submit(&house, "b@x.test"), submit(&house, "c@x.test")];
    wait_last(&house, "b@x.test", "x.test");
    done(&house, &["queue", "remove", &ids[0]]);
    house.wait_log("to=<b@x.test> destination=x.test by=uid:");
    let words = "--reason=the list was withdrawn";
    let said = done(&house, &["queue", "bounce", words, "--to", "c@*"]);
    assert_eq!(said, "1 message meant; bounced for 1 recipient.\n");
    wait_empty(&house);
    let bounces = sink.messages();
    assert_eq!(bounces.len(), 1);
    let bounce = bounces[0].text();
    for words in
        ["the list was withdrawn", "The operator of this mail system returns it", "Status: 5.3.0", "c@x.test"]
    {
        assert!(bounce.contains(words), "{words}: {bounce}");
    }
    assert!(!bounce.contains("b@x.test"));
    let again = house.run(&["queue", "remove", &ids[0]]);
    assert_eq!(again.status.code(), Some(75));
    assert!(out(&again).contains("is not queued"), "{again:?}");
}

#[test]
fn a_redirected_message_goes_there_also_after_a_restart() {
    let house = slow().start();
    house.ns().servfail("x.test");
    let (id, _) = (submit(&house, "b@x.test"), submit(&house, "c@x.test"));
    wait_recipient(&house, "c@x.test", "resting", |it| it["state"] == "resting");
    // Until its deferral is on disk it is in delivery, and left alone.
    wait_recipient(&house, "b@x.test", "tried", |it| !it["last"].is_null());
    let closed = house.addr();
    let there = format!("smtp://[{}]:{}", closed.ip(), closed.port());
    assert_eq!(house.run(&["queue", "redirect", "x.test", &id]).status.code(), Some(65));
    let said = done(&house, &["queue", "redirect", &there, "--destination", "x.test"]);
    assert_eq!(said, "2 messages meant; redirected for 2 recipients.\n");
    wait_last(&house, "b@x.test", "refused");
    house.restart();
    let redirected = recipients(&house);
    assert!(
        redirected.iter().all(|it| it["destination"] == there && it["redirected"] == true),
        "{redirected:?}"
    );
    house.ns().heal("x.test");
    let sink = house.good("x.test");
    done(&house, &["queue", "redirect", "routes", &id]);
    done(&house, &["queue", "retry", "--destination", "x.test"]);
    wait_until("one message", SOON, || sink.messages().len() == 1);
    assert_eq!(recipients(&house).len(), 1);
}

#[test]
fn a_retry_goes_now() {
    let house = slow().start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    let id = submit(&house, "b@x.test");
    wait_last(&house, "b@x.test", "421");
    drop(script);
    let said = done(&house, &["explain", "x.test"]);
    assert!(said.contains("state     resting") && said.contains("set by retry.site_first"), "{said}");
    assert!(said.contains("421 4.3.2 not now"), "{said}");
    let sink = house.good("y.test");
    house.domain_at("x.test", sink.addr());
    house.ns().mx("x.test", 1, "mx.y.test");
    done(&house, &["queue", "retry", &id]);
    assert_eq!(state(&house, "b@x.test"), "resting", "the rest of its destination is another matter");
    done(&house, &["queue", "retry", "--destination", "x.test"]);
    wait_recipient_gone(&house, "b@x.test");
}

fn wait_recipient_gone(house: &House, to: &str) {
    wait_until(&format!("{to} to be tried again"), SOON, || {
        let all = recipients(house);
        let tried = all.iter().find(|it| it["to"] == to).is_none_or(|it| it["attempts"] != 1);
        tried.then_some(()).ok_or_else(|| format!("{all:#?}"))
    });
}

#[test]
fn the_queue_has_filters_a_history_and_a_shape() {
    let house = slow().start();
    for domain in ["x.test", "y.test"] {
        house.ns().servfail(domain);
    }
    let id = submit(&house, "b@x.test");
    submit(&house, "c@y.test");
    wait_last(&house, "b@x.test", "x.test");
    wait_last(&house, "c@y.test", "y.test");
    let count = |args: &[&str]| {
        let all = house.json(&[&["queue"], args].concat());
        all["queue"].as_array().unwrap().len()
    };
    assert_eq!(count(&["--to", "@X.test"]), 1);
    assert_eq!(count(&["--from", "a@sender.test"]), 2);
    assert_eq!(count(&["--address", "c@*"]), 1);
    assert_eq!((count(&["--older", "1h"]), count(&["--younger", "1h"])), (0, 2));
    assert_eq!((count(&["--state", "resting"]), count(&["--state", "held"])), (2, 0));
    assert_eq!(house.run(&["queue", "--state", "lost"]).status.code(), Some(65));
    assert_eq!(house.run(&["queue", "--older", "12"]).status.code(), Some(64));
    let shown = done(&house, &["queue", "show", &id]);
    for words in [&id[..], "Attempts, oldest first:", "deferred  <b@x.test>", "dns  4.4.3"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let headers = done(&house, &["queue", "show", &id, "--headers"]);
    assert!(headers.contains("X-Mark: there") && !headers.contains("the body"), "{headers}");
    assert!(done(&house, &["queue", "show", &id, "--body"]).contains("the body"));
    let document = house.json(&["queue", "show", &id]);
    assert_eq!(document["attempts"][0]["outcome"], "deferred");
    assert_eq!(house.run(&["queue", "show", "00000000000"]).status.code(), Some(66));
    let shape = done(&house, &["queue", "summary"]);
    assert!(shape.starts_with("DESTINATION  ALL  <5m") && shape.contains("\nx.test       1"), "{shape}");
    assert_eq!(house.json(&["queue", "summary"])[0]["ages"][0], 1);
}

#[test]
fn nothing_is_done_to_all_unless_that_is_said() {
    let house = slow().start();
    house.ns().servfail("x.test");
    for n in 0..5 {
        submit(&house, &format!("b{n}@x.test"));
    }
    wait_recipient(&house, "b4@x.test", "resting", |it| it["state"] == "resting");
    for action in ["hold", "release", "retry", "remove", "bounce"] {
        let output = house.run(&["queue", action]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(err(&output).contains("or --all"), "{output:?}");
    }
    assert_eq!(house.queue()["messages"], 5);
    let document = house.json(&["queue", "remove", "--all"]);
    assert_eq!((&document["messages"], &document["recipients"]), (&Value::from(5), &Value::from(5)));
    wait_empty(&house);
}
