//! What is said to the far side, and what it gets: extensions, recipients, sessions, and every octet of the message.

use crate::client::Client;
use crate::house::House;
use crate::look::{recipients, wait_empty, wait_last};
use crate::peer::{Host, Peer};
use crate::wait::{SOON, wait_until};

const HELLO: &str = "Subject: hello\n\nhello\n";

/// A message as it is, with CRLF line ends: nothing is added but the dots of DATA.
#[track_caller]
fn submit_raw(house: &House, mail: &str, to: &str, message: &[u8]) {
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    for line in [mail, &format!("RCPT TO:<{to}>"), "DATA"] {
        assert!(client.ask(line).unwrap().is_positive(), "{line}");
    }
    let mut wire = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    client.say_raw(&wire).unwrap();
    assert_eq!(client.hear().unwrap().code, 250);
}

/// What came without the trace field that we put on top.
fn without_trace(data: &[u8]) -> &[u8] {
    assert!(data.starts_with(b"Received: from "));
    let lines = data.split_inclusive(|byte| *byte == b'\n');
    let folded = lines.skip(1).take_while(|line| line.starts_with(b" ") || line.starts_with(b"\t"));
    let first = data.split_inclusive(|byte| *byte == b'\n').next().unwrap().len();
    &data[first + folded.map(<[u8]>::len).sum::<usize>()..]
}

/// How a host comes to be as it is.
type Make = fn(&Host);

/// Far sides that can less, and how they come to be so. The sink itself tells on whatever was not offered.
const POOR: &[(&str, Make)] = &[
    ("no EHLO", Host::no_ehlo),
    ("no PIPELINING", |host| host.without("PIPELINING")),
    ("no SIZE", |host| host.without("SIZE")),
    ("no 8BITMIME", |host| host.without("8BITMIME")),
    ("no extension", |host| {
        for word in ["PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"] {
            host.without(word);
        }
    }),
    ("a banner of many lines", |host| host.banner("220-good.test\n220-\n220 ESMTP")),
    ("a refused RSET", |host| host.reply_to("RSET", "502 5.5.1 what")),
];

#[test]
fn a_host_that_can_less_gets_its_mail() {
    let house = House::started();
    for (n, (what, make)) in POOR.iter().enumerate() {
        let sink = house.good(&format!("d{n}.test"));
        make(&sink);
        for count in 1..=2 {
            let to = [format!("b@d{n}.test"), format!("c@d{n}.test")];
            house.submit("a@b.test", &[&to[0], &to[1]], HELLO).unwrap();
            let messages = sink.wait_for(count, SOON);
            assert_eq!(messages[count - 1].forward_paths, to, "{what}");
            assert_eq!(messages[0].helo, "relay.test");
            let size =
                messages[count - 1].params.iter().any(|p| *p == format!("SIZE={}", messages[0].data.len()));
            assert_eq!(size, !matches!(*what, "no EHLO" | "no SIZE" | "no extension"), "{what}");
            assert!(!messages[0].params.iter().any(|p| p.starts_with("BODY=")), "{what}");
        }
    }
    wait_empty(&house);
}

#[test]
fn a_message_that_a_host_cannot_take_is_not_sent_to_it() {
    let house = House::started();
    let sender = house.good("sender.test");
    let small = house.good("small.test");
    small.size(1000);
    let seven = house.good("seven.test");
    seven.without("8BITMIME");
    let large = format!("Subject: x\r\n\r\n{}", "y".repeat(78) + "\r\n").repeat(20);
    submit_raw(&house, "MAIL FROM:<a@sender.test>", "b@small.test", large.as_bytes());
    let eight = "Subject: x\r\n\r\nB\u{fc}cher\r\n".as_bytes();
    submit_raw(&house, "MAIL FROM:<a@sender.test> BODY=8BITMIME", "b@seven.test", eight);
    let bounces = sender.wait_for(2, SOON);
    for (status, about) in [("5.3.4", "b@small.test"), ("5.6.3", "b@seven.test")] {
        let bounce = bounces.iter().find(|bounce| bounce.text().contains(about)).unwrap().text();
        assert!(bounce.contains(&format!("Status: {status}")), "{bounce}");
        // The host said no such thing, so it is not quoted as if it had.
        assert!(bounce.contains("Diagnostic-Code: x-sendoff;"), "{bounce}");
    }
    assert_eq!((small.count(), seven.count()), (0, 0));
}

#[test]
fn eight_bit_mail_is_declared_and_unchanged() {
    let house = House::started();
    let (able, poor) = (house.good("able.test"), house.good("poor.test"));
    poor.without("8BITMIME");
    let eight = "Subject: x\r\n\r\nB\u{fc}cher\r\n".as_bytes();
    submit_raw(&house, "MAIL FROM:<a@b.test> BODY=8BITMIME", "b@able.test", eight);
    let message = able.wait_for(1, SOON).remove(0);
    assert!(message.params.contains(&"BODY=8BITMIME".to_string()), "{message:?}");
    assert_eq!(without_trace(&message.data), eight);
    // Declared, and with nothing in it that needs it.
    submit_raw(&house, "MAIL FROM:<a@b.test> BODY=8BITMIME", "b@poor.test", b"Subject: x\r\n\r\nx\r\n");
    poor.wait_for(1, SOON);
}

/// Messages that a careless sender would change.
fn odd_messages() -> Vec<Vec<u8>> {
    let texts = [
        ".\r\n",
        "..\r\n.a\r\n...\r\n",
        "Subject: x\r\n\r\n.\r\n..\r\nMAIL FROM:<a@b.test>\r\n.",
        "Subject: x\r\n\r\n\r\n\r\n\r\n",
        "Subject: x\r\n",
        "",
        "\r\n.QUIT\r\n",
        "no header at all\r\n\tnor here\r\n",
        "Subject: trailing \r\n\r\nspaces   \r\n\ttabs\t\r\n",
        "Subject: a\0b\r\n\r\n\x01\x7f\r\n",
    ];
    let end = |text: &str| if text.is_empty() || text.ends_with("\r\n") { "" } else { "\r\n" };
    let mut all: Vec<Vec<u8>> = texts.map(|text| format!("{text}{}", end(text)).into_bytes()).to_vec();
    all.push(format!("Subject: x\r\n\r\n{}\r\n.\r\n", "z".repeat(5000)).into_bytes());
    all
}

#[test]
fn every_octet_arrives_as_it_came() {
    let house = House::started();
    let sink = house.good("good.test");
    let messages = odd_messages();
    for message in &messages {
        submit_raw(&house, "MAIL FROM:<a@b.test>", "b@good.test", message);
    }
    let came = sink.wait_for(messages.len(), SOON);
    for message in &messages {
        let shown = String::from_utf8_lossy(message);
        let same = |came: &crate::peer::Message| without_trace(&came.data) == *message;
        assert!(
            came.iter().any(same),
            "{shown:?} is not among {:?}",
            came.iter().map(|m| m.text()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_large_message_arrives_octet_for_octet() {
    let house = House::new().set("timeouts.block", "10s").set("timeouts.dot", "10s").start();
    let sink = house.good("good.test");
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    let (mut line, mut state) = (0_usize, 1_u32);
    while message.len() < 5 << 20 {
        // Lines of every length, many of which begin with a dot.
        line += 1;
        for n in 0..line % 200 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let letter = b'a' + u8::try_from((state >> 24) % 26).unwrap();
            message.push(if n < line % 3 { b'.' } else { letter });
        }
        message.extend_from_slice(b"\r\n");
    }
    submit_raw(&house, "MAIL FROM:<a@b.test>", "b@good.test", &message);
    // A restart in between: it comes from the disk, not from memory.
    sink.wait_for(1, SOON);
    sink.reply_next("MAIL", "451 4.7.1 later");
    submit_raw(&house, "MAIL FROM:<a@b.test>", "b@good.test", &message);
    wait_last(&house, "b@good.test", "later");
    house.restart();
    let came = sink.wait_for(2, SOON);
    assert!(came.iter().all(|came| without_trace(&came.data) == message));
    wait_empty(&house);
    let files = std::fs::read_dir(house.spool().join("body")).map_or(0, Iterator::count);
    assert_eq!(files, 0, "bodies of delivered messages are left");
}

#[test]
fn the_recipients_of_a_destination_share_a_transaction() {
    let house = House::started();
    let (x, y) = (house.good("x.test"), house.good("y.test"));
    let to = ["1@x.test", "1@y.test", "2@x.test", "2@y.test", "3@x.test"];
    house.submit("a@b.test", &to, HELLO).unwrap();
    assert_eq!(x.wait_for(1, SOON)[0].forward_paths, ["1@x.test", "2@x.test", "3@x.test"]);
    assert_eq!(y.wait_for(1, SOON)[0].forward_paths, ["1@y.test", "2@y.test"]);
    wait_empty(&house);
    assert_eq!((x.count(), y.count()), (1, 1));
}

#[test]
fn what_a_host_wants_no_more_of_follows_in_the_next_transaction() {
    for (recipients, most, pipelining) in [(250, 100, true), (70, 30, true), (70, 30, false), (5, 1, true)] {
        let house = House::started();
        let sink = house.good("good.test");
        sink.max_rcpt(most);
        if !pipelining {
            sink.without("PIPELINING");
        }
        let to: Vec<String> = (0..recipients).map(|n| format!("u{n:03}@good.test")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        house.submit("a@b.test", &to, HELLO).unwrap();
        let transactions = usize::div_ceil(recipients, most);
        let messages = sink.wait_for(transactions, SOON);
        assert_eq!(messages.iter().map(|m| m.forward_paths.len()).max(), Some(most));
        let mut got: Vec<_> = messages.iter().flat_map(|m| m.forward_paths.clone()).collect();
        got.sort();
        assert_eq!(got, to);
        assert_eq!(sink.opened(), 1, "all of it was one attempt over one connection");
        wait_empty(&house);
    }
}

#[test]
fn each_recipient_has_a_fate_of_its_own() {
    for pipelining in [true, false] {
        let house = House::new().set("retry.delays", "[\"300ms\"]").start();
        let (sink, sender) = (house.good("x.test"), house.good("sender.test"));
        if !pipelining {
            sink.without("PIPELINING");
        }
        sink.reject_rcpt("never@x.test", "550 5.1.1 who?");
        sink.reject_rcpt("later@x.test", "450 4.2.1 later");
        let to = ["good@x.test", "never@x.test", "later@x.test", "too@x.test"];
        house.submit("a@sender.test", &to, HELLO).unwrap();
        assert_eq!(sink.wait_for(1, SOON)[0].forward_paths, ["good@x.test", "too@x.test"]);
        let bounce = sender.wait_for(1, SOON)[0].text();
        assert!(bounce.contains("never@x.test") && !bounce.contains("later@x.test"), "{bounce}");
        wait_last(&house, "later@x.test", "450 4.2.1 later");
        wait_until("one recipient left", SOON, || recipients(&house).len() == 1);
        sink.heal();
        assert_eq!(sink.wait_for(2, SOON)[1].forward_paths, ["later@x.test"]);
        wait_empty(&house);
        assert_eq!((sink.count(), sender.count()), (2, 1));
    }
}

/// Where the whole message is refused, and with what.
const REFUSED: &[(&str, &str, &str)] = &[
    ("MAIL", "550 5.7.1 not you", "5.7.1"),
    ("RCPT", "550 5.1.1 who?", "5.1.1"),
    ("DATA", "554 5.7.1 no", "5.7.1"),
    (".", "554 no status of its own", "5.0.0"),
    (".", "552-5.7.0 several\n552 5.7.0 lines", "5.7.0"),
];

#[test]
fn a_refused_message_bounces_and_leaves_the_session_good() {
    for pipelining in [true, false] {
        let house = House::new()
            .set("delivery.connections_per_destination", 1)
            .set("delivery.workers", 64)
            .set("timeouts.idle", "8s")
            .set("timeouts.session", "60s")
            .start();
        for (n, (verb, reply, status)) in REFUSED.iter().enumerate() {
            let (sink, sender) = (house.good(&format!("x{n}.test")), house.good(&format!("sender{n}.test")));
            if !pipelining {
                sink.without("PIPELINING");
            }
            sink.reply_next(verb, reply);
            let (from, to) = (format!("a@sender{n}.test"), format!("b@x{n}.test"));
            house.submit(&from, &[&to], HELLO).unwrap();
            let bounce = sender.wait_for(1, SOON)[0].text();
            assert!(bounce.contains(&format!("Status: {status}\r\n")), "{bounce}");
            assert!(bounce.contains("Diagnostic-Code: smtp;"), "{bounce}");
            house.submit(&from, &[&to], HELLO).unwrap();
            sink.wait_for(1, SOON);
            assert_eq!(sink.opened(), 1, "{verb} {reply}");
        }
        wait_empty(&house);
    }
}

#[test]
fn messages_follow_each_other_over_one_connection() {
    let house = House::new()
        .set("delivery.connections_per_destination", 1)
        .set("delivery.messages_per_connection", 10)
        .set("timeouts.idle", "8s")
        .set("timeouts.session", "60s")
        .start();
    let sink = house.good("good.test");
    for n in 0..20 {
        house.submit("a@b.test", &[&format!("u{n}@good.test")], HELLO).unwrap();
    }
    let messages = sink.wait_for(20, SOON);
    for connection in [1, 2] {
        assert_eq!(messages.iter().filter(|message| message.connection == connection).count(), 10);
    }
    assert_eq!(sink.most_at_once(), 1);
}

#[test]
fn an_address_arrives_as_it_was_given() {
    let house = House::started();
    let sink = house.good("x.test");
    for (given, arrives) in [
        ("\"a b\"@x.test", "\"a b\"@x.test"),
        ("\"a>b\"@x.test", "\"a>b\"@x.test"),
        ("\"a\\\"b\"@x.test", "\"a\\\"b\"@x.test"),
        ("CaSe+tag=1@x.test", "CaSe+tag=1@x.test"),
        ("!#$%&'*+-/=?^_`{|}~@x.test", "!#$%&'*+-/=?^_`{|}~@x.test"),
        // A source route is taken, and not followed (RFC 5321, appendix C).
        ("@one.test,@two.test:b@x.test", "b@x.test"),
    ] {
        let before = sink.count();
        house.submit(given, &[given], HELLO).unwrap();
        let message = sink.wait_for(before + 1, SOON).remove(before);
        assert_eq!((message.reverse_path.as_str(), &message.forward_paths[0][..]), (arrives, arrives));
    }
}
