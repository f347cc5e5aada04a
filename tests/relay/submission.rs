//! Mail comes in through the real listener: what is said to a client, what is refused, and what reaches the far side.

use crate::client::{Client, Refused};
use crate::house::House;
use crate::look::wait_empty;
use crate::wait::{SOON, pause, wait_until};
use std::sync::Barrier;
use std::time::{Duration, Instant};

const HELLO: &str = "Subject: hello\n\nhello\n";

/// Each line in turn, and the code and words it is answered with.
fn dialogue(client: &mut Client, lines: &[(&str, u16, &str)]) {
    for (line, code, words) in lines {
        let reply = client.ask(line).unwrap();
        assert!(reply.code == *code && reply.text().contains(words), "{line:?} was answered {reply}");
    }
}

#[test]
fn the_listener_speaks_esmtp() {
    let house = House::new().set("listen.max_message_size", 2000).start();
    let mut client = house.smtp();
    let banner = client.hear().unwrap();
    assert!(banner.code == 220 && banner.text().starts_with("relay.test ESMTP"), "{banner}");
    dialogue(&mut client, &[("MAIL FROM:<a@b.test>", 503, "5.5.1")]);
    let offered = client.ask("EHLO client.test").unwrap();
    assert_eq!(offered.lines[0], "relay.test");
    for word in ["PIPELINING", "SIZE 2000", "8BITMIME", "ENHANCEDSTATUSCODES"] {
        assert!(offered.lines.iter().any(|line| line == word), "{word}: {offered}");
    }
    assert!(!offered.text().contains("STARTTLS") && !offered.text().contains("AUTH"), "{offered}");
    dialogue(
        &mut client,
        &[
            ("NOOP", 250, "2.0.0"),
            ("VRFY someone", 252, "2.5.0"),
            ("BANANA", 500, "5.5"),
            ("RCPT TO:<c@d.test>", 503, "5.5.1"),
            ("MAIL FROM:<a@b.test> SIZE=2001", 552, "5.3.4"),
            ("MAIL FROM:<a@b.test> COLOUR=RED", 555, "5.5.4"),
            ("MAIL FROM:a@b.test", 501, "5.5.4"),
            ("MAIL FROM:<a@b.test> BODY=8BITMIME SIZE=2000", 250, "2.1.0"),
            ("MAIL FROM:<a@b.test>", 503, "5.5.1"),
            ("DATA", 554, "5.5.1"),
            ("RCPT TO:<c@d..test>", 501, "5.1.3"),
            ("RCPT TO:<c@d.test>", 250, "2.1.5"),
            ("RSET", 250, "2.0.0"),
            ("DATA", 503, "5.5.1"),
            ("HELO client.test", 250, "relay.test"),
            ("QUIT", 221, "2.0.0"),
        ],
    );
    assert!(client.is_closed());
}

#[test]
fn only_those_of_relay_from_may_relay() {
    let house = House::new().set("listen.relay_from", "[\"192.0.2.0/24\", \"::1\"]").start();
    let refused = house.submit("a@b.test", &["c@d.test"], HELLO).unwrap_err();
    let Refused::Said(reply) = refused else { panic!("{refused:?}") };
    assert!(reply.code == 550 && reply.text().starts_with("5.7.1"), "{reply}");
    assert_eq!(house.queue()["messages"], 0);
}

/// What follows the header of a message; `\r\n.\r\n` is added. All of it is in one write, as an attacker would.
const SMUGGLED: &[&str] = &[
    "a\nb",
    "a\rb",
    "a\n.\nMAIL FROM:<evil@b.test>\nRCPT TO:<evil@good.test>\nDATA\nevil",
    "a\n.\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r\n.\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r\n.\rMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r.\rMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r.\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r\n\n.\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
    "a\r\r\n.\r\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<evil@good.test>\r\nDATA\r\nevil",
];

#[test]
fn nothing_is_smuggled_behind_a_bare_line_end() {
    let house = House::started();
    let sink = house.good("good.test");
    for body in SMUGGLED {
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        dialogue(
            &mut client,
            &[("MAIL FROM:<a@b.test>", 250, ""), ("RCPT TO:<c@good.test>", 250, ""), ("DATA", 354, "")],
        );
        client.say_raw(format!("Subject: x\r\n\r\n{body}\r\n.\r\n").as_bytes()).unwrap();
        let reply = client.hear().unwrap();
        assert!(reply.code == 550 && reply.text().starts_with("5.5.2"), "{body:?}: {reply}");
        // Whatever came behind it is not answered, nor read as commands.
        assert!(client.hear().is_err() && client.is_closed(), "{body:?}");
    }
    house.submit("a@b.test", &["honest@good.test"], HELLO).unwrap();
    let messages = sink.wait_for(1, SOON);
    assert_eq!(messages[0].forward_paths, ["honest@good.test"]);
    wait_empty(&house);
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_bare_line_end_in_a_command_is_no_command() {
    let house = House::started();
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    for line in ["MAIL FROM:<a@b.test>\n", "NOOP\rRSET\r\n", "NOOP\0\r\n"] {
        client.say_raw(line.as_bytes()).unwrap();
        assert_eq!(client.hear().unwrap().code, 500, "{line:?}");
    }
    dialogue(&mut client, &[("RCPT TO:<c@d.test>", 503, ""), ("QUIT", 221, "")]);
}

#[test]
fn input_behind_data_is_refused_before_it_can_be_read_as_commands() {
    let house = House::started();
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    let group = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n";
    client.say_raw(group.as_bytes()).unwrap();
    let codes: Vec<_> = (0..3).map(|_| client.hear().unwrap().code).collect();
    assert_eq!(codes, [250, 250, 554]);
    assert!(client.is_closed());
    assert_eq!(house.queue()["messages"], 0);
}

#[test]
fn a_pipelined_group_is_answered_in_order() {
    let house = House::started();
    let sink = house.good("good.test");
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    for (n, end, code) in [(1, "RSET", 250), (2, "QUIT", 221)] {
        let to: String = (0..n).map(|n| format!("RCPT TO:<u{n}@good.test>\r\n")).collect();
        client.say_raw(format!("MAIL FROM:<a@b.test>\r\n{to}RCPT TO:<bad\r\nDATA\r\n").as_bytes()).unwrap();
        let codes: Vec<_> = (0..n + 3).map(|_| client.hear().unwrap().code).collect();
        assert_eq!(codes, [&[250][..], &vec![250; n], &[501, 354]].concat());
        client.say_raw(format!("Subject: {n}\r\n\r\nx\r\n.\r\n{end}\r\n").as_bytes()).unwrap();
        assert_eq!(client.hear().unwrap().code, 250);
        assert_eq!(client.hear().unwrap().code, code);
    }
    assert_eq!(sink.wait_for(2, SOON).iter().map(|m| m.forward_paths.len()).sum::<usize>(), 3);
}

#[test]
fn limits_are_kept_and_said() {
    let house = House::new().set("listen.max_message_size", 5000).set("listen.max_recipients", 3).start();
    let sink = house.good("good.test");
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    client.say_raw(&[&[b'x'; 20_000][..], b"\r\n"].concat()).unwrap();
    assert_eq!(client.hear().unwrap().code, 500);
    let code = |sent: Result<_, Refused>| sent.map_or_else(|e| e.code(), |_| 250);
    let large = format!("Subject: x\n\n{}", "y\n".repeat(3000));
    assert_eq!(code(client.send("a@b.test", &["c@good.test"], &large)), 552);
    let long_line = format!("Subject: x\n\n{}\n", "z".repeat(70_000));
    assert!([550, 552].contains(&code(client.send("a@b.test", &["c@good.test"], &long_line))));
    let to = ["1@good.test", "2@good.test", "3@good.test", "4@good.test"];
    assert_eq!(code(client.send("a@b.test", &to, HELLO)), 452);
    dialogue(&mut client, &[("RSET", 250, "")]);
    assert_eq!(code(client.send("a@b.test", &to[..3], HELLO)), 250);
    assert_eq!(sink.wait_for(1, SOON)[0].forward_paths.len(), 3);
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_message_that_has_passed_too_many_hosts_is_in_a_loop() {
    let house = House::new().set("listen.hop_limit", 5).start();
    let sink = house.good("good.test");
    let hops =
        |count| format!("{}Subject: x\n\nReceived: no hop\n", "Received: from a by b\n\t;\n".repeat(count));
    house.submit("a@b.test", &["c@good.test"], &hops(4)).unwrap();
    sink.wait_for(1, SOON);
    let refused = house.submit("a@b.test", &["c@good.test"], &hops(5)).unwrap_err();
    let Refused::Said(reply) = refused else { panic!("{refused:?}") };
    assert!(reply.code == 554 && reply.text().starts_with("5.4.6"), "{reply}");
    wait_empty(&house);
    assert_eq!(sink.count(), 1);
}

#[test]
fn a_full_house_says_421_and_has_room_again() {
    let house = House::new().set("listen.clients", 2).start();
    let mut inside: Vec<_> = (0..2).map(|_| Client::greet(house.smtp_addr()).unwrap()).collect();
    let mut third = house.smtp();
    let reply = third.hear().unwrap();
    assert!(reply.code == 421 && reply.text().starts_with("4.3.2") && third.is_closed(), "{reply}");
    // Those inside are not disturbed, and a seat that is left is free at once.
    dialogue(&mut inside.remove(0), &[("NOOP", 250, ""), ("QUIT", 221, "")]);
    wait_until("a free seat", SOON, || Client::greet(house.smtp_addr()).map_err(|e| format!("{e:?}")));
}

#[test]
fn a_client_that_says_nothing_or_too_slowly_is_cut() {
    let house = House::new().set("timeouts.client", "300ms").set("listen.clients", 3).start();
    let mut silent = house.smtp();
    let mut dripping = Client::greet(house.smtp_addr()).unwrap();
    let mut in_data = Client::greet(house.smtp_addr()).unwrap();
    let head = "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n";
    in_data.say_raw(head.as_bytes()).unwrap();
    let start = Instant::now();
    // A byte at a time would reset a limit that is one of each read.
    while dripping.say_raw(b"x").is_ok() {
        assert!(start.elapsed() < SOON, "a dripping client is never cut");
        pause(Duration::from_millis(50));
    }
    assert_eq!(silent.hear().unwrap().code, 220);
    for client in [&mut silent, &mut in_data] {
        let last = std::iter::from_fn(|| client.hear().ok()).last().unwrap();
        assert!(last.code == 421 && last.text().starts_with("4.4.2"), "{last}");
        assert!(client.is_closed());
    }
    assert_eq!(house.queue()["messages"], 0);
}

#[test]
fn the_far_side_sees_where_a_message_came_from() {
    let house = House::started();
    let sink = house.good("good.test");
    for (hello, to, with) in [
        ("EHLO client.test", &["one@good.test"][..], "with ESMTP id "),
        ("HELO old.test", &["one@good.test"], "with SMTP id "),
        ("EHLO (evil;)", &["two@good.test", "three@good.test"], "from ?evil?? ([127.0.0.1])"),
    ] {
        let mut client = house.smtp();
        client.hear().unwrap();
        assert_eq!(client.ask(hello).unwrap().code, 250);
        let reply = client.send("a@b.test", to, HELLO).unwrap();
        let id = reply.text().split(' ').next_back().unwrap().to_string();
        let message = wait_until("the message", SOON, || {
            sink.messages().into_iter().find(|message| message.text().contains(&id))
        });
        let received = message.header("Received").unwrap();
        assert!(received.contains(with), "{received}");
        assert!(received.contains("([127.0.0.1]) by relay.test"), "{received}");
        assert!(received.contains(&format!("id {id}")), "{received}");
        assert_eq!(received.contains("for <one@good.test>;"), to.len() == 1, "{received}");
        assert!(message.text().ends_with("Subject: hello\r\n\r\nhello\r\n"), "{}", message.text());
    }
}

#[test]
fn several_hundred_clients_at_once_are_served() {
    const CLIENTS: usize = 300;
    let house = House::started();
    let sink = house.good("good.test");
    let (addr, all_in) = (house.smtp_addr(), Barrier::new(CLIENTS));
    std::thread::scope(|scope| {
        for n in 0..CLIENTS {
            let all_in = &all_in;
            let talk = move || {
                let mut client = Client::connect(addr).unwrap();
                client.set_limit(SOON * 4);
                assert_eq!(client.hear().unwrap().code, 220);
                all_in.wait();
                assert_eq!(client.ask("EHLO client.test").unwrap().code, 250);
                client.send("a@b.test", &[&format!("u{n}@good.test")], HELLO).unwrap();
                client.ask("QUIT").unwrap();
            };
            std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, talk).unwrap();
        }
    });
    let messages = sink.wait_for(CLIENTS, SOON * 4);
    let mut to: Vec<_> = messages.iter().map(|message| message.forward_paths[0].clone()).collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), messages.len()), (CLIENTS, CLIENTS));
}

#[test]
fn a_client_that_hangs_up_in_the_middle_leaves_nothing() {
    let house = House::started();
    for text in ["EH", "MAIL FROM:<a@b.test>\r\n", "MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"] {
        let mut client = Client::greet(house.smtp_addr()).unwrap();
        client.say_raw(text.as_bytes()).unwrap();
        if text.ends_with("DATA\r\n") {
            (0..3).for_each(|_| drop(client.hear().unwrap()));
            client.say_raw(b"Subject: x\r\n\r\nhalf a message").unwrap();
        }
        client.half_close();
        assert!(client.is_closed(), "{text:?}");
    }
    assert_eq!(house.queue()["messages"], 0);
}
