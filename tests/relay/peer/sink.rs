//! A good SMTP host on a socket: takes every message and keeps it.
//!
//! All options and all memory are the `Host`'s, to which a sink dereferences. Dropping a sink that saw the relay break
//! the protocol panics, unless the test took the violations to look at them.

use super::conversation;
use super::door::{Counts, Door, Peer};
use super::host::Host;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

/// A good host, listening.
#[derive(Debug)]
pub struct Sink {
    door: Door,
    host: Arc<Host>,
}

impl Sink {
    /// Listens at `addr`.
    pub fn start(addr: SocketAddr) -> Sink {
        let host = Arc::new(Host::default());
        let door = {
            let host = host.clone();
            Door::open(addr, move |guest| conversation::serve(&host, guest))
        };
        Sink { door, host }
    }
}

impl Deref for Sink {
    type Target = Host;
    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Peer for Sink {
    fn addr(&self) -> SocketAddr {
        self.door.addr()
    }
    fn counts(&self) -> Counts {
        self.door.counts()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.host.verdict();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, Refused, Reply};
    use crate::street::Street;
    use crate::wait::SOON;

    fn sink() -> Sink {
        Sink::start(Street::new().addr())
    }

    fn send(sink: &Sink, to: &[&str], body: &str) -> Result<Reply, Refused> {
        let mut client = Client::greet(sink.addr())?;
        let reply = client.send("a@client.test", to, body)?;
        client.ask("QUIT")?;
        Ok(reply)
    }

    #[test]
    fn a_message_is_kept_as_it_was() {
        let sink = sink();
        send(&sink, &["b@good.test", "c@good.test"], "Subject: a\n b\n\n.dot\n").unwrap();
        let message = sink.wait_for(1, SOON).remove(0);
        assert_eq!(message.reverse_path, "a@client.test");
        assert_eq!(message.forward_paths, ["b@good.test", "c@good.test"]);
        assert_eq!(message.text(), "Subject: a\r\n b\r\n\r\n.dot\r\n");
        assert_eq!(message.header("subject").unwrap(), "a b");
        assert_eq!((message.helo.as_str(), message.connection), ("client.test", 1));
        sink.wait_alone(SOON);
        assert_eq!((sink.opened(), sink.closed_by_peer()), (1, 1));
    }

    #[test]
    fn it_offers_as_told() {
        let sink = sink();
        sink.size(7);
        sink.without("8BITMIME");
        let offered = || {
            let mut client = Client::connect(sink.addr()).unwrap();
            client.hear().unwrap();
            client.ask("EHLO client.test").unwrap().lines
        };
        assert_eq!(offered(), ["good.test", "PIPELINING", "SIZE 7", "ENHANCEDSTATUSCODES"]);
        for word in ["PIPELINING", "SIZE", "ENHANCEDSTATUSCODES"] {
            sink.without(word);
        }
        assert_eq!(offered(), ["good.test"]);
    }

    #[test]
    fn it_refuses_as_told() {
        let sink = sink();
        let code = |to: &[&str]| send(&sink, to, "x\n").map_or_else(|e| e.code(), |r| r.code);
        sink.reject_rcpt("b@good.test", "550 5.1.1 who?");
        assert_eq!(code(&["B@good.test"]), 550);
        sink.max_rcpt(1);
        assert_eq!(code(&["c@good.test", "d@good.test"]), 452);
        sink.reply_next("MAIL", "451 4.7.1 later");
        assert_eq!(code(&["c@good.test"]), 451);
        sink.reply_to(".", "421 4.3.2 going down");
        assert_eq!(code(&["c@good.test"]), 421);
        sink.heal();
        sink.size(0);
        assert_eq!(code(&["c@good.test"]), 552);
        sink.heal();
        sink.no_ehlo();
        assert_eq!(code(&["c@good.test"]), 502);
        sink.heal();
        assert_eq!(code(&["c@good.test"]), 250);
        assert_eq!(sink.count(), 1);
    }

    #[test]
    fn it_tells_on_whoever_breaks_the_protocol() {
        let sink = sink();
        let tried = |bytes: &[u8], replies: usize| {
            let mut client = Client::greet(sink.addr()).unwrap();
            client.say_raw(bytes).unwrap();
            let last = (0..replies).map(|_| client.hear().unwrap()).last();
            (last.unwrap().code, sink.take_violations().join("; "))
        };
        let head = "MAIL FROM:<>\r\nRCPT TO:<b@good.test>\r\nDATA\r\n";
        assert_eq!(tried(head.as_bytes(), 3), (354, String::new()));

        let (code, why) = tried(format!("{head}a\nb\r\n.\r\n").as_bytes(), 4);
        assert!(code == 554 && why.contains("bare CR or LF"), "{code} {why}");
        assert!(why.contains("must end its group"), "{why}");
        let (code, why) = tried(b"RSET\n", 1);
        assert!(code == 500 && why.contains("bare LF"), "{code} {why}");
        let (code, why) = tried(&[b'x'; 600], 1);
        assert!(code == 500 && why.contains("over 512"), "{code} {why}");
        sink.without("PIPELINING");
        let (_, why) = tried(b"RSET\r\nRSET\r\n", 2);
        assert!(why.contains("not offered"), "{why}");
    }

    #[test]
    #[should_panic(expected = "broke the protocol")]
    fn a_violation_nobody_looked_at_is_a_failure() {
        let sink = sink();
        let mut client = Client::greet(sink.addr()).unwrap();
        client.say_raw(b"NOOP\n").unwrap();
        client.hear().unwrap();
    }
}
