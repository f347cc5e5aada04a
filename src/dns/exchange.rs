//! One question to one server: over UDP, over TCP when the answer did not fit, without EDNS when the server does not know
//! it. Over by its deadline, whatever the server does.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ring::rand::{SecureRandom, SystemRandom};

use super::message::{Query, Question, Reply, Unusable};
use crate::net::{Stream, StreamError};
use crate::time::{Deadline, clock};

/// The largest UDP answer taken; more than we say we take, for servers that do not listen.
const DATAGRAM: usize = 4096;

/// Why a server gave no answer. `Display` continues "nameserver 192.0.2.1:53 ...".
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing that counts came before the deadline.
    Silent,
    /// The system could not carry the question.
    Io(io::Error),
    /// It closed the TCP connection in the middle.
    Closed,
    /// It answered, and this is why the answer is of no use.
    Answered(Unusable),
}

impl Trouble {
    /// Whether the server itself is in trouble, rather than the zone it was asked about: then the others are asked
    /// before it for a while. SERVFAIL is the zone's more often than not, and a dead zone must not reorder servers.
    pub(super) fn is_the_servers(&self) -> bool {
        use domain::base::iana::OptRcode;
        match self {
            Trouble::Silent | Trouble::Io(_) | Trouble::Closed => true,
            Trouble::Answered(unusable) => *unusable == Unusable::Rcode(OptRcode::REFUSED),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Silent => f.write_str("did not answer"),
            Trouble::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused => f.write_str("refused the connection"),
                ErrorKind::NetworkUnreachable => f.write_str("is unreachable (no route to its network)"),
                ErrorKind::HostUnreachable => f.write_str("is unreachable"),
                _ => write!(f, "could not be asked ({error})"),
            },
            Trouble::Closed => f.write_str("closed the connection before it answered"),
            Trouble::Answered(unusable) => match unusable {
                Unusable::Rcode(rcode) => write!(f, "said {rcode}"),
                Unusable::Loop => f.write_str("gave aliases (CNAME) that lead nowhere"),
                Unusable::Truncated => f.write_str("gave an answer that is cut short"),
                Unusable::Foreign => f.write_str("answered another question"),
                Unusable::Malformed | Unusable::NoEdns => f.write_str("gave a malformed answer"),
            },
        }
    }
}

impl From<Unusable> for Trouble {
    fn from(unusable: Unusable) -> Trouble {
        Trouble::Answered(unusable)
    }
}

impl From<StreamError> for Trouble {
    fn from(error: StreamError) -> Trouble {
        match error {
            StreamError::Expired(_) => Trouble::Silent,
            StreamError::Closed => Trouble::Closed,
            StreamError::Io(error) => Trouble::Io(error),
        }
    }
}

/// Asks `server`.
///
/// # Errors
/// [`Trouble`], by the end of the deadline.
pub(super) fn ask(server: SocketAddr, question: &Question, deadline: Deadline) -> Result<Reply, Trouble> {
    match ask_with(server, question, true, deadline) {
        Err(Trouble::Answered(Unusable::NoEdns)) => ask_with(server, question, false, deadline),
        other => other,
    }
}

fn ask_with(
    server: SocketAddr,
    question: &Question,
    edns: bool,
    deadline: Deadline,
) -> Result<Reply, Trouble> {
    let query = Query::new(question, id()?, edns).ok_or(Unusable::Malformed)?;
    match over_udp(server, &query, question, deadline) {
        Err(Trouble::Answered(Unusable::Truncated)) => over_tcp(server, &query, question, deadline),
        other => other,
    }
}

/// A random id: with the kernel's random port, what an off-path forger has to guess (RFC 5452, 9.2).
fn id() -> Result<u16, Trouble> {
    let mut id = [0; 2];
    SystemRandom::new().fill(&mut id).map_err(|_| Trouble::Io(io::Error::other("no random numbers")))?;
    Ok(u16::from_be_bytes(id))
}

fn over_udp(
    server: SocketAddr,
    query: &Query,
    question: &Question,
    deadline: Deadline,
) -> Result<Reply, Trouble> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    // A socket of its own for each question: its port is random anew, and nobody else's late answers arrive here.
    let socket = UdpSocket::bind(any).map_err(Trouble::Io)?;
    // Connected, so that only this server's packets arrive, and its "port unreachable" does too.
    socket.connect(server).map_err(Trouble::Io)?;
    socket.send(&query.octets).map_err(Trouble::Io)?;
    let mut octets = vec![0; DATAGRAM];
    loop {
        let remaining = deadline.remaining(clock::now()).map_err(|_| Trouble::Silent)?;
        socket.set_read_timeout(Some(remaining.get())).map_err(Trouble::Io)?;
        match socket.recv(&mut octets) {
            Ok(length) => match query.read(question, octets.get(..length).unwrap_or_default()) {
                // Forged, or late from another time: the right one may still come.
                Err(Unusable::Foreign) => {}
                other => return other.map_err(Trouble::Answered),
            },
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Err(Trouble::Io(error)),
            },
        }
    }
}

/// Two octets of length, then the message (RFC 7766, 8).
fn over_tcp(
    server: SocketAddr,
    query: &Query,
    question: &Question,
    deadline: Deadline,
) -> Result<Reply, Trouble> {
    let mut stream = Stream::dial(server, deadline)?;
    let length = u16::try_from(query.octets.len()).map_err(|_| Unusable::Malformed)?;
    // In one write: some servers read one segment and no more.
    let framed = [&length.to_be_bytes()[..], &query.octets].concat();
    stream.write_all(&framed).map_err(StreamError::from)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).map_err(StreamError::from)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).map_err(StreamError::from)?;
    query.read(question, &octets).map_err(Trouble::Answered)
}
