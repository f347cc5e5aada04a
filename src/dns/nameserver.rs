//! A small real nameserver on 127.0.0.1 for the tests, scripted by lines of text:
//!
//! ```text
//! example.org MX 10 mx.example.org     a record (A, AAAA, MX, CNAME), with a TTL of 300
//! slow.example !silent                 what is done instead of answering: silent, servfail, refused, truncate (over UDP),
//!                                      garbage, forge (wrong answers first), noedns, partial (CNAME only), mute-tcp
//! slow.example !silent-once            ... to the first question only
//! ```
//! A name without lines does not exist (its SOA says for 60 s); one without the type that is asked for has no data.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use domain::base::iana::{Rcode, Rtype};
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Serial, StaticCompressor, Ttl};
use domain::rdata::{A, Aaaa, Cname, Mx, Soa};
use parking_lot::Mutex;

use super::message::Name;

/// A running nameserver; stopped by Drop.
pub(super) struct Nameserver {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

struct State {
    lines: Vec<Vec<String>>,
    asked: Mutex<Vec<String>>,
    stop: AtomicBool,
}

type Builder = AnswerBuilder<StaticCompressor<Vec<u8>>>;

impl Nameserver {
    pub(super) fn start(script: &str) -> Nameserver {
        let lines = script.lines().map(|line| line.split_whitespace().map(str::to_owned).collect());
        let lines = lines.filter(|words: &Vec<String>| !words.is_empty()).collect();
        let state = Arc::new(State { lines, asked: Mutex::default(), stop: AtomicBool::new(false) });
        // The same port for both: another test may hold the TCP one, then the next is tried.
        let (udp, tcp) = std::iter::repeat_with(|| {
            let udp = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let tcp = TcpListener::bind(udp.local_addr().unwrap());
            tcp.ok().map(|tcp| (udp, tcp))
        })
        .flatten()
        .next()
        .unwrap();
        let address = udp.local_addr().unwrap();
        let (one, two) = (Arc::clone(&state), Arc::clone(&state));
        let threads =
            vec![thread::spawn(move || one.serve_udp(&udp)), thread::spawn(move || two.serve_tcp(&tcp))];
        Nameserver { address, state, threads }
    }

    /// The questions so far: `MX example.org`, with ` tcp` or ` plain` (no EDNS) where it was so.
    pub(super) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().clone()
    }
}

impl Drop for Nameserver {
    #[allow(clippy::disallowed_methods)] // Wakes the listener's accept.
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        let udp = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let _ = udp.and_then(|socket| socket.send_to(b"", self.address));
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl State {
    fn serve_udp(&self, socket: &UdpSocket) {
        let mut octets = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut octets) {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            for answer in self.answers(&octets[..length], false) {
                let _ = socket.send_to(&answer, from);
            }
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        // Kept open and silent, until the end.
        let mut mute = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut octets).unwrap();
            for answer in self.answers(&octets, true) {
                let _ = stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes());
                let _ = stream.write_all(&answer);
            }
            mute.push(stream);
        }
    }

    fn answers(&self, octets: &[u8], tcp: bool) -> Vec<Vec<u8>> {
        let query = Message::from_octets(octets).unwrap();
        let asked = query.sole_question().unwrap();
        let (name, edns) = (asked.qname().to_string().to_lowercase(), query.opt().is_some());
        let how = if tcp { " tcp" } else { "" }.to_owned() + if edns { "" } else { " plain" };
        let mut log = self.asked.lock();
        let before = log.iter().filter(|line| line.split(' ').nth(1) == Some(&name)).count();
        log.push(format!("{} {name}{how}", asked.qtype()));
        drop(log);
        let line = self.lines.iter().find(|line| line[0] == name && line[1].starts_with('!'));
        let deed = line.map_or("", |line| line[1].trim_start_matches('!'));
        let deed = deed.strip_suffix("-once").map_or(deed, |deed| if before == 0 { deed } else { "" });
        let truth = || self.answer(&query, Rcode::NOERROR, &name, deed == "partial");
        let refusal = |rcode| {
            let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).unwrap();
            builder.start_answer(&query, rcode).unwrap().finish().into_target()
        };
        match deed {
            "silent" => vec![],
            "mute-tcp" if tcp => vec![],
            "servfail" => vec![refusal(Rcode::SERVFAIL)],
            "refused" => vec![refusal(Rcode::REFUSED)],
            "noedns" if edns => vec![refusal(Rcode::FORMERR)],
            "truncate" | "mute-tcp" if !tcp => {
                let mut answer = refusal(Rcode::NOERROR);
                answer[2] |= 2;
                vec![answer]
            }
            "garbage" => {
                let mut answer = truth();
                answer.truncate(answer.len() - 7);
                vec![answer]
            }
            "forge" => {
                let (mut id, mut name, mut question) = (truth(), truth(), truth());
                id[1] ^= 1;
                name[13] ^= 1;
                question[2] &= 0x7f;
                vec![vec![], vec![0; 3], id, name, question, truth()]
            }
            _ => vec![truth()],
        }
    }

    fn answer(&self, query: &Message<&[u8]>, rcode: Rcode, name: &str, partial: bool) -> Vec<u8> {
        let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).unwrap();
        let mut builder = builder.start_answer(query, rcode).unwrap();
        let kind = query.sole_question().unwrap().qtype();
        let mut at = name.to_owned();
        let exists = loop {
            let records: Vec<_> = self.lines.iter().filter(|line| line[0] == at).collect();
            for line in records.iter().filter(|line| line[1] == kind.to_string()) {
                push(&mut builder, line);
            }
            let alias = records.iter().find(|line| line[1] == "CNAME");
            match alias {
                // A chain that leads back is left to whoever asked.
                Some(line) if builder.counts().ancount() < 12 => {
                    push(&mut builder, line);
                    at.clone_from(&line[2]);
                    if partial {
                        break true;
                    }
                }
                _ => break !records.is_empty(),
            }
        };
        let empty = !matches!(kind, Rtype::CNAME)
            && !self.lines.iter().any(|line| line[0] == at && line[1] == kind.to_string());
        if !exists {
            builder.header_mut().set_rcode(Rcode::NXDOMAIN);
        }
        let mut builder = builder.authority();
        if empty && !partial {
            let root = Name::root_vec();
            let ttl = Ttl::from_secs(60);
            let soa = Soa::new(root.clone(), root.clone(), Serial(1), ttl, ttl, ttl, ttl);
            builder.push((root, 600, soa)).unwrap();
        }
        builder.finish().into_target()
    }
}

fn push(builder: &mut Builder, line: &[String]) {
    let name = |text: &str| Name::vec_from_str(text).unwrap();
    let owner = name(&line[0]);
    match line[1].as_str() {
        "A" => builder.push((owner, 300, A::new(line[2].parse().unwrap()))),
        "AAAA" => builder.push((owner, 300, Aaaa::new(line[2].parse().unwrap()))),
        "MX" => builder.push((owner, 300, Mx::new(line[2].parse().unwrap(), name(&line[3])))),
        "CNAME" => builder.push((owner, 200, Cname::new(name(&line[2])))),
        other => panic!("no such type: {other}"),
    }
    .unwrap();
}
