//! The beginning and the end of a relay: what it takes up, what it leaves safe, and what it hears of while it runs.

use crate::client::Client;
use crate::house::House;
use crate::look::{recipients, wait_empty, wait_last, wait_recipient};
use crate::peer::{Peer, dialog};
use crate::wait::{SOON, wait_until};
use rustix::process::Signal;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

const HELLO: &str = "Subject: hello\n\nhello\n";

#[test]
fn a_restart_takes_up_every_queued_message() {
    const MESSAGES: usize = 30;
    let house = House::new().set("retry.site_first", "200ms").set("retry.site_max", "200ms").start();
    let script = house.script(&dialog("service-unavailable"));
    house.domain("x.test", &script);
    let large = format!("Subject: large\n\n{}", "0123456789abcdef\n".repeat(10_000));
    for n in 0..MESSAGES {
        let body = if n % 10 == 0 { &large } else { HELLO };
        house.submit("a@sender.test", &[&format!("b{n}@x.test")], body).unwrap();
    }
    wait_recipient(&house, "b0@x.test", "an attempt", |r| r["last"].is_object());
    assert!(house.terminate().success());
    let host = script.recover();
    house.start_again();
    let found = std::fs::read_to_string(house.path().join("relay.out")).unwrap();
    assert!(found.contains(&format!("{MESSAGES} messages for {MESSAGES} recipients found")), "{found}");
    let messages = host.wait_for(MESSAGES, SOON);
    wait_empty(&house);
    let to: HashSet<_> = messages.iter().map(|message| message.forward_paths[0].clone()).collect();
    assert_eq!((to.len(), host.count()), (MESSAGES, MESSAGES));
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let house = House::new().set("retry.site_first", "100ms").start();
    let sink = house.good("x.test");
    let (acknowledged, stop) = (parking_lot::Mutex::new(Vec::new()), AtomicBool::new(false));
    for round in 0..3 {
        let addr = house.smtp_addr();
        stop.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (acknowledged, stop) = (&acknowledged, &stop);
                scope.spawn(move || {
                    let Ok(mut connection) = Client::greet(addr) else { return };
                    for n in 0.. {
                        let to = format!("r{round}c{client}n{n}@x.test");
                        match connection.send("a@sender.test", &[&to], HELLO) {
                            Ok(_) => acknowledged.lock().push(to),
                            Err(_) => return,
                        }
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            let before = acknowledged.lock().len();
            wait_until("mail in full flow", SOON, || acknowledged.lock().len() >= before + 40);
            house.kill9();
            stop.store(true, Ordering::Relaxed);
        });
        house.start_again();
    }
    let acknowledged = acknowledged.into_inner();
    wait_until("all that was acknowledged", SOON, || {
        let messages = sink.messages();
        let came: HashSet<_> = messages.iter().flat_map(|message| &message.forward_paths).collect();
        let missing: Vec<_> = acknowledged.iter().filter(|to| !came.contains(to)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    });
    wait_empty(&house);
}

#[test]
fn a_relay_that_is_told_to_stop_ends_well_and_loses_nothing() {
    for signal in [Signal::TERM, Signal::INT] {
        let house = House::new()
            .set("timeouts.dot", "30s")
            .set("timeouts.session", "60s")
            .set("timeouts.shutdown", "500ms")
            .start();
        let stuck = house.script(&dialog("mute-dot"));
        house.domain("stuck.test", &stuck);
        house.submit("a@sender.test", &["b@stuck.test"], HELLO).unwrap();
        wait_until("a session in flight", SOON, || house.connections()["connections"][0]["phase"] == "dot");
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        house.signal(signal);
        // Who is only connected is told at once; new clients are not let in.
        assert_eq!(client.hear().unwrap().code, 421);
        assert!(client.is_closed());
        drop(client);
        let status = house.wait_exit();
        assert_eq!(status.code(), Some(0), "{}", house.log());
        stuck.wait_alone(SOON);
        assert!(house.log().contains("1 sessions were cut after 500ms of grace"), "{}", house.log());
        let good = stuck.recover();
        house.start_again();
        good.wait_for(1, SOON);
        wait_empty(&house);
    }
}

#[test]
fn a_session_in_flight_has_its_grace() {
    let house = House::new().set("timeouts.dot", "10s").set("timeouts.shutdown", "10s").start();
    let slow = house.script("say 220 hi\nhear EHLO\nsay 250 hi\nhear MAIL\nsay 250 ok\nhear RCPT\nsay 250 ok\nhear DATA\nsay 354 go\nhear-data\npause 700ms\nsay 250 ok\nhear QUIT\nsay 221 bye");
    house.domain("slow.test", &slow);
    let later = house.good("later.test");
    house.submit("a@sender.test", &["b@slow.test"], HELLO).unwrap();
    wait_until("the message at the host", SOON, || slow.data().len() == 1);
    let sending = {
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        for line in ["MAIL FROM:<a@sender.test>", "RCPT TO:<c@later.test>", "DATA"] {
            client.ask(line).unwrap();
        }
        client
    };
    house.signal(Signal::TERM);
    // A client in the middle of its data may finish it, and is told the truth.
    let mut sending = sending;
    sending.say_raw(b"Subject: x\r\n\r\nx\r\n.\r\n").unwrap();
    assert_eq!(sending.hear().unwrap().code, 250);
    drop(sending);
    assert_eq!(house.wait_exit().code(), Some(0));
    house.start_again();
    later.wait_for(1, SOON);
    wait_empty(&house);
    assert_eq!((slow.opened(), slow.data().len()), (1, 1), "delivered once, and known to be");
}

#[test]
fn a_reload_takes_a_good_configuration_and_refuses_a_bad_one() {
    let house = House::started();
    let (old, new) = (house.good("x.test"), house.sink());
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    old.wait_for(1, SOON);
    house.rewrite("routes.\"x.test\"", format!("\"smtp://{}\"", new.addr()));
    house.rewrite("listen.max_recipients", 1);
    house.rewrite("delivery.workers", 20);
    house.hup();
    house.wait_log("SIGHUP: the settings have been read again");
    assert!(
        house.log().contains("SIGHUP: delivery.workers has changed; that takes effect at the next start")
    );
    house.submit("a@sender.test", &["c@x.test"], HELLO).unwrap();
    new.wait_for(1, SOON);
    assert_eq!(house.submit("a@sender.test", &["1@x.test", "2@x.test"], HELLO).unwrap_err().code(), 452);
    house.rewrite("timeouts.baner", "\"1s\"");
    house.rewrite("listen.max_recipients", 2);
    house.hup();
    house.wait_log("SIGHUP: the old settings stay");
    house.wait_log("did you mean `banner`?");
    assert_eq!(house.submit("a@sender.test", &["1@x.test", "2@x.test"], HELLO).unwrap_err().code(), 452);
    assert!(house.is_running());
}

#[test]
fn one_spool_has_one_relay() {
    let house = House::started();
    let second = house.run(&["serve"]);
    assert_eq!(second.status.code(), Some(73), "{second:?}");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("in use by another sendoff, process {}", house.pid())), "{said}");
    // The first is as it was, its door too.
    assert_eq!(house.queue()["messages"], 0);
    house.kill9();
    house.start_again();
}

#[test]
fn an_address_that_is_taken_is_said() {
    let house = House::started();
    let other = House::new().set("listen.smtp", format!("[\"{}\"]", house.smtp_addr()));
    let output = other.run(&["serve"]);
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&format!("cannot listen on {}", house.smtp_addr())), "{said}");
}

#[test]
fn the_conversation_is_shown_to_whoever_debugs_and_never_the_message() {
    let house = House::new().env("RUST_LOG", "info,sendoff::client=debug").start();
    let sink = house.good("x.test");
    let body = "Subject: a very private subject\n\nand a secret body\n";
    house.submit("a@sender.test", &["b@x.test"], body).unwrap();
    sink.wait_for(1, SOON);
    house.terminate();
    let log = house.log();
    for words in [
        "< 220 good.test ESMTP",
        "> EHLO relay.test",
        "> MAIL FROM:<a@sender.test> SIZE=",
        "> RCPT TO:<b@x.test>",
        "> DATA",
        "< 354 go on",
        "octets)",
        "< 250 2.0.0 taken",
        "> QUIT",
    ] {
        let line = log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {log}"));
        // When, which session, with whom.
        assert!(line.starts_with("20") && line.contains("DEBUG sendoff::client"), "{line}");
        assert!(line.contains("session=1 mx.x.test[127."), "{line}");
    }
    for secret in ["private subject", "secret body"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_relay_that_is_restarted_again_and_again_tries_no_more_often() {
    let house = House::new().set("retry.delays", "[\"100s\"]").start();
    let sink = house.good("x.test");
    sink.reject_rcpt("b@x.test", "450 4.2.1 later");
    house.submit("a@sender.test", &["b@x.test"], HELLO).unwrap();
    wait_last(&house, "b@x.test", "450 4.2.1 later");
    for _ in 0..3 {
        house.restart();
    }
    let all = recipients(&house);
    assert_eq!((all.len(), &all[0]["attempts"]), (1, &serde_json::json!(1)), "{all:#?}");
    assert!(all[0]["next"].as_u64() > Some(50), "{all:#?}");
}
