//! Ways in which a host misbehaves, and places of the conversation where it does: the two tables whose product is the
//! seed of this relay. Exchange's Internet Mail Service (1999) lost a count, a socket and the outbound mail to one cell of
//! it, (banner, silent). Here every cell is a script.

use crate::client::Client;
use crate::house::House;
use crate::peer::Host;
use crate::wait::{SOON, wait_until};
use serde_json::Value;
use std::net::IpAddr;

/// A place in the conversation.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The word of the log and of the session table.
    pub word: &'static str,
    /// What the operator reads.
    pub words: &'static str,
    /// What the host says and hears on the way, lines divided by `;`.
    lead: &'static str,
    /// The code of the reply that is due there.
    code: u16,
}

macro_rules! lead {
    (banner) => {
        ""
    };
    (ehlo) => {
        "say 220 hi;hear EHLO;"
    };
    (mail) => {
        concat!(lead!(ehlo), "say 250 hi;hear MAIL;")
    };
    (rcpt) => {
        concat!(lead!(mail), "say 250 ok;hear RCPT;")
    };
    (data) => {
        concat!(lead!(rcpt), "say 250 ok;hear DATA;")
    };
    (body) => {
        concat!(lead!(data), "say 354 go on;")
    };
    (dot) => {
        concat!(lead!(body), "hear-data;")
    };
    (rset) => {
        concat!(lead!(rcpt), "say 550 5.1.1 who?;hear RSET;")
    };
    (quit) => {
        concat!(lead!(dot), "say 250 taken;hear QUIT;")
    };
}

const fn place(word: &'static str, words: &'static str, lead: &'static str, code: u16) -> Place {
    Place { word, words, lead, code }
}

pub const BANNER: Place = place("banner", "waiting for the banner", lead!(banner), 220);
pub const EHLO: Place = place("ehlo", "waiting for the reply to EHLO", lead!(ehlo), 250);
pub const MAIL: Place = place("mail", "waiting for the reply to MAIL FROM", lead!(mail), 250);
pub const RCPT: Place = place("rcpt", "waiting for the reply to RCPT TO", lead!(rcpt), 250);
pub const DATA: Place = place("data", "waiting for the reply to DATA", lead!(data), 354);
pub const BODY: Place = place("body", "sending the message", lead!(body), 0);
pub const DOT: Place = place("dot", "waiting for the reply to the end of the message", lead!(dot), 250);
pub const RSET: Place = place("rset", "waiting for the reply to RSET", lead!(rset), 250);
pub const QUIT: Place = place("quit", "waiting for the reply to QUIT", lead!(quit), 221);

/// Where a reply is due.
pub const PLACES: [Place; 7] = [BANNER, EHLO, MAIL, RCPT, DATA, DOT, QUIT];

/// A way to misbehave.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub name: &'static str,
    /// Steps, with CODE for the code that is due.
    steps: &'static str,
    /// What the operator reads; several where the kernel decides which.
    pub said: &'static [&'static str],
    /// It goes on until the relay ends it by its deadline.
    pub lasting: bool,
    /// The host itself ends the connection.
    pub leaves: bool,
}

const LIMIT: &[&str] = &["timed out (time limit of the phase)"];

/// Ways to answer, or not, where a reply is due.
pub const WAYS: [Way; 6] = [
    Way { name: "silent", steps: "silence", said: LIMIT, lasting: true, leaves: false },
    Way {
        name: "drips",
        steps: "say-raw \"CODE \";label drip;pause 50ms;say-raw \"x\";repeat-from drip",
        said: LIMIT,
        lasting: true,
        leaves: false,
    },
    Way {
        name: "drips-lines",
        steps: "drip-forever 50ms CODE-more",
        said: LIMIT,
        lasting: true,
        leaves: false,
    },
    Way {
        name: "endless",
        steps: "endless CODE-more",
        said: &["sent a reply of more than 128 lines"],
        lasting: false,
        leaves: false,
    },
    Way {
        name: "closes",
        steps: "close",
        said: &["connection closed by the other side"],
        lasting: false,
        leaves: true,
    },
    Way {
        name: "resets",
        steps: "reset",
        said: &["connection reset by the other side"],
        lasting: false,
        leaves: true,
    },
];

/// Ways not to take a body that is larger than every buffer on its way. A host that leaves with unread octets resets.
pub const BODY_WAYS: [Way; 4] = [
    Way { name: "deaf", steps: "silence", said: LIMIT, lasting: true, leaves: false },
    Way { name: "talks", steps: "endless 250-more", said: LIMIT, lasting: true, leaves: false },
    Way {
        name: "closes",
        steps: "hear-bytes 100000;close",
        said: &["connection closed by the other side", "connection reset by the other side"],
        lasting: false,
        leaves: true,
    },
    Way {
        name: "resets",
        steps: "hear-bytes 100000;reset",
        said: &["connection closed by the other side", "connection reset by the other side"],
        lasting: false,
        leaves: true,
    },
];

/// Slowly enough to be below a data rate, and never late with a block.
pub const SLOW_WAYS: [Way; 1] = [Way {
    // 4 MB a second, in steps well within the limit of a block.
    name: "slow",
    steps: "label read;hear-bytes 131072;pause 30ms;repeat-from read",
    said: &["timed out (minimum data rate)"],
    lasting: true,
    leaves: false,
}];

/// Ways to say what is no reply.
pub const NONSENSE: [Way; 5] = [
    nonsense(
        "http",
        "say-raw \"HTTP/1.1 400 Bad Request\\r\\n\\r\\n\\x00\\xff\";mute",
        &["sent not an SMTP reply: \"HTTP/1.1 400"],
    ),
    nonsense("binary", "say-raw \"\\x16\\x03\\x01\\x00\\n\";mute", &["sent not an SMTP reply: \"????\""]),
    nonsense(
        "two-codes",
        "say-raw \"220-a\\r\\n554 b\\r\\n\";mute",
        &["sent one reply with two codes, 220 and 554"],
    ),
    // In pieces, since a step is a line.
    nonsense(
        "long-line",
        "label more;say-raw \"220 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\";repeat-from more",
        &["a line of more than 2048 octets"],
    ),
    nonsense("code-of-none", "say 199 low;mute", &["sent not an SMTP reply: \"199 low\""]),
];

const fn nonsense(name: &'static str, steps: &'static str, said: &'static [&'static str]) -> Way {
    Way { name, steps, said, lasting: false, leaves: false }
}

/// A way to be late with every reply, and with none too late.
pub const LATE_WAYS: [Way; 1] = [Way {
    name: "late",
    steps: "label next;pause 50ms;say CODE ok;hear RCPT;repeat-from next",
    said: &["timed out (time limit of the session)"],
    lasting: true,
    leaves: false,
}];

impl Place {
    /// The script of a host that misbehaves so, here.
    pub fn script(&self, way: &Way) -> String {
        let steps = way.steps.replace("CODE", &self.code.to_string());
        format!("{}{steps}", self.lead).replace(';', "\n")
    }
}

/// Submits messages with the subjects `0..count` for `to`, on one connection.
#[track_caller]
pub fn send(house: &House, to: &str, count: usize) {
    send_text(house, &[to.to_string()], count, "hello\n");
}

/// As `send`, with this text, and each message for all of `to`.
#[track_caller]
pub fn send_text(house: &House, to: &[String], count: usize, text: &str) {
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    for n in 0..count {
        client.send("a@client.test", &to, &format!("Subject: {n}\n\n{text}")).unwrap();
    }
    client.ask("QUIT").unwrap();
}

/// A text of that many octets, larger than what the sockets on the way hold.
pub fn large(octets: usize) -> String {
    let line = format!("{}\n", "x".repeat(899));
    line.repeat(octets / line.len())
}

/// The messages `0..count` are at the host, each exactly once.
#[track_caller]
pub fn each_once(host: &Host, count: usize, who: &str) {
    let messages = host.wait_for(count, SOON);
    let mut subjects: Vec<_> = messages.iter().map(|message| message.header("subject").unwrap()).collect();
    subjects.sort_by_key(|subject| subject.parse::<usize>().unwrap());
    assert_eq!(subjects, (0..count).map(|n| n.to_string()).collect::<Vec<_>>(), "{who}");
}

/// Waits until no slot is taken and no session stands in the table.
#[track_caller]
pub fn wait_quiet(house: &House) {
    wait_until("an empty ledger and session table", SOON, || {
        let table = house.connections();
        let quiet = table["slots"] == 0 && table["connections"] == Value::Array(Vec::new());
        quiet.then_some(()).ok_or_else(|| table.to_string())
    });
}

/// The queued recipients of a destination. Each says where it stands, always.
#[track_caller]
pub fn queued(house: &House, destination: &str) -> Vec<Value> {
    let queue = house.queue();
    let messages = queue["queue"].as_array().unwrap().clone();
    let recipients = messages.iter().flat_map(|message| message["recipients"].as_array().unwrap().clone());
    let recipients: Vec<Value> =
        recipients.filter(|recipient| recipient["destination"] == destination).collect();
    for recipient in &recipients {
        let said = |key: &str| recipient[key].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("state") && said("why"), "{recipient}");
    }
    recipients
}

/// A failure, as the queue shows it.
#[derive(Debug)]
pub struct Last {
    pub phase: String,
    pub host: Option<String>,
    pub text: String,
}

/// Waits until a message for `domain` has failed, and gives the last failures of all that have.
#[track_caller]
pub fn wait_failed(house: &House, domain: &str) -> Vec<Last> {
    wait_until(&format!("a failure of {domain}"), SOON, || {
        let recipients = queued(house, domain);
        let word = |last: &Value, key: &str| last[key].as_str().map(str::to_string);
        let tried = recipients.iter().map(|recipient| &recipient["last"]).filter(|last| !last.is_null());
        let lasts = tried.map(|last| Last {
            phase: word(last, "phase").unwrap_or_default(),
            host: word(last, "host"),
            text: word(last, "text").unwrap_or_default(),
        });
        let lasts: Vec<Last> = lasts.collect();
        if lasts.is_empty() { Err(format!("{recipients:?}")) } else { Ok(lasts) }
    })
}

impl Last {
    /// The failure names the one MX of `domain` and its address.
    #[track_caller]
    pub fn names(&self, domain: &str, address: IpAddr) {
        let host = format!("mx.{domain}[{address}]");
        assert_eq!(self.host.as_deref(), Some(host.as_str()));
        assert!(self.text.starts_with(&host), "{self:?}");
    }
}

/// The watchdog is for the defect nobody thought of: that it acted is one. So is a panic.
#[track_caller]
pub fn no_defect(house: &House) {
    let log = house.log();
    for word in ["cut by the watchdog", "panicked", "ERROR"] {
        let line = log.lines().find(|line| line.contains(word));
        assert_eq!(line, None);
    }
}
