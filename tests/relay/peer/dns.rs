//! DNS messages, as far as a small nameserver needs them (RFC 1035, 4.1; EDNS, RFC 6891).
//!
//! Written by hand on purpose: the relay reads messages with a library, and a peer that wrote them with the same one
//! could not notice a misunderstanding. Names are never compressed in answers.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
pub const MX: u16 = 15;
pub const AAAA: u16 = 28;
const OPT: u16 = 41;

pub const NOERROR: u8 = 0;
pub const SERVFAIL: u8 = 2;
pub const NXDOMAIN: u8 = 3;

/// The record type in letters, or its number.
pub fn type_name(kind: u16) -> String {
    let known =
        [(A, "A"), (CNAME, "CNAME"), (SOA, "SOA"), (MX, "MX"), (AAAA, "AAAA"), (16, "TXT"), (52, "TLSA")];
    let found = known.iter().find(|(number, _)| *number == kind);
    found.map_or_else(|| format!("TYPE{kind}"), |(_, name)| (*name).to_string())
}

/// A question, as it came.
#[derive(Debug, Clone)]
pub struct Question {
    pub id: [u8; 2],
    /// In lower case, without a dot at the end; empty for the root.
    pub name: String,
    pub kind: u16,
    recursion: bool,
    /// Name, type and class as sent: the case of its letters is echoed.
    raw: Vec<u8>,
    /// The UDP size of its OPT record, when it has one.
    edns: Option<u16>,
}

impl Question {
    /// Reads a query with one question; none for anything else.
    pub fn parse(message: &[u8]) -> Option<Question> {
        let short = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let is_query = message.get(2)? & 0xf8 == 0;
        if !is_query || short(4)? != 1 {
            return None;
        }
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = message.get(at..at + length)?;
            labels.push(String::from_utf8_lossy(label).to_lowercase());
            at += length;
        }
        let end = at + 4;
        // An OPT record has the root as its name, and the size in the place of the class.
        let has_opt = short(10)? > 0 && message.get(end) == Some(&0) && short(end + 1) == Some(OPT);
        Some(Question {
            id: [message[0], message[1]],
            name: labels.join("."),
            kind: short(at)?,
            recursion: message[2] & 1 != 0,
            raw: message.get(12..end)?.to_vec(),
            edns: if has_opt { short(end + 3) } else { None },
        })
    }

    /// How long an answer over UDP may be.
    pub fn udp_size(&self) -> usize {
        usize::from(self.edns.unwrap_or(512).max(512))
    }
}

/// A resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub owner: String,
    pub kind: u16,
    pub ttl: u32,
    pub rdata: Vec<u8>,
}

/// An answer to be written.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub rcode: u8,
    pub truncated: bool,
    pub records: Vec<Record>,
    pub authority: Vec<Record>,
}

impl Answer {
    /// The message. It is an answer of a recursive resolver: RA, not AA.
    pub fn to_bytes(&self, question: &Question) -> Vec<u8> {
        let mut out = question.id.to_vec();
        let (qr, tc, ra) = (0x80, 0x02, 0x80);
        out.push(qr | if self.truncated { tc } else { 0 } | u8::from(question.recursion));
        out.push(ra | self.rcode);
        let additional = usize::from(question.edns.is_some());
        for count in [1, self.records.len(), self.authority.len(), additional] {
            out.extend(u16::try_from(count).unwrap().to_be_bytes());
        }
        out.extend(&question.raw);
        for record in self.records.iter().chain(&self.authority) {
            out.extend(name(&record.owner));
            out.extend(record.kind.to_be_bytes());
            out.extend(1_u16.to_be_bytes());
            out.extend(record.ttl.to_be_bytes());
            out.extend(u16::try_from(record.rdata.len()).unwrap().to_be_bytes());
            out.extend(&record.rdata);
        }
        if question.edns.is_some() {
            out.push(0);
            out.extend(OPT.to_be_bytes());
            out.extend(1232_u16.to_be_bytes());
            out.extend([0; 6]);
        }
        out
    }
}

/// A name on the wire; the root for an empty one or a dot.
pub fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut out: Vec<u8> =
        labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    out.push(0);
    out
}

/// The data of an MX record.
pub fn mx(preference: u16, exchange: &str) -> Vec<u8> {
    [&preference.to_be_bytes()[..], &name(exchange)].concat()
}

/// The data of an A record.
pub fn a(ip: Ipv4Addr) -> Vec<u8> {
    ip.octets().to_vec()
}

/// The data of an AAAA record.
pub fn aaaa(ip: Ipv6Addr) -> Vec<u8> {
    ip.octets().to_vec()
}

/// The data of a SOA record whose minimum, the time a negative answer may be kept (RFC 2308, 4), is given.
pub fn soa(minimum: u32) -> Vec<u8> {
    let mut out = [name("ns.test"), name("hostmaster.test")].concat();
    for number in [1, 3600, 600, 86400, minimum] {
        out.extend(number.to_be_bytes());
    }
    out
}

#[test]
fn a_question_is_read_and_answered() {
    // id, RD, one question, one additional; "Mx.test" MX IN; OPT 1232.
    let query = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x02Mx\x04test\0\0\x0f\0\x01\
                  \0\0\x29\x04\xd0\0\0\0\0\0\0";
    let question = Question::parse(query).unwrap();
    assert_eq!((question.name.as_str(), question.kind), ("mx.test", MX));
    assert_eq!(question.udp_size(), 1232);
    let answer = Answer {
        records: vec![Record { owner: "mx.test".to_string(), kind: MX, ttl: 7, rdata: mx(10, "a.b") }],
        ..Answer::default()
    };
    let bytes = answer.to_bytes(&question);
    let expected = b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\x01\x02Mx\x04test\0\0\x0f\0\x01\
        \x02mx\x04test\0\0\x0f\0\x01\0\0\0\x07\0\x07\0\x0a\x01a\x01b\0\
        \0\0\x29\x04\xd0\0\0\0\0\0\0";
    assert_eq!(bytes, expected);
    assert!(Question::parse(&query[..20]).is_none());
    assert!(Question::parse(&bytes).is_none(), "an answer is no question");
}
