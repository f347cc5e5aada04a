//! DNS messages: a question becomes octets, octets become what they say about it (RFC 1035, 4; RFC 6891 for EDNS).
//!
//! Pure. Any octets give a value or an error, never a panic; what an answer holds is bounded ([`MOST_ADDRESSES`],
//! [`MOST_EXCHANGERS`]), whatever its size.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, ToName};
use domain::rdata::{A, Aaaa, Cname, Mx, Ptr, Soa};

/// A name on the wire; compared and hashed without regard to case.
pub(super) type Name = domain::base::Name<Vec<u8>>;

/// The most addresses kept of one answer.
const MOST_ADDRESSES: usize = 32;
/// The most MX records kept of one answer, the most preferred first.
const MOST_EXCHANGERS: usize = 64;
/// The most aliases followed from one name (within an answer, and across answers).
pub(super) const MOST_ALIASES: usize = 8;
/// The payload we say we take: fits every path without fragments (DNS Flag Day 2020).
const PAYLOAD: u16 = 1232;
/// How long "there is none" is believed when the answer has no SOA to say so; RFC 2308, 5 would not keep it at all,
/// and then a queue of mail would ask for every message.
const NO_SOA: Duration = Duration::from_secs(5);

/// The type of record that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// IPv4 addresses (RFC 1035, 3.4.1).
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
    /// Mail exchangers (RFC 1035, 3.3.9).
    Mx,
    /// The names of an address (RFC 1035, 3.3.12): for `check --world`; mail does not ask for them.
    Ptr,
}

impl Kind {
    fn rtype(self) -> Rtype {
        match self {
            Kind::A => Rtype::A,
            Kind::Aaaa => Rtype::AAAA,
            Kind::Mx => Rtype::MX,
            Kind::Ptr => Rtype::PTR,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
            Kind::Ptr => "PTR",
        })
    }
}

/// A record of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of A and AAAA.
    Address(IpAddr),
    /// Of PTR: a name, lower case, without its final dot.
    Name(String),
    /// Of MX. The host is lower case, without its final dot; the root is `.` (RFC 7505), and whatever is no host name
    /// has DNS escapes.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The exchanger's name.
        host: String,
    },
}

/// What is asked; also what answers are remembered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: Kind,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.name)
    }
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Records, at least one; exchangers by preference.
    Records(Arc<[Record]>),
    /// The name is an alias of this one, of which the answer says nothing.
    Alias(Name),
    /// The name exists, without records of this type (RFC 2308, 2.2).
    NoData,
    /// The name does not exist (RFC 2308, 2.1).
    NxDomain,
}

/// An answer, and how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) content: Content,
    pub(super) ttl: Duration,
}

/// Why octets are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not an answer to this question: another id, name or type. Over UDP, wait on: it may be forged.
    Foreign,
    /// It answers this question, but does not parse.
    Malformed,
    /// It did not fit: ask over TCP (RFC 7766, 5).
    Truncated,
    /// The server does not know EDNS: ask without (RFC 6891, 7).
    NoEdns,
    /// The server could not, or would not.
    Rcode(OptRcode),
    /// The aliases lead back, or on and on.
    Loop,
}

/// A question on the wire.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) octets: Vec<u8>,
    id: u16,
    edns: bool,
}

impl Query {
    /// The octets of `question` under `id`, with recursion desired.
    pub(super) fn new(question: &Question, id: u16, edns: bool) -> Option<Query> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((&question.name, question.kind.rtype())).ok()?;
        let mut builder = builder.additional();
        if edns {
            let size = |opt: &mut domain::base::message_builder::OptBuilder<'_, Vec<u8>>| {
                opt.set_udp_payload_size(PAYLOAD);
                Ok(())
            };
            builder.opt(size).ok()?;
        }
        Some(Query { octets: builder.finish(), id, edns })
    }

    /// What `octets` answer to it.
    ///
    /// # Errors
    /// [`Unusable`], which says what to do now.
    pub(super) fn read(&self, question: &Question, octets: &[u8]) -> Result<Reply, Unusable> {
        let message = Message::from_octets(octets).map_err(|_| Unusable::Foreign)?;
        let header = message.header();
        if header.id() != self.id || !header.qr() || header.opcode() != Opcode::QUERY {
            return Err(Unusable::Foreign);
        }
        let rcode = message.opt_rcode();
        let answered = matches!(rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN);
        // Some servers refuse without repeating the question; an answer without it could be anyone's.
        if answered || message.header_counts().qdcount() != 0 {
            let asked = message.sole_question().map_err(|_| Unusable::Foreign)?;
            let same = asked.qtype() == question.kind.rtype() && asked.qclass() == Class::IN;
            if !same || !asked.qname().name_eq(&question.name) {
                return Err(Unusable::Foreign);
            }
        }
        match rcode {
            OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS if self.edns => Err(Unusable::NoEdns),
            _ if !answered => Err(Unusable::Rcode(rcode)),
            _ if header.tc() => Err(Unusable::Truncated),
            _ => content(&message, question, rcode == OptRcode::NXDOMAIN),
        }
    }
}

impl From<ParseError> for Unusable {
    fn from(_: ParseError) -> Unusable {
        Unusable::Malformed
    }
}

/// Follows the aliases of the answer section from the question's name to its records, or to where they end.
fn content(message: &Message<&[u8]>, question: &Question, nx: bool) -> Result<Reply, Unusable> {
    let mut at = question.name.clone();
    let mut passed = Vec::new();
    let mut ttl = Duration::MAX;
    loop {
        let step = step(message, &at, question.kind)?;
        ttl = ttl.min(step.ttl);
        if !step.records.is_empty() {
            return Ok(Reply { content: Content::Records(step.records.into()), ttl });
        }
        let Some(next) = step.alias else { break };
        passed.push(at);
        if passed.len() > MOST_ALIASES || passed.contains(&next) {
            return Err(Unusable::Loop);
        }
        at = next;
    }
    let negative = negative_ttl(message)?;
    let ttl = ttl.min(negative.unwrap_or(NO_SOA));
    Ok(match (nx, negative, passed.is_empty()) {
        (true, ..) => Reply { content: Content::NxDomain, ttl },
        // An SOA says that the server looked to the end of the chain; without it, the end must be asked for.
        (false, None, false) => Reply { content: Content::Alias(at), ttl },
        (false, ..) => Reply { content: Content::NoData, ttl },
    })
}

/// What the answer section has for one name.
struct Step {
    records: Vec<Record>,
    alias: Option<Name>,
    ttl: Duration,
}

fn step(message: &Message<&[u8]>, at: &Name, kind: Kind) -> Result<Step, Unusable> {
    let (mut records, mut alias, mut ttl) = (Vec::new(), None, Duration::MAX);
    for record in message.answer()? {
        let record = record?;
        if record.class() != Class::IN || !record.owner().name_eq(at) {
            continue;
        }
        let found = match kind {
            _ if record.rtype() == Rtype::CNAME => {
                alias = record.to_record::<Cname<_>>()?.map(|record| record.data().cname().to_vec());
                None
            }
            Kind::A => record.to_record::<A>()?.map(|record| Record::Address(record.data().addr().into())),
            Kind::Aaaa => {
                record.to_record::<Aaaa>()?.map(|record| Record::Address(record.data().addr().into()))
            }
            Kind::Mx => record.to_record::<Mx<_>>()?.map(|record| Record::Mx {
                preference: record.data().preference(),
                host: text(&record.data().exchange().to_vec()),
            }),
            Kind::Ptr => record
                .to_record::<Ptr<_>>()?
                .map(|record| Record::Name(text(&record.data().ptrdname().to_vec()))),
        };
        if found.is_some() || record.rtype() == Rtype::CNAME {
            ttl = ttl.min(seconds(record.ttl().as_secs()));
        }
        records.extend(found);
    }
    records.sort_by_key(|record| match record {
        Record::Mx { preference, .. } => *preference,
        Record::Address(_) | Record::Name(_) => 0,
    });
    records.truncate(if kind == Kind::Mx { MOST_EXCHANGERS } else { MOST_ADDRESSES });
    Ok(Step { records, alias, ttl })
}

/// How long "there is none" holds: the lesser of the SOA's TTL and its minimum (RFC 2308, 5).
fn negative_ttl(message: &Message<&[u8]>) -> Result<Option<Duration>, Unusable> {
    for record in message.authority()? {
        if let Some(record) = record?.to_record::<Soa<_>>()? {
            let least = record.ttl().as_secs().min(record.data().minimum().as_secs());
            return Ok(Some(seconds(least)));
        }
    }
    Ok(None)
}

/// A TTL; one with its highest bit set reads as zero (RFC 2181, 8).
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > u32::MAX >> 1 { 0 } else { u64::from(ttl) })
}

fn text(name: &Name) -> String {
    if name.is_root() { ".".to_owned() } else { name.to_string().to_ascii_lowercase() }
}

#[cfg(test)]
mod tests;
