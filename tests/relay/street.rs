//! Where a house and its peers live: loopback addresses that nobody else in this run has, and one port for all of them.
//!
//! A relay delivers to one port (`delivery.port`), as the world does to 25, so every peer of a house listens on that same
//! port, each at an address of its own; they share one nameserver. All of 127.0.0.0/8 is loopback on Linux; 127.0.*.* is left to the rest of the
//! machine.

use crate::peer::{Blackhole, Full, Nameserver, Peer, Script, Sink};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many addresses one test process may hand out: a second octet of its own, so 256 times 254.
const ROOM: u32 = 256 * 254;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address that no other street of this process has, and, unless the process numbers fall together, no other process.
pub fn next_ip() -> Ipv4Addr {
    let pid = std::process::id();
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(count < ROOM, "out of loopback addresses");
    let place = (pid / 250).wrapping_mul(1021).wrapping_add(count) % ROOM;
    let octet = |n: u32| u8::try_from(n).unwrap();
    Ipv4Addr::new(127, octet(1 + pid % 250), octet(place / 254), octet(1 + place % 254))
}

/// One port, as many addresses as are asked for, and the nameserver that knows them.
#[derive(Debug)]
pub struct Street {
    port: u16,
    ns: Nameserver,
}

impl Street {
    /// A street whose port is free now: at a fresh address and, since the kernel looks, at the wildcard too.
    pub fn new() -> Street {
        let probe = TcpListener::bind(SocketAddr::from((next_ip(), 0))).unwrap();
        Street { port: probe.local_addr().unwrap().port(), ns: Nameserver::start() }
    }

    /// The port all peers of this street listen on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A fresh address on the street's port. Until a peer is started there, a connection to it is refused.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((next_ip(), self.port))
    }

    /// The nameserver the relay asks.
    pub fn ns(&self) -> &Nameserver {
        &self.ns
    }

    /// A good host.
    pub fn sink(&self) -> Sink {
        Sink::start(self.addr())
    }

    /// A good host, and a domain whose mail it takes.
    pub fn good(&self, domain: &str) -> Sink {
        let sink = self.sink();
        self.domain(domain, &sink);
        sink
    }

    /// A host that plays this script.
    pub fn script(&self, text: &str) -> Script {
        Script::start(self.addr(), text)
    }

    /// A host that never accepts.
    pub fn blackhole(&self) -> Blackhole {
        Blackhole::start(self.addr())
    }

    /// A host that does not even complete the connection.
    pub fn full(&self) -> Full {
        Full::start(self.addr())
    }

    /// A domain with one MX, which is this peer.
    pub fn domain(&self, domain: &str, peer: &impl Peer) {
        self.domain_at(domain, peer.addr());
    }

    /// A domain with one MX, at this address.
    pub fn domain_at(&self, domain: &str, addr: SocketAddr) {
        assert_eq!(addr.port(), self.port, "a peer of another street");
        let mx = format!("mx.{domain}");
        self.ns.mx(domain, 10, &mx);
        match addr.ip() {
            IpAddr::V4(ip) => self.ns.a(&mx, ip),
            IpAddr::V6(ip) => self.ns.aaaa(&mx, ip),
        }
    }
}

#[test]
fn addresses_are_unique_and_loopback() {
    let street = Street::new();
    let (one, two) = (street.addr(), street.addr());
    assert_ne!(one.ip(), two.ip());
    assert_eq!(one.port(), two.port());
    assert!(one.ip().is_loopback());
    assert!(!one.to_string().starts_with("127.0."));
}
