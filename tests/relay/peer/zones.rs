//! What a nameserver knows, and what it answers: pure, without a socket.
//!
//! A misbehaviour ("mood") belongs to a name, and `*` to all names that have none of their own; it goes before the
//! records of the name, which stay as they are.

use super::dns::{self, Answer, Question, Record};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How far a chain of CNAMEs is followed; a loop ends there, with the chain as the answer.
const CHAIN: usize = 8;

/// A query that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In lower case, without a dot at the end.
    pub name: String,
    /// `MX`, `A`, …, or `TYPE99`.
    pub kind: String,
    pub over_tcp: bool,
    pub at: Instant,
}

/// How a name misbehaves.
#[derive(Debug, Clone)]
pub(super) enum Mood {
    Nxdomain,
    Servfail,
    Silent,
    Truncate,
    Drip(Duration),
    Garbage(Vec<u8>),
    Late(Duration),
}

/// All names.
#[derive(Debug)]
pub(super) struct Zones {
    pub records: HashMap<String, Vec<Record>>,
    /// The names above those that have records: they exist, with nothing of their own (RFC 8020).
    parents: HashSet<String>,
    pub moods: HashMap<String, Mood>,
    pub ttl: u32,
    pub queries: Vec<Query>,
}

/// What to do with a query.
pub(super) enum Verdict {
    Send(Vec<u8>),
    SendLate(Vec<u8>, Duration),
    /// A byte at a time.
    Drip(Vec<u8>, Duration),
    Nothing,
}

impl Default for Zones {
    fn default() -> Zones {
        Zones {
            records: HashMap::new(),
            parents: HashSet::new(),
            moods: HashMap::new(),
            ttl: 1,
            queries: Vec::new(),
        }
    }
}

impl Zones {
    /// Adds a record, and the names above it.
    pub fn add(&mut self, owner: String, kind: u16, rdata: Vec<u8>) {
        let mut rest = owner.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            self.parents.insert(parent.to_string());
            rest = parent;
        }
        let record = Record { owner: owner.clone(), kind, ttl: self.ttl, rdata };
        self.records.entry(owner).or_default().push(record);
    }

    /// What to do with a message that came, which is written down when it is a query.
    pub fn verdict(&mut self, message: &[u8], over_tcp: bool) -> Verdict {
        let Some(question) = Question::parse(message) else {
            return Verdict::Nothing;
        };
        self.queries.push(Query {
            name: question.name.clone(),
            kind: dns::type_name(question.kind),
            over_tcp,
            at: Instant::now(),
        });
        let mood = self.moods.get(&question.name);
        let mut answer = match mood.or_else(|| self.moods.get("*")) {
            Some(Mood::Silent) => return Verdict::Nothing,
            Some(Mood::Garbage(bytes)) => {
                return Verdict::Send([&question.id[..], bytes].concat());
            }
            Some(Mood::Late(span)) => {
                let truth = self.truth(&question).to_bytes(&question);
                return Verdict::SendLate(truth, *span);
            }
            Some(Mood::Servfail) => Answer { rcode: dns::SERVFAIL, ..Answer::default() },
            Some(Mood::Nxdomain) => self.nothing(&question.name, dns::NXDOMAIN),
            Some(Mood::Drip(gap)) if over_tcp => {
                let truth = self.truth(&question).to_bytes(&question);
                return Verdict::Drip(truth, *gap);
            }
            Some(Mood::Truncate | Mood::Drip(_)) => Answer { truncated: !over_tcp, ..self.truth(&question) },
            None => self.truth(&question),
        };
        if !over_tcp && answer.to_bytes(&question).len() > question.udp_size() {
            answer.truncated = true;
        }
        if answer.truncated {
            answer.records.clear();
            answer.authority.clear();
        }
        Verdict::Send(answer.to_bytes(&question))
    }

    fn truth(&self, question: &Question) -> Answer {
        let mut records: Vec<Record> = Vec::new();
        let mut name = question.name.clone();
        for _ in 0..CHAIN {
            let Some(own) = self.records.get(&name) else {
                let exists = self.parents.contains(&name);
                let rcode = if exists { dns::NOERROR } else { dns::NXDOMAIN };
                return Answer { records, ..self.nothing(&name, rcode) };
            };
            let asked = own.iter().filter(|record| record.kind == question.kind);
            let before = records.len();
            records.extend(asked.cloned());
            if records.len() > before {
                break;
            }
            let Some(cname) = own.iter().find(|record| record.kind == dns::CNAME) else {
                return Answer { records, ..self.nothing(&name, dns::NOERROR) };
            };
            records.push(cname.clone());
            name = target(&cname.rdata);
        }
        Answer { records, ..Answer::default() }
    }

    fn nothing(&self, name: &str, rcode: u8) -> Answer {
        let zone = name.rsplit('.').next().unwrap_or("");
        Answer {
            rcode,
            authority: vec![Record {
                owner: zone.to_string(),
                kind: dns::SOA,
                ttl: self.ttl,
                rdata: dns::soa(self.ttl),
            }],
            ..Answer::default()
        }
    }
}

/// The name in the data of a CNAME that `dns::name` wrote.
fn target(mut rdata: &[u8]) -> String {
    let mut labels = Vec::new();
    while let Some((&length @ 1.., rest)) = rdata.split_first() {
        let (label, rest) = rest.split_at(usize::from(length));
        labels.push(String::from_utf8_lossy(label).into_owned());
        rdata = rest;
    }
    labels.join(".")
}

/// How a name is kept: in lower case, without a dot at the end.
pub(super) fn key(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
