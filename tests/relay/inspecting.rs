//! What the operator sees of a running relay and of the world: explain, destinations, probe, trace, check.

use crate::house::House;
use crate::look::{text, wait_empty, wait_recipient};
use crate::operating::{done, err, out, slow, submit};
use crate::peer::Peer;
use crate::process::Process;
use crate::wait::{SOON, hold_for, wait_until};
use serde_json::Value;
use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn explain_names_the_limit_and_who_holds_it() {
    let house = slow().set("timeouts.banner", "60s").set("timeouts.patience", "60s");
    let house = house.set("delivery.connections_per_address", 1).start();
    let hole = house.blackhole();
    house.domain("one.test", &hole);
    house.domain("two.test", &hole);
    submit(&house, "b@one.test");
    // Until it has the address: while it still asks DNS, the other could have it.
    wait_recipient(&house, "b@one.test", "at work", |it| text(&it["why"]).contains("waiting for the banner"));
    let id = submit(&house, "b@two.test");
    wait_recipient(&house, "b@two.test", "blocked", |it| it["state"] == "blocked");
    let explained = house.json(&["explain", &id]);
    let limit = &explained["destinations"][0]["limit"];
    assert_eq!(limit["setting"], "delivery.connections_per_address");
    assert_eq!((&limit["most"], &limit["in_use"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(limit["held_by"][0]["destination"], "one.test");
    let shown = done(&house, &["explain", "two.test"]);
    for words in [
        "state     blocked",
        "delivery.connections_per_address: 1 of 1 in use",
        "held by:",
        "one.test",
        "kill",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(
        shown.lines().take_while(|line| !line.contains("held by")).all(|line| line.len() <= 80),
        "{shown}"
    );
    assert!(done(&house, &["explain", "quiet.test"]).contains("nothing is in its way"));
    assert_eq!(house.run(&["explain", "00000000000"]).status.code(), Some(66));
    assert_eq!(house.run(&["explain", "no such"]).status.code(), Some(65));
}

#[test]
fn a_suspended_destination_rests_over_a_restart_until_it_is_resumed() {
    let house = slow().start();
    let sink = house.good("x.test");
    submit(&house, "a@x.test");
    wait_empty(&house);
    let row = house.json(&["destinations", "show", "x.test"])["destinations"][0].clone();
    assert_eq!((&row["standing"], &row["total"]["delivered"]), (&Value::from("proven"), &Value::from(1)));
    done(&house, &["destinations", "suspend", "x.test", "--reason", "they are moving"]);
    submit(&house, "b@x.test");
    wait_recipient(&house, "b@x.test", "suspended", |it| it["state"] == "suspended");
    house.restart();
    wait_recipient(&house, "b@x.test", "suspended", |it| it["state"] == "suspended");
    let list = done(&house, &["destinations"]);
    assert!(list.starts_with("DESTINATION  STATE") && list.contains("x.test       suspended"), "{list}");
    let one = done(&house, &["destinations", "show", "x.test"]);
    assert!(one.contains("they are moving"), "{one}");
    hold_for("nothing is sent", Duration::from_millis(300), || sink.messages().len() == 1);
    assert_eq!(done(&house, &["destinations", "resume", "x.test"]), "x.test goes on\n");
    wait_empty(&house);
    assert_eq!(sink.messages().len(), 2);
    assert!(done(&house, &["destinations", "resume", "x.test"]).contains("was not suspended"));
    house.wait_log("destination=x.test by=uid:");
}

#[test]
fn a_probe_shows_every_step_and_sends_nothing() {
    let house = House::new();
    let sink = house.good("x.test");
    let shown = done(&house, &["probe", "x.test", "--rcpt", "b@x.test"]);
    let address = sink.addr().ip().to_string();
    for words in [
        "dns        MX x.test: 10 mx.x.test (",
        &format!("A mx.x.test: {address} ("),
        &format!("order      mx.x.test {}", sink.addr()),
        "* connecting to mx.x.test at",
        "< 220 ",
        "> EHLO relay.test",
        "starttls   not offered",
        "> MAIL FROM:<>",
        "> RCPT TO:<b@x.test>",
        "> RSET",
        "> QUIT",
        "outcome    the recipient would be taken",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("DATA") && sink.messages().is_empty());
    let document = house.json(&["probe", "x.test"]);
    assert_eq!((&document["class"], &document["destination"]), (&Value::from(2), &Value::from("x.test")));
    let none = house.run(&["probe", "nowhere.test"]);
    assert_eq!(none.status.code(), Some(68), "{none:?}");
    assert!(out(&none).contains("MX nowhere.test: no such name"), "{none:?}");
    let hole = house.blackhole();
    house.domain("hole.test", &hole);
    let silent = house.run(&["probe", "hole.test", "--limit", "300ms"]);
    assert_eq!(silent.status.code(), Some(75), "{silent:?}");
    assert!(err(&silent).contains("while waiting for the banner"), "{silent:?}");
}

/// Whether the session that has sent a message has ended. There may be another, which found nothing to do.
fn has_delivered_and_ended(lines: &str) -> bool {
    let told: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of =
        |words: &str| told.iter().find(|line| text(&line["text"]).contains(words)).map(|it| &it["session"]);
    let Some(sender) = of(" octets)") else { return false };
    told.iter().any(|line| line["session"] == *sender && text(&line["text"]) == "the session ends")
}

#[test]
fn a_trace_follows_a_conversation_and_shows_no_message() {
    let house = House::started();
    let sink = house.good("x.test");
    let file = house.path().join("trace");
    let mut command = house.command(&["trace", "x.test", "--json"]);
    command.stdin(Stdio::null()).stdout(File::create(&file).unwrap());
    let follower = Process::start(&mut command);
    let lines = || std::fs::read_to_string(&file).unwrap();
    wait_until("the trace", SOON, || lines().contains("following x.test").then_some(()).ok_or_else(lines));
    let _other = house.good("other.test");
    submit(&house, "b@other.test");
    submit(&house, "b@x.test");
    wait_until("the end of the session", SOON, || {
        has_delivered_and_ended(&lines()).then_some(()).ok_or_else(lines)
    });
    let told: Vec<Value> = lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |way: &str, words: &str| {
        let told = told.iter().any(|line| line["way"] == way && text(&line["text"]).contains(words));
        assert!(told, "{way} {words}: {}", lines());
    };
    said("*", "connecting to mx.x.test");
    said("<", "220 ");
    said(">", "RCPT TO:<b@x.test>");
    said(">", " octets)");
    assert!(!lines().contains("the body") && !lines().contains("other.test"), "{}", lines());
    assert_eq!(sink.messages().len(), 1);
    drop(follower);
    let output = house.run(&["trace", "a b"]);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
}

#[test]
fn followers_that_do_not_read_hold_nothing_but_their_own_places() {
    let house = House::started();
    let _sink = house.good("x.test");
    let deaf: Vec<_> = (0..4)
        .map(|_| {
            let mut socket =
                std::os::unix::net::UnixStream::connect(house.spool().join("control.sock")).unwrap();
            std::io::Write::write_all(&mut socket, b"{\"command\":\"trace\",\"what\":\"*\"}\n").unwrap();
            let mut first = [0; 1];
            std::io::Read::read_exact(&mut socket, &mut first).unwrap();
            socket
        })
        .collect();
    let output = house.run(&["trace", "*"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(err(&output).contains("4 conversations are being followed already"), "{output:?}");
    for n in 0..20 {
        submit(&house, &format!("b{n}@x.test"));
    }
    wait_empty(&house);
    drop(deaf);
    // Their places are free again once it has been noticed that they have left.
    wait_until("a free place", SOON, || {
        let mut socket = std::os::unix::net::UnixStream::connect(house.spool().join("control.sock")).unwrap();
        std::io::Write::write_all(&mut socket, b"{\"command\":\"trace\",\"what\":\"*\"}\n").unwrap();
        let mut first = [0; 12];
        std::io::Read::read_exact(&mut socket, &mut first).unwrap();
        first.starts_with(b"{\"trace\"").then_some(()).ok_or_else(|| "no place".to_string())
    });
}

#[test]
fn connections_are_watched_line_by_line() {
    let house = House::started();
    let file = house.path().join("watch");
    let mut command = house.command(&["connections", "--watch", "--json"]);
    command.stdin(Stdio::null()).stdout(File::create(&file).unwrap());
    let watcher = Process::start(&mut command);
    wait_until("two looks", SOON, || {
        let text = std::fs::read_to_string(&file).unwrap();
        let looks = text.lines().filter(|line| line.contains("\"slots\":0")).count();
        if looks >= 2 { Ok(()) } else { Err(text) }
    });
    drop(watcher);
}

#[test]
fn check_looks_at_the_world_when_it_is_asked_to() {
    let house = House::new();
    let sink = house.good("x.test");
    std::fs::create_dir(house.spool()).unwrap();
    let output = house.run(&["check", "--world", "--towards", "x.test"]);
    assert!(output.status.success(), "{output:?}");
    let shown = out(&output);
    for words in [
        "listen    fine      127.0.0.1:",
        "a sync takes",
        "answers, in",
        "name      doubtful  relay.test has no address in DNS",
        &format!("mx.x.test at {} greeted us after", sink.addr()),
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(std::fs::read_dir(house.spool()).unwrap().count(), 0, "nothing is left behind");
    let document = house.json(&["check"]);
    assert_eq!(document["world"], Value::Array(Vec::new()));
    let closed = house.addr();
    house.domain_at("closed.test", closed);
    let output = house.run(&["check", "--world", "--towards", "closed.test"]);
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(out(&output).contains("way out   BAD") && out(&output).contains("refused"), "{output:?}");
}
