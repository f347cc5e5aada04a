//! What the operator sees and types: the queue, the sessions, submission, the configuration, and how each command ends.

use crate::house::House;
use crate::look::{text, wait_empty, wait_last};
use crate::peer::{Peer, dialog};
use crate::wait::{SOON, wait_until};
use serde_json::{Value, json};
use std::process::{Command, Output};

const HELLO: &str = "Subject: hello\n\nhello\n";

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every field that the table of a command's JSON promises is there.
#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is not in {value:#}");
    }
}

#[test]
fn the_queue_says_what_waits_and_why() {
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    assert_eq!(out(&house.run(&["queue"])), "The queue is empty.\n");
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_last(&house, "b@x.test", "421 4.3.2 not now");
    let ip = script.addr().ip();
    let queue = house.queue();
    assert_eq!(
        (&queue["messages"], &queue["recipients"], &queue["next"]),
        (&json!(1), &json!(1), &json!(null))
    );
    let message = &queue["queue"][0];
    has(message, &["id", "from", "size", "accepted", "age", "expires", "recipients"]);
    assert_eq!(message["from"], "a@sender.test");
    let recipient = &message["recipients"][0];
    has(recipient, &["to", "destination", "attempts", "state", "why", "next", "last"]);
    assert_eq!(recipient["last"]["phase"], "banner");
    assert_eq!(recipient["last"]["host"], format!("mx.x.test[{ip}]"));
    let shown = out(&house.run(&["queue"]));
    for words in [
        text(&message["id"]),
        "from <a@sender.test>",
        "to <b@x.test>  resting: its destination rests after it failed as a site: mx.x.test[",
        ", next in ",
        "tried once",
        &format!("last: 4.3.2 mx.x.test[{ip}] said \"421 4.3.2 not now\" (waiting for the banner)"),
        "1 message for 1 recipient.",
    ] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
}

#[test]
fn the_queue_has_pages_and_a_filter() {
    let house = House::new().set("retry.site_first", "100s").set("retry.site_max", "100s").start();
    for domain in ["x.test", "y.test"] {
        house.ns().servfail(domain);
    }
    for n in 0..7 {
        let domain = if n % 2 == 0 { "x.test" } else { "y.test" };
        house.submit("a@sender.test", &[&format!("b{n}@{domain}")], HELLO).unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["queue", "--limit", "3"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = house.json(&args);
        let messages = page["queue"].as_array().unwrap();
        assert!(messages.len() <= 3 && page["messages"] == 7);
        seen.extend(messages.iter().map(|message| text(&message["recipients"][0]["to"]).to_string()));
        let Some(next) = page["next"].as_str() else { break };
        after = Some(next.to_string());
    }
    let expected: Vec<_> =
        (0..7).map(|n| format!("b{n}@{}.test", if n % 2 == 0 { "x" } else { "y" })).collect();
    assert_eq!(seen, expected, "oldest first, each once");
    let only = house.json(&["queue", "--destination", "Y.TEST"]);
    assert_eq!(only["queue"].as_array().unwrap().len(), 3);
    let first = out(&house.run(&["queue", "--limit", "3"]));
    assert!(first.contains("7 messages for 7 recipients; the next page: --after "), "{first}");
    for (args, words) in
        [(["queue", "--after", "!!!"], "no queue id"), (["queue", "--destination", "a b"], "no destination")]
    {
        let output = house.run(&args);
        assert_eq!(output.status.code(), Some(65), "{output:?}");
        assert!(err(&output).contains(words), "{output:?}");
    }
}

#[test]
fn the_session_table_shows_where_a_session_stands_and_empties() {
    let house = House::new().set("timeouts.banner", "30s").set("timeouts.patience", "30s");
    let house = house.set("timeouts.session", "60s").start();
    let empty = out(&house.run(&["connections"]));
    assert_eq!(empty, "0 of 16 slots in use: 0 proven, 0 new, 0 suspect.\n");
    let hole = house.blackhole();
    house.domain("hole.test", &hole);
    house.submit("a@sender.test", &["b@hole.test"], HELLO).unwrap();
    let row = wait_until("a session at its banner", SOON, || {
        let table = house.connections();
        let row =
            table["connections"].as_array().unwrap().iter().find(|row| row["phase"] == "banner").cloned();
        row.ok_or_else(|| format!("{table:#}"))
    });
    has(&row, &["session", "delivered", "age", "in_phase", "left", "limit", "message"]);
    assert_eq!((&row["destination"], &row["mx"]), (&json!("hole.test"), &json!("mx.hole.test")));
    let address = hole.addr().ip().to_string();
    assert_eq!(row["address"], address);
    let left = row["left"].as_f64().unwrap();
    assert!((1.0..=30.0).contains(&left), "{row}");
    let queued = house.queue();
    let recipient = &queued["queue"][0]["recipients"][0];
    assert_eq!(recipient["state"], "active");
    assert!(text(&recipient["why"]).contains("mx.hole.test, waiting for the banner"), "{recipient}");
    let shown = out(&house.run(&["connections"]));
    assert!(shown.starts_with("SESSION"), "{shown}");
    for words in ["hole.test", "mx.hole.test", &address, "banner", "1 of 16 slots in use: 0 proven, 1 new"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    drop(hole);
    wait_until("an empty table", SOON, || house.connections()["slots"] == 0);
}

#[test]
fn a_message_is_handed_to_the_running_relay() {
    let house = House::started();
    let sink = house.good("x.test");
    let file = house.path().join("message");
    std::fs::write(&file, "Subject: from a file\n\n.dot\nB\u{fc}cher\n").unwrap();
    let send = ["send", "--from", "a@sender.test", "--to", "b@x.test", "--to", "c@x.test"];
    let output = house.run(&[&send[..], &[&file.display().to_string()]].concat());
    let said = out(&output);
    let id = said.strip_prefix("queued as ").unwrap_or_else(|| panic!("{output:?}")).trim();
    let message = sink.wait_for(1, SOON).remove(0);
    assert_eq!(message.forward_paths, ["b@x.test", "c@x.test"]);
    assert!(
        message.text().ends_with("Subject: from a file\r\n\r\n.dot\r\nB\u{fc}cher\r\n"),
        "{}",
        message.text()
    );
    assert!(message.header("Received").unwrap().contains(id), "{}", message.text());
    assert!(message.params.contains(&"BODY=8BITMIME".to_string()), "{:?}", message.params);
    // From standard input, without any header.
    let output = house.run_with(&[&send[..5], &["--json"]].concat(), b"hello there\nand more");
    let id: Value = serde_json::from_slice(&output.stdout).unwrap();
    let message = sink.wait_for(2, SOON).remove(1);
    assert!(message.text().contains(text(&id["id"])), "{}", message.text());
    assert_eq!(message.header("From").unwrap(), "<a@sender.test>");
    for field in ["To", "Date", "Message-ID"] {
        assert!(message.header(field).is_some(), "{field}: {}", message.text());
    }
    assert!(message.text().ends_with("\r\n\r\nhello there\r\nand more\r\n"), "{}", message.text());
    wait_empty(&house);
}

#[test]
fn a_message_that_cannot_be_taken_is_refused_in_words() {
    let house = House::new().set("listen.max_message_size", 100).start();
    let large = "x\n".repeat(100);
    for (from, to, text, code, words) in [
        ("no address", "b@x.test", "hi", 65, "no address"),
        ("a@sender.test", "b@@x.test", "hi", 65, "b@@x.test"),
        ("a@sender.test", "b@x.test", &large, 65, "100 are allowed"),
        ("a@sender.test>\r\nRCPT TO:<c@x.test", "b@x.test", "hi", 65, ""),
    ] {
        let output = house.run_with(&["send", "--from", from, "--to", to], text.as_bytes());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(err(&output).contains(words), "{output:?}");
    }
    let output = house.run(&["send", "--from", "a@b.test", "--to", "b@x.test", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert_eq!(house.queue()["messages"], 0);
}

#[test]
fn without_a_relay_a_command_says_so() {
    let house = House::new();
    for args in [&["queue"][..], &["connections"], &["send", "--from", "a@b.test", "--to", "b@x.test"]] {
        let output = house.run(args);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert!(err(&output).starts_with("sendoff: ") && output.stdout.is_empty(), "{output:?}");
        assert!(err(&output).contains(&house.spool().display().to_string()), "{output:?}");
    }
    // A relay that was killed leaves its socket behind, with nobody at it.
    let house = house.start();
    house.kill9();
    assert!(house.spool().join("control.sock").exists());
    assert_eq!(house.run(&["queue"]).status.code(), Some(69));
}

#[test]
fn a_relay_is_found_by_its_spool_too() {
    let house = House::started();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
    command.args(["queue", "--json", "--spool"]).arg(house.spool());
    let output = crate::tools::run(&mut command);
    assert!(output.status.success() && out(&output).contains("\"messages\""), "{output:?}");
}

/// Configurations with a fault: a key and its value, and what is said of it.
const FAULTS: &[(&str, &str, &str)] = &[
    ("timeouts.baner", "\"1s\"", "unknown key `baner` in [timeouts]: did you mean `banner`?"),
    ("timeout.banner", "\"1s\"", "unknown table [timeout]: did you mean [timeouts]?"),
    ("delivery.workers", "\"many\"", "a whole number is wanted"),
    ("timeouts.connect", "\"0s\"", "cannot be 0"),
    ("delivery.workers", "2", "must be less than delivery.workers (2)"),
    ("listen.smtp", "[\"localhost:25\"]", "names are not looked up"),
];

#[test]
fn a_faulty_configuration_is_refused_with_its_place() {
    for (key, value, words) in FAULTS {
        let house = House::new().set(key, value);
        for command in ["check", "serve", "queue"] {
            let output = house.run(&[command]);
            let (said, file) = (err(&output), house.config_file().display().to_string());
            assert_eq!(output.status.code(), Some(78), "{output:?}");
            assert!(said.contains(words), "{said}");
            // FILE:LINE:COLUMN, and the line itself.
            let place = said.split(&format!("{file}:")).nth(1).unwrap_or_else(|| panic!("{said}"));
            let mut numbers = place.split(':').map(str::parse::<usize>);
            let line = numbers.next().unwrap().unwrap();
            assert!(numbers.next().unwrap().is_ok(), "{said}");
            let config = std::fs::read_to_string(house.config_file()).unwrap();
            assert!(said.contains(config.lines().nth(line - 1).unwrap()), "{said}");
            assert!(said.contains('^'), "{said}");
        }
    }
}

#[test]
fn check_says_what_a_good_configuration_comes_to() {
    let house = House::new().route("*.x.test", "smtp://smart.test:587");
    let output = house.run(&["check"]);
    assert!(output.status.success(), "{output:?}");
    for words in [
        "fine",
        "relay.test",
        &house.spool().display().to_string(),
        &house.ns().addr().to_string(),
        "*.x.test to smtp://smart.test:587",
    ] {
        assert!(out(&output).contains(words), "{words}: {}", out(&output));
    }
    assert!(!house.spool().exists(), "to check is to change nothing");
}

#[test]
fn every_command_has_a_help_and_knows_its_misuse() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendoff"));
        crate::tools::run(command.args(args))
    };
    for command in
        ["serve", "check", "queue", "explain", "connections", "destinations", "probe", "trace", "top", "send"]
    {
        let output = run(&[command, "--help"]);
        assert!(output.status.success() && out(&output).contains("--config <FILE>"), "{output:?}");
        let misused = run(&[command, "--no-such-option"]);
        assert_eq!(misused.status.code(), Some(64), "{misused:?}");
        let missing = run(&[command, "--config", "/no/such/file"]);
        assert!([Some(64), Some(66)].contains(&missing.status.code()), "{missing:?}");
        assert!(out(&run(&["--help"])).contains(&format!("\n  {command} ")), "{command}");
    }
    assert_eq!(run(&[]).status.code(), Some(64));
    assert_eq!(run(&["banana"]).status.code(), Some(64));
    assert!(out(&run(&["--version"])).starts_with("sendoff "));
}
