//! No open relay: every trick by which strangers have made relays carry their mail is refused.
//!
//! The client stands at an address that may not relay; the same words from one that may are the proof that the trick is
//! well said, where it is mail at all.

use crate::client::Client;
use crate::guarded::{SecureClient, guarded};
use crate::house::House;
use crate::street::next_ip;
use crate::wait::SOON;
use std::net::IpAddr;

/// Names by which a client may hope to pass for somebody of the house.
const GREETINGS: [&str; 6] = [
    "EHLO client.test",
    "EHLO relay.test",
    "HELO localhost",
    "EHLO [127.0.0.1]",
    "HELO [IPv6:::1]",
    "EHLO far.test",
];

/// Reverse-paths, likewise.
const SENDERS: [&str; 9] = [
    "<a@sender.test>",
    "<>",
    "<postmaster@relay.test>",
    "<ann@relay.test>",
    "<a@localhost>",
    "<a@[127.0.0.1]>",
    "<@relay.test:a@sender.test>",
    "<a@far.test> AUTH=<>",
    "<a@far.test> AUTH=ann@relay.test",
];

/// Forward-paths, with their brackets.
const TRICKS: [&[u8]; 54] = [
    // Plainly.
    b"<victim@far.test>",
    b"<victim@FAR.TEST>",
    b"<victim@far.test.>",
    b"<victim@relay.test>",
    b"<victim@localhost>",
    b"<victim@sender.test>",
    b"<postmaster>",
    b"<postmaster@relay.test>",
    b"<abuse@relay.test>",
    b"<victim>",
    b"<>",
    // The percent hack.
    b"<victim%far.test@relay.test>",
    b"<victim%far.test@[127.0.0.1]>",
    b"<victim%far.test@localhost>",
    b"<victim%far.test%relay.test@relay.test>",
    b"<victim%far.test>",
    b"<victim%far.test@>",
    // Bang paths.
    b"<far.test!victim>",
    b"<far.test!victim@relay.test>",
    b"<relay.test!far.test!victim>",
    b"<far.test!victim@[127.0.0.1]>",
    // Both at once.
    b"<far.test!victim%far.test@relay.test>",
    // Quoted local parts.
    b"<\"victim@far.test\">",
    b"<\"victim@far.test\"@relay.test>",
    b"<\"victim%far.test\"@relay.test>",
    b"<\"far.test!victim\"@relay.test>",
    b"<\"victim\\@far.test\"@relay.test>",
    b"<\"victim@far.test>\"@relay.test>",
    b"<\"victim\"@far.test>",
    b"<victim@far.test \"@relay.test>",
    // Source routes.
    b"<@relay.test:victim@far.test>",
    b"<@relay.test,@localhost:victim@far.test>",
    b"<@[127.0.0.1]:victim@far.test>",
    b"<@far.test:victim@relay.test>",
    b"<@relay.test:victim%far.test@relay.test>",
    b"<@relay.test:@far.test:victim@far.test>",
    // Two domains.
    b"<victim@far.test@relay.test>",
    b"<victim@relay.test@far.test>",
    b"<victim@far.test@>",
    b"<@victim@far.test>",
    // Literals: the far host's own, ours, ours in other words, and none.
    b"<victim@[192.0.2.9]>",
    b"<victim@[127.0.0.1]>",
    b"<victim@[IPv6:::1]>",
    b"<victim@[IPv6:::ffff:127.0.0.1]>",
    b"<victim@[far.test]>",
    b"<victim@127.0.0.1>",
    b"<victim@2130706433>",
    // Upper bits: read as seven bits, these are addresses.
    b"<victim\xc0far.test>",
    b"<\xf6\xe9\xe3\xf4\xe9\xed\xc0\xe6\xe1\xf2\xae\xf4\xe5\xf3\xf4>",
    b"<victim@\xe6\xe1\xf2.test>",
    b"\xbcvictim@far.test\xbe",
    // White space, and no brackets.
    b"<victim @far.test>",
    b"victim@far.test",
    b"<relay.test:victim@far.test>",
];

fn connect(house: &House, from: IpAddr) -> Client {
    let mut client = Client::connect_from(from, house.smtp_addr()).unwrap();
    assert_eq!(client.hear().unwrap().code, 220);
    client
}

fn raw(client: &mut Client, words: &[&[u8]]) -> u16 {
    client.say_raw(&[words.concat().as_slice(), b"\r\n"].concat()).unwrap();
    client.hear().unwrap().code
}

/// Every trick, from one who may not relay: refused, each of them for good, and no data is taken.
#[test]
fn every_trick_is_refused() {
    let friend = IpAddr::from(next_ip());
    let house = House::new().set("listen.relay_from", format!("[\"{friend}\"]")).start();
    let sink = house.good("far.test");
    let stranger = IpAddr::from([127, 0, 0, 2]);
    for (n, trick) in TRICKS.iter().enumerate() {
        let words = String::from_utf8_lossy(trick);
        // Each sender and each greeting meets many of the tricks, and the plain one meets all of them.
        for sender in [SENDERS[0], SENDERS[1 + n % (SENDERS.len() - 1)]] {
            let mut client = connect(&house, stranger);
            assert_eq!(client.ask(GREETINGS[n % GREETINGS.len()]).unwrap().code, 250);
            assert_eq!(client.ask(&format!("MAIL FROM:{sender}")).unwrap().code, 250, "{sender}");
            let code = raw(&mut client, &[b"RCPT TO:", trick]);
            assert!((500..600).contains(&code), "{words} from {sender}: {code}");
            assert_eq!(client.ask("DATA").unwrap().code, 554, "{words} from {sender}");
        }
    }
    for sender in SENDERS {
        let mut client = connect(&house, stranger);
        client.ask("EHLO relay.test").unwrap();
        assert_eq!(client.ask(&format!("MAIL FROM:{sender}")).unwrap().code, 250, "{sender}");
        let reply = client.ask("RCPT TO:<victim@far.test>").unwrap();
        assert!(reply.code == 550 && reply.text().starts_with("5.7.1"), "{sender}: {reply}");
    }
    assert_eq!(house.queue()["messages"], 0);
    // The tricks are well said: who may relay is believed, and what he says goes to the host he names.
    let mut client = connect(&house, friend);
    client.ask("EHLO client.test").unwrap();
    for trick in [TRICKS[0], TRICKS[30]] {
        assert_eq!(client.ask("MAIL FROM:<a@sender.test>").unwrap().code, 250);
        assert_eq!(raw(&mut client, &[b"RCPT TO:", trick]), 250);
        assert_eq!(client.ask("DATA").unwrap().code, 354);
        assert_eq!(client.ask("Subject: x\r\n\r\nx\r\n.").unwrap().code, 250);
    }
    let messages = sink.wait_for(2, SOON);
    assert!(messages.iter().all(|message| message.forward_paths == ["victim@far.test"]));
    assert_eq!(sink.count(), 2);
}

/// Words by which a client claims to be at another address, or to be let in without asking.
const CLAIMS: [&str; 8] = [
    "XCLIENT ADDR=127.0.0.1",
    "XFORWARD ADDR=127.0.0.1",
    "PROXY TCP4 127.0.0.1 127.0.0.1 25 25",
    "AUTH PLAIN AGFubgBzZXNhbWU=",
    "AUTH EXTERNAL =",
    "ETRN far.test",
    "TURN",
    "STARTTLS",
];

#[test]
fn nobody_talks_himself_in() {
    let friend = IpAddr::from(next_ip());
    let house = House::new().set("listen.relay_from", format!("[\"{friend}\"]")).start();
    for claim in CLAIMS {
        let mut client = connect(&house, [127, 0, 0, 2].into());
        client.ask("EHLO client.test").unwrap();
        let code = client.ask(claim).unwrap().code;
        assert!((500..600).contains(&code), "{claim}: {code}");
        client.ask("MAIL FROM:<a@sender.test>").unwrap();
        assert_eq!(client.ask("RCPT TO:<victim@far.test>").unwrap().code, 550, "{claim}");
    }
    // In one transaction with somebody else's words: a recipient that was refused is not let in by the next group.
    let mut client = connect(&house, [127, 0, 0, 2].into());
    let group = "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@far.test>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<b@far.test>\r\nDATA\r\n";
    client.say_raw(group.as_bytes()).unwrap();
    let codes: Vec<_> = (0..7).map(|_| client.hear().unwrap().code).collect();
    assert_eq!(codes, [250, 250, 550, 250, 250, 550, 554]);
    assert_eq!(house.queue()["messages"], 0);
}

/// TLS alone lets nobody in, nor does a password that is wrong, nor one that was said before TLS.
#[test]
fn a_locked_house_is_opened_by_a_password_alone() {
    let (house, root) = guarded();
    let house = house.start();
    let sink = house.good("far.test");
    let mut client = SecureClient::connect(&house, &root);
    client.dialogue(&[("EHLO client.test", 250), ("MAIL FROM:<ann@relay.test>", 250)]);
    for trick in TRICKS.iter().filter_map(|trick| std::str::from_utf8(trick).ok()).take(15) {
        let code = client.ask(&format!("RCPT TO:{trick}")).code;
        assert!([530, 501].contains(&code), "{trick}: {code}");
    }
    let mut client = SecureClient::connect(&house, &root);
    client.dialogue(&[
        ("EHLO client.test", 250),
        // "ann", "Sesame".
        ("AUTH PLAIN AGFubgBTZXNhbWU=", 535),
        ("MAIL FROM:<ann@relay.test>", 250),
        ("RCPT TO:<victim@far.test>", 530),
        ("RSET", 250),
        ("AUTH PLAIN AGFubgBzZXNhbWU=", 235),
        ("MAIL FROM:<anybody@anywhere.test>", 250),
        ("RCPT TO:<friend@far.test>", 250),
        ("DATA", 354),
        ("Subject: x\r\n\r\nx\r\n.", 250),
        ("QUIT", 221),
    ]);
    assert_eq!(sink.wait_for(1, SOON)[0].forward_paths, ["friend@far.test"]);
    assert_eq!(sink.count(), 1);
}
