//! The nameserver: port 53 of the namespace, over UDP and TCP, answering by the rule of the places.
//!
//! Every domain has one MX, and that one has one address; everything else is NODATA or NXDOMAIN, with a SOA so that it can be
//! cached. It never waits, and never drops a question it can read.

use crate::places::address;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// Where it listens.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Seconds an answer may be kept: longer than a run.
const TTL: u32 = 3600;

const A: u16 = 1;
const MX: u16 = 15;
const AAAA: u16 = 28;
const SOA: u16 = 6;

/// Starts it, for as long as the program lives.
pub fn start() -> std::io::Result<()> {
    let place = SocketAddr::from((ADDRESS, 53));
    let udp = UdpSocket::bind(place)?;
    let tcp = TcpListener::bind(place)?;
    std::thread::spawn(move || over_udp(&udp));
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            std::thread::spawn(move || over_tcp(stream));
        }
    });
    Ok(())
}

fn over_udp(socket: &UdpSocket) {
    let mut question = [0; 4096];
    loop {
        // An error here is an ICMP message about a client that has gone.
        let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
        if let Some(answer) = answer(&question[..length]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}

fn over_tcp(mut stream: TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut question).ok()?;
        let answer = answer(&question)?;
        let mut framed = u16::try_from(answer.len()).ok()?.to_be_bytes().to_vec();
        framed.extend(answer);
        stream.write_all(&framed).ok()?;
    }
}

/// The answer to one question (RFC 1035, 4.1); `None` when it is no question.
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = name(message.get(12..)?)?;
    let end = 12 + end;
    let kind = u16::from_be_bytes(message.get(end..end + 2)?.try_into().ok()?);
    let question = message.get(12..end + 4)?;
    let known = address(&name);
    let data = match (kind, known) {
        // The MX of a name is that name with "mx." before it: a pointer to the question says the rest.
        (MX, Some(_)) if !name.starts_with("mx.") => Some(vec![0, 10, 2, b'm', b'x', 0xc0, 12]),
        (A, Some(IpAddr::V4(v4))) => Some(v4.octets().to_vec()),
        (AAAA, Some(IpAddr::V6(v6))) => Some(v6.octets().to_vec()),
        _ => None,
    };
    let found = u8::from(data.is_some());
    let mut out = message[..2].to_vec();
    // A recursive answer (QR, AA, RD, RA); NXDOMAIN for names that are nobody's.
    out.extend([0x85, if known.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, found, 0, 1 - found, 0, 0]);
    out.extend(question);
    match data {
        Some(data) => record(&mut out, &[0xc0, 12], kind, &data)?,
        None => {
            let mut soa = vec![0, 0];
            [1, 3600, 600, 86_400, TTL].iter().for_each(|n: &u32| soa.extend(n.to_be_bytes()));
            record(&mut out, b"\x04test\0", SOA, &soa)?;
        }
    }
    Some(out)
}

fn record(out: &mut Vec<u8>, owner: &[u8], kind: u16, data: &[u8]) -> Option<()> {
    out.extend(owner);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(TTL.to_be_bytes());
    out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    out.extend(data);
    Some(())
}

/// The name of a question, and where it ends. Questions have no pointers.
fn name(bytes: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 0);
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), at));
        }
        let label = bytes.get(at..at + length).filter(|_| length < 64)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
}
