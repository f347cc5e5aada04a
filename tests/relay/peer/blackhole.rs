//! Addresses that do not even accept.
//!
//! A `Blackhole` listens and never accepts: the kernel completes the connection, and nothing is ever said. Its counts
//! come from the kernel's table, since no code here ever holds those connections. A `Full` address has a full backlog:
//! the connection itself never completes, as with a host that drops packets.

use super::door::{Counts, Peer};
use super::tcptable::{CLOSE_WAIT, ESTABLISHED, Row, rows};
use crate::wait::{pause, wait_until};
use parking_lot::{Mutex, MutexGuard};
use socket2::{Domain, Socket, Type};
use std::collections::HashSet;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The kernel's usual `somaxconn`. Connections that the relay has closed stay in it too.
const BACKLOG: i32 = 4096;

fn listen(addr: SocketAddr, backlog: i32) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap_or_else(|e| panic!("bind {addr}: {e}"));
    socket.listen(backlog).unwrap();
    socket
}

#[derive(Debug, Default)]
struct Seen {
    ever: HashSet<SocketAddr>,
    open_now: usize,
    most_at_once: usize,
}

impl Seen {
    /// One reading of the table. Our ends tell of every connection there was: the backlog holds also those that the
    /// relay has closed. Its ends tell which it has not: they change with its `close`, and ours only when the FIN is in.
    fn look(&mut self, addr: SocketAddr) {
        let rows = rows();
        let held = |row: &&Row| [ESTABLISHED, CLOSE_WAIT].contains(&row.state);
        let ours = rows.iter().filter(|row| row.local == addr).filter(held);
        self.ever.extend(ours.map(|row| row.remote));
        let theirs = rows.iter().filter(|row| row.remote == addr);
        let open: Vec<&Row> = theirs.filter(|row| row.state == ESTABLISHED).collect();
        self.ever.extend(open.iter().map(|row| row.local));
        self.open_now = open.len();
        self.most_at_once = self.most_at_once.max(self.open_now);
    }
}

/// A listener that never accepts. Good for as many connections as its backlog holds (4,096), closed ones included.
///
/// `opened` and `most_at_once` are sampled some fifty times a second: for connections that are held for a while, they
/// are exact, and never too high.
#[derive(Debug)]
pub struct Blackhole {
    addr: SocketAddr,
    // Held only to be listening.
    _socket: Socket,
    seen: Arc<Mutex<Seen>>,
    stopping: Arc<AtomicBool>,
    watching: Option<JoinHandle<()>>,
}

impl Blackhole {
    /// Listens at `addr`.
    pub fn start(addr: SocketAddr) -> Blackhole {
        let socket = listen(addr, BACKLOG);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stopping = Arc::new(AtomicBool::new(false));
        let watching = {
            let (seen, stopping) = (seen.clone(), stopping.clone());
            std::thread::spawn(move || {
                while !stopping.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    seen.lock().look(addr);
                    // At most a tenth of a core, also when the table is long.
                    pause((start.elapsed() * 10).max(Duration::from_millis(20)));
                }
            })
        };
        Blackhole { addr, _socket: socket, seen, stopping, watching: Some(watching) }
    }

    fn look(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock();
        seen.look(self.addr);
        seen
    }
}

impl Peer for Blackhole {
    fn addr(&self) -> SocketAddr {
        self.addr
    }
    fn counts(&self) -> Counts {
        let seen = self.look();
        Counts {
            opened: seen.ever.len(),
            open_now: seen.open_now,
            most_at_once: seen.most_at_once,
            // Nothing but the relay can end a connection here.
            closed_by_them: seen.ever.len() - seen.open_now,
        }
    }
}

impl Drop for Blackhole {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
    }
}

/// An address to which a connection never completes: the backlog is full with our own.
#[derive(Debug)]
pub struct Full {
    addr: SocketAddr,
    // Held only to be listening, and to fill it.
    _socket: Socket,
    _filling: Vec<TcpStream>,
}

impl Full {
    /// Fills a backlog at `addr`; returns when a connection to it has hung for some time.
    pub fn start(addr: SocketAddr) -> Full {
        let socket = listen(addr, 0);
        let mut filling = Vec::new();
        let hang = Duration::from_millis(200);
        wait_until("a connection that hangs", Duration::from_secs(10), || {
            match TcpStream::connect_timeout(&addr, hang) {
                Ok(stream) => {
                    filling.push(stream);
                    Err(format!("{} that did not", filling.len()))
                }
                Err(_) => Ok(()),
            }
        });
        Full { addr, _socket: socket, _filling: filling }
    }

    /// Where it does not accept.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::street::Street;
    use crate::wait::SOON;
    use std::io::ErrorKind;

    #[test]
    fn a_black_hole_connects_and_says_nothing() {
        let hole = Blackhole::start(Street::new().addr());
        let mut one = Client::connect(hole.addr()).unwrap();
        let two = Client::connect(hole.addr()).unwrap();
        one.set_limit(Duration::from_millis(50));
        assert!(one.say("EHLO x").is_ok() && one.hear().is_err());
        let open = Counts { opened: 2, open_now: 2, most_at_once: 2, closed_by_them: 0 };
        assert_eq!(hole.counts(), open);
        drop(two);
        hole.wait_opened(2, SOON);
        assert_eq!((hole.open_now(), hole.closed_by_peer()), (1, 1));
    }

    #[test]
    fn a_full_backlog_hangs_and_a_refused_address_refuses() {
        let street = Street::new();
        let full = Full::start(street.addr());
        let limit = Duration::from_millis(300);
        let hung = TcpStream::connect_timeout(&full.addr(), limit).unwrap_err();
        assert_eq!(hung.kind(), ErrorKind::TimedOut);
        let refused = TcpStream::connect_timeout(&street.addr(), SOON).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}
