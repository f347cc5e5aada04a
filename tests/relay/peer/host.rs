//! What a good SMTP host does when told to be less good, and what it remembers.
//!
//! A `Host` has no socket: `conversation` speaks for it on a connection, so that a `Sink` can be one from the start and a
//! `Script` can become one when it recovers. Everything can be changed while connections are open; it holds from the
//! next command on.

use crate::wait::wait_until;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A message that was answered 250 after its final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Between the angle brackets; empty for a bounce.
    pub reverse_path: String,
    /// The ESMTP parameters of MAIL, as sent.
    pub params: Vec<String>,
    /// The accepted forward-paths, in order.
    pub forward_paths: Vec<String>,
    /// The bytes of DATA without the final dot, with doubled dots undone.
    pub data: Arc<Vec<u8>>,
    /// When its final dot was answered.
    pub at: Instant,
    /// The number of the connection at this host, from 1.
    pub connection: usize,
    /// What the relay said in EHLO or HELO.
    pub helo: String,
}

impl Message {
    /// The data as text, for looking into.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The first header field of this name, unfolded; none past the empty line.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let head = head.replace("\r\n\t", " ");
        head.split("\r\n").find_map(|field| {
            let (key, value) = field.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_string())
        })
    }
}

/// How the host behaves now.
#[derive(Debug, Clone)]
pub(super) struct Manners {
    pub banner: String,
    pub keywords: Vec<String>,
    pub size: usize,
    pub ehlo: bool,
    pub max_rcpt: usize,
    pub refused: HashMap<String, String>,
    pub always: HashMap<String, String>,
    pub next: HashMap<String, VecDeque<String>>,
    pub delays: HashMap<String, Duration>,
}

impl Default for Manners {
    fn default() -> Manners {
        let keywords = ["PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES"];
        Manners {
            banner: "220 good.test ESMTP".to_string(),
            keywords: keywords.map(str::to_string).to_vec(),
            size: 100 << 20,
            ehlo: true,
            max_rcpt: 100,
            refused: HashMap::new(),
            always: HashMap::new(),
            next: HashMap::new(),
            delays: HashMap::new(),
        }
    }
}

/// A good host, and its book of messages.
#[derive(Debug, Default)]
pub struct Host {
    manners: Mutex<Manners>,
    messages: Mutex<Vec<Message>>,
    violations: Mutex<Vec<String>>,
}

impl Host {
    /// Answers RCPT for this address (in any case of letters) with `reply`.
    pub fn reject_rcpt(&self, address: &str, reply: &str) {
        self.with(|m| m.refused.insert(address.to_lowercase(), reply.to_string()));
    }

    /// Answers every `verb` with `reply` from now on; `.` is the final dot, where the message is then not kept. A
    /// reply of several lines has a line feed between them. After a 421 the connection is closed.
    pub fn reply_to(&self, verb: &str, reply: &str) {
        self.with(|m| m.always.insert(verb.to_string(), reply.to_string()));
    }

    /// Answers the next `verb` with `reply`, once. Several of these queue up.
    pub fn reply_next(&self, verb: &str, reply: &str) {
        self.with(|m| {
            let queue = m.next.entry(verb.to_string()).or_default();
            queue.push_back(reply.to_string());
        });
    }

    /// Answers `verb` that much later; `.` is the final dot, `BANNER` the banner.
    pub fn delay(&self, verb: &str, span: Duration) {
        self.with(|m| m.delays.insert(verb.to_string(), span));
    }

    /// Answers RCPT with 452 once a transaction has this many forward-paths; 100 unless told.
    pub fn max_rcpt(&self, count: usize) {
        self.with(|m| m.max_rcpt = count);
    }

    /// An old host: 502 to EHLO, HELO only.
    pub fn no_ehlo(&self) {
        self.with(|m| m.ehlo = false);
    }

    /// Does not offer this EHLO keyword.
    pub fn without(&self, keyword: &str) {
        self.with(|m| m.keywords.retain(|word| word != keyword));
    }

    /// Offers one more EHLO keyword; its commands are still unknown here.
    pub fn offer(&self, keyword: &str) {
        self.with(|m| m.keywords.push(keyword.to_string()));
    }

    /// Takes messages up to this many bytes, and says so in EHLO unless `without("SIZE")`.
    pub fn size(&self, bytes: usize) {
        self.with(|m| m.size = bytes);
    }

    /// The whole banner, as `220 name text`. After one that is no 220, only QUIT is answered well.
    pub fn banner(&self, reply: &str) {
        self.with(|m| m.banner = reply.to_string());
    }

    /// Good again: every option is back at its start. What was received stays.
    pub fn heal(&self) {
        self.with(|m| *m = Manners::default());
    }

    /// All messages so far, in the order of their final dots.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().clone()
    }

    /// How many messages so far.
    pub fn count(&self) -> usize {
        self.messages.lock().len()
    }

    /// Waits until at least `count` messages are here and gives all that are.
    #[track_caller]
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<Message> {
        wait_until(&format!("{count} messages"), limit, || {
            let here = self.count();
            (here >= count)
                .then_some(())
                .ok_or_else(|| format!("{here} messages, violations: {:?}", self.violations.lock()))
        });
        self.messages()
    }

    /// What the relay did that SMTP forbids, so far; and forgets it. A host that is dropped with some left panics.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut *self.violations.lock())
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Manners) -> T) -> T {
        change(&mut self.manners.lock())
    }

    pub(super) fn keep(&self, message: Message) {
        self.messages.lock().push(message);
    }

    pub(super) fn violation(&self, connection: usize, what: String) {
        let what = format!("connection {connection}: {what}");
        self.violations.lock().push(what);
    }

    /// The verdict of a peer that is dropped: nobody has to remember to look for violations.
    #[track_caller]
    pub(super) fn verdict(&self) {
        let violations = self.take_violations();
        if !violations.is_empty() && !std::thread::panicking() {
            panic!("the relay broke the protocol: {violations:#?}");
        }
    }
}
