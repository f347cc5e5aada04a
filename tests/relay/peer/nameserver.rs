//! A small real nameserver, over UDP and TCP, whose zones are data and may change while it runs.
//!
//! It answers as a recursive resolver does: it follows a CNAME within its own names, says NXDOMAIN for a name it has
//! never heard of and NODATA for one that has other types or names below it, each with a SOA. And it misbehaves by name:
//! SERVFAIL, silence, truncation, garbage, lateness. The name `*` misbehaves for all names.

use super::dns;
use super::door::{Counts, Door, End, Guest, Peer};
use super::zones::{Mood, Query, Verdict, Zones, key};
use crate::street::next_ip;
use crate::wait::pause;
use parking_lot::Mutex;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A nameserver at an address of its own.
#[derive(Debug)]
pub struct Nameserver {
    addr: SocketAddr,
    zones: Arc<Mutex<Zones>>,
    tcp: Door,
    stopping: Arc<AtomicBool>,
    udp: Option<std::thread::JoinHandle<()>>,
}

impl Nameserver {
    /// A server without names, at a fresh loopback address.
    pub fn start() -> Nameserver {
        let zones = Arc::new(Mutex::new(Zones::default()));
        // The address is ours alone, so the port that UDP was given is free for TCP as well.
        let socket = UdpSocket::bind(SocketAddr::from((next_ip(), 0))).unwrap();
        let addr = socket.local_addr().unwrap();
        let tcp = {
            let zones = zones.clone();
            Door::open(addr, move |guest| over_tcp(&zones, guest).unwrap_or_else(End::from))
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let udp = {
            let (zones, stopping) = (zones.clone(), stopping.clone());
            std::thread::spawn(move || over_udp(&zones, &socket, &stopping))
        };
        Nameserver { addr, zones, tcp, stopping, udp: Some(udp) }
    }

    /// Where it listens, over UDP and TCP.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Adds an MX record.
    pub fn mx(&self, name: &str, preference: u16, exchange: &str) {
        self.record(name, dns::MX, dns::mx(preference, exchange));
    }

    /// Adds the MX record of a domain that takes no mail (RFC 7505).
    pub fn null_mx(&self, name: &str) {
        self.mx(name, 0, ".");
    }

    /// Adds an A record.
    pub fn a(&self, name: &str, ip: Ipv4Addr) {
        self.record(name, dns::A, dns::a(ip));
    }

    /// Adds an AAAA record.
    pub fn aaaa(&self, name: &str, ip: Ipv6Addr) {
        self.record(name, dns::AAAA, dns::aaaa(ip));
    }

    /// Adds a CNAME record; any question for the name is answered with it and with what it leads to.
    pub fn cname(&self, name: &str, target: &str) {
        self.record(name, dns::CNAME, dns::name(&key(target)));
    }

    /// Adds a record of any type, its data as on the wire.
    pub fn record(&self, name: &str, kind: u16, rdata: Vec<u8>) {
        self.with(|zones| zones.add(key(name), kind, rdata));
    }

    /// Takes all records and every misbehaviour from a name.
    pub fn clear(&self, name: &str) {
        self.with(|zones| zones.records.remove(&key(name)));
        self.heal(name);
    }

    /// The TTL in seconds of the records added from now on, and of negative answers; 1 unless told.
    pub fn ttl(&self, seconds: u32) {
        self.with(|zones| zones.ttl = seconds);
    }

    /// Says NXDOMAIN, whatever records there are.
    pub fn nxdomain(&self, name: &str) {
        self.mood(name, Mood::Nxdomain);
    }

    /// Says SERVFAIL.
    pub fn servfail(&self, name: &str) {
        self.mood(name, Mood::Servfail);
    }

    /// Never answers.
    pub fn silent(&self, name: &str) {
        self.mood(name, Mood::Silent);
    }

    /// Answers over UDP with TC and nothing, and over TCP with the truth.
    pub fn truncate(&self, name: &str) {
        self.mood(name, Mood::Truncate);
    }

    /// Answers over UDP with TC and nothing, and over TCP with the truth, a byte at a time.
    pub fn drip(&self, name: &str, gap: Duration) {
        self.mood(name, Mood::Drip(gap));
    }

    /// Answers with the id of the question and then these bytes: without the id it would be no answer, but silence.
    pub fn garbage(&self, name: &str, bytes: &[u8]) {
        self.mood(name, Mood::Garbage(bytes.to_vec()));
    }

    /// Answers with the truth, that much later.
    pub fn late(&self, name: &str, span: Duration) {
        self.mood(name, Mood::Late(span));
    }

    /// The name no longer misbehaves.
    pub fn heal(&self, name: &str) {
        self.with(|zones| zones.moods.remove(&key(name)));
    }

    /// The connections of the TCP side.
    pub fn tcp(&self) -> Counts {
        self.tcp.counts()
    }

    /// All queries so far, answered or not.
    pub fn queries(&self) -> Vec<Query> {
        self.with(|zones| zones.queries.clone())
    }

    /// How often this was asked so far, over UDP and TCP: `asked("good.test", "MX")`.
    pub fn asked(&self, name: &str, kind: &str) -> usize {
        let name = key(name);
        self.with(|zones| {
            let same = |query: &&Query| query.name == name && query.kind == kind;
            zones.queries.iter().filter(same).count()
        })
    }

    fn mood(&self, name: &str, mood: Mood) {
        self.with(|zones| zones.moods.insert(key(name), mood));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Zones) -> T) -> T {
        change(&mut self.zones.lock())
    }
}

impl Drop for Nameserver {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the UDP thread, which otherwise waits for a query.
        if let Ok(socket) = UdpSocket::bind(SocketAddr::from((self.addr.ip(), 0))) {
            let _ = socket.send_to(b"", self.addr);
        }
        if let Some(udp) = self.udp.take() {
            let _ = udp.join();
        }
    }
}

fn over_udp(zones: &Mutex<Zones>, socket: &UdpSocket, stopping: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stopping.load(Ordering::Relaxed) {
        let (length, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let verdict = zones.lock().verdict(&buffer[..length], false);
        match verdict {
            Verdict::Nothing => {}
            Verdict::Send(answer) | Verdict::Drip(answer, _) => drop(socket.send_to(&answer, from)),
            Verdict::SendLate(answer, span) => {
                let socket = socket.try_clone().unwrap();
                std::thread::spawn(move || {
                    pause(span);
                    let _ = socket.send_to(&answer, from);
                });
            }
        }
    }
}

/// Each message has its length before it (RFC 1035, 4.2.2).
fn over_tcp(zones: &Mutex<Zones>, guest: &Guest) -> std::io::Result<End> {
    let mut stream = guest.stream();
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        let verdict = zones.lock().verdict(&message, true);
        let (answer, gap) = match verdict {
            Verdict::Nothing => continue,
            Verdict::Send(answer) => (answer, None),
            Verdict::Drip(answer, gap) => (answer, Some(gap)),
            Verdict::SendLate(answer, span) => {
                guest.wait_hang_up(Some(span));
                (answer, None)
            }
        };
        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
        let framed = [&length[..], &answer].concat();
        for piece in framed.chunks(gap.map_or(framed.len(), |_| 1)) {
            if gap.is_some_and(|gap| guest.wait_hang_up(Some(gap))) {
                return Ok(End::Theirs);
            }
            stream.write_all(piece)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dns::{Answer, Question, Record};
    use super::*;
    use std::net::TcpStream;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let head = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0";
        let tail = [&dns::name(name)[..], &kind.to_be_bytes(), &[0, 1]].concat();
        [&head[..], &tail].concat()
    }

    fn ask_udp(ns: &Nameserver, query: &[u8]) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind(SocketAddr::from((next_ip(), 0))).unwrap();
        let limit = Duration::from_millis(500);
        socket.set_read_timeout(Some(limit)).unwrap();
        socket.send_to(query, ns.addr()).unwrap();
        let mut answer = [0; 4096];
        let length = socket.recv(&mut answer).ok()?;
        Some(answer[..length].to_vec())
    }

    fn ask_tcp(ns: &Nameserver, query: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(ns.addr()).unwrap();
        let length = u16::try_from(query.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], query].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        answer
    }

    /// The answer to `query` with these records.
    fn expected(query: &[u8], rcode: u8, records: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
        let record = |(owner, kind, rdata): &(&str, u16, Vec<u8>)| Record {
            owner: (*owner).to_string(),
            kind: *kind,
            ttl: 1,
            rdata: rdata.clone(),
        };
        let soa = record(&("test", dns::SOA, dns::soa(1)));
        let found = records.iter().any(|(_, kind, _)| *kind != dns::CNAME);
        let answer = Answer {
            rcode,
            records: records.iter().map(record).collect(),
            authority: if found { Vec::new() } else { vec![soa] },
            ..Answer::default()
        };
        answer.to_bytes(&Question::parse(query).unwrap())
    }

    #[test]
    fn it_answers_with_the_truth() {
        let ns = Nameserver::start();
        let ip = Ipv4Addr::new(127, 1, 2, 3);
        ns.mx("Good.test.", 10, "mx.good.test");
        ns.a("mx.good.test", ip);
        ns.cname("alias.test", "mx.good.test");
        ns.a("deep.below.test", ip);
        let mx = (dns::MX, dns::mx(10, "mx.good.test"));
        let cname = ("alias.test", dns::CNAME, dns::name("mx.good.test"));
        let a = ("mx.good.test", dns::A, dns::a(ip));
        for (name, kind, rcode, records) in [
            ("GOOD.test", dns::MX, 0, vec![("good.test", mx.0, mx.1)]),
            ("alias.test", dns::A, 0, vec![cname.clone(), a]),
            ("alias.test", dns::MX, 0, vec![cname]),
            ("mx.good.test", dns::AAAA, 0, vec![]),
            ("below.test", dns::A, 0, vec![]),
            ("unknown.test", dns::A, dns::NXDOMAIN, vec![]),
        ] {
            let query = query(name, kind);
            let expected = expected(&query, rcode, &records);
            assert_eq!(ask_udp(&ns, &query).unwrap(), expected, "{name}");
            assert_eq!(ask_tcp(&ns, &query), expected, "{name}");
        }
        assert_eq!(ns.asked("good.test", "MX"), 2);
        assert!(!ns.queries()[0].over_tcp && ns.queries()[1].over_tcp);
    }

    #[test]
    fn it_misbehaves_as_told() {
        let ns = Nameserver::start();
        ns.a("a.test", Ipv4Addr::LOCALHOST);
        let query = query("a.test", dns::A);
        let truth = ask_tcp(&ns, &query);
        let flags = |answer: &[u8]| (answer[2] & 2 != 0, answer[3] & 15);
        ns.servfail("a.test");
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (false, dns::SERVFAIL));
        ns.nxdomain("*");
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (false, dns::SERVFAIL));
        ns.heal("a.test");
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (false, dns::NXDOMAIN));
        ns.truncate("a.test");
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (true, 0));
        assert_eq!(ask_tcp(&ns, &query), truth);
        ns.drip("a.test", Duration::from_millis(1));
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (true, 0));
        assert_eq!(ask_tcp(&ns, &query), truth);
        ns.garbage("a.test", b"rubbish");
        assert_eq!(ask_udp(&ns, &query).unwrap(), b"\x12\x34rubbish");
        ns.late("a.test", Duration::from_millis(20));
        assert_eq!(ask_udp(&ns, &query).unwrap(), truth);
        ns.silent("a.test");
        assert_eq!(ask_udp(&ns, &query), None);
        ns.clear("a.test");
        ns.heal("*");
        assert_eq!(flags(&ask_udp(&ns, &query).unwrap()), (false, dns::NXDOMAIN));
    }

    #[test]
    fn what_is_too_long_for_udp_is_truncated() {
        let ns = Nameserver::start();
        (0..50).for_each(|n| ns.mx("many.test", n, "mx.many.test"));
        let query = query("many.test", dns::MX);
        assert_eq!(ask_udp(&ns, &query).unwrap()[2] & 2, 2);
        assert!(ask_tcp(&ns, &query).len() > 512);
    }
}
