//! The far side: every host of the bench, on port 25 of all of 127/8, in one thread with an epoll.
//!
//! The address a client has connected to says which host it has reached, and so how it is treated. Connections are
//! counted here, at the peer, by address: now, at most at once, and ever. A connection counts from its accept until its
//! end is seen; nothing is sampled. It takes whatever number of connections a relay opens.

use crate::places::{Manners, manners};
use crate::post::Post;
use crate::talk::{Next, Talk};
use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The port of every host.
pub const PORT: u16 = 25;

/// How often the slow ones say something.
const TICK: Duration = Duration::from_millis(100);

const BANNER: &[u8] = b"220 far.test ESMTP\r\n";

/// The counts of one address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub now: usize,
    pub most: usize,
    pub ever: usize,
}

/// What the rest of the bench sees of it.
#[derive(Default)]
pub struct Street {
    pub post: Post,
    counts: Mutex<HashMap<IpAddr, Count>>,
    open: AtomicU64,
    /// Every host takes mail from now on, whatever it was.
    healed: AtomicBool,
}

impl Street {
    /// Opens it, for as long as the program lives.
    pub fn open() -> std::io::Result<Arc<Street>> {
        let street = Arc::new(Street::default());
        let listener = listen(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, PORT).into())?;
        let mut hosts = Hosts::new(Arc::clone(&street), listener)?;
        std::thread::spawn(move || hosts.run());
        Ok(street)
    }

    /// Forgets all counts; for a run of its own, when no relay runs.
    pub fn forget(&self) {
        self.counts.lock().clear();
        self.healed.store(false, Ordering::Relaxed);
    }

    /// All hosts at which somebody listens are good to new connections from now on.
    pub fn relent(&self) {
        self.healed.store(true, Ordering::Relaxed);
    }

    /// All hosts are good from now on; also those that refused, for whom somebody listens now.
    pub fn heal(self: &Arc<Self>) -> std::io::Result<()> {
        self.relent();
        let listener = listen(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, PORT).into())?;
        let mut hosts = Hosts::new(Arc::clone(self), listener)?;
        std::thread::spawn(move || hosts.run());
        Ok(())
    }

    /// The hosts with these manners, one count each.
    pub fn counts(&self, which: impl Fn(Manners) -> bool) -> Vec<Count> {
        let counts = self.counts.lock();
        counts.iter().filter(|(at, _)| which(manners(**at))).map(|(_, count)| *count).collect()
    }

    /// Connections open at silent hosts now.
    pub fn held(&self) -> usize {
        self.counts(|manners| manners == Manners::Silent).iter().map(|count| count.now).sum()
    }

    /// The most connections at once at any one silent host.
    pub fn most_at_a_hole(&self) -> usize {
        let counts = self.counts(|manners| manners == Manners::Silent);
        counts.iter().map(|count| count.most).max().unwrap_or(0)
    }

    /// Connections open now, to any host.
    pub fn open_now(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    fn came(&self, at: IpAddr) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut counts = self.counts.lock();
        let count = counts.entry(at).or_default();
        count.now += 1;
        count.ever += 1;
        count.most = count.most.max(count.now);
    }

    fn went(&self, at: IpAddr) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.counts.lock().get_mut(&at) {
            count.now = count.now.saturating_sub(1);
        }
    }
}

fn listen(domain: Domain, place: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    socket.bind(&place.into())?;
    socket.listen(65_535)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// One connection, counted while it lives.
struct Guest {
    stream: TcpStream,
    at: IpAddr,
    manners: Manners,
    talk: Talk,
    street: Arc<Street>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.street.went(self.at);
    }
}

/// The thread: its sockets by number.
struct Hosts {
    street: Arc<Street>,
    epoll: std::os::fd::OwnedFd,
    listener: TcpListener,
    guests: Vec<Option<Guest>>,
    free: Vec<usize>,
    /// Guests to whom something is said now and then.
    slow: Vec<usize>,
    buffer: Vec<u8>,
    reply: Vec<u8>,
}

/// The listener's number among the events.
const DOOR: u64 = u64::MAX;

impl Hosts {
    fn new(street: Arc<Street>, listener: TcpListener) -> std::io::Result<Hosts> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(DOOR), epoll::EventFlags::IN)?;
        Ok(Hosts {
            street,
            epoll,
            listener,
            guests: Vec::new(),
            free: Vec::new(),
            slow: Vec::new(),
            buffer: vec![0; 256 << 10],
            reply: Vec::new(),
        })
    }

    fn run(&mut self) {
        let mut events = Vec::with_capacity(512);
        let mut ticked = Instant::now();
        let tick = Timespec { tv_sec: 0, tv_nsec: i64::try_from(TICK.as_nanos()).unwrap_or(0) };
        loop {
            events.clear();
            // EINTR is no event.
            let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&tick));
            for event in &events {
                match event.data.u64() {
                    DOOR => self.accept(),
                    number => self.hear(usize::try_from(number).unwrap_or(usize::MAX)),
                }
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.speak_slowly();
            }
        }
    }

    fn accept(&mut self) {
        // Not all at once: those who are here already have their turn too.
        for _ in 0..64 {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok(socket) = accept_with(&self.listener, flags) else { return };
            let stream = TcpStream::from(socket);
            let Ok(at) = stream.local_addr() else { continue };
            let at = at.ip();
            let healed = self.street.healed.load(Ordering::Relaxed);
            let manners = if healed { Manners::Good } else { manners(at) };
            self.street.came(at);
            let street = Arc::clone(&self.street);
            self.greet(Guest { stream, at, manners, talk: Talk::default(), street });
        }
    }

    /// What a host does with a new guest, and whether it keeps it.
    fn greet(&mut self, mut guest: Guest) {
        let said = match guest.manners {
            Manners::Good | Manners::Mute | Manners::Undecided => guest.stream.write_all(BANNER),
            Manners::Garbage => {
                guest.stream.write_all(&[0x80, b'\n', 0xff, 0, b'2', b'2', b'0', b'\r', 7, b'\n'])
            }
            Manners::Silent => Ok(()),
            Manners::Drip | Manners::Endless => guest.stream.write_all(b"220-"),
            Manners::Hangup | Manners::Busy => {
                let words = if guest.manners == Manners::Busy { b"421 4.3.2 not now\r\n" } else { BANNER };
                let _ = guest.stream.write_all(words);
                return;
            }
            Manners::Reset | Manners::Refuse => {
                let _ = SockRef::from(&guest.stream).set_linger(Some(Duration::ZERO));
                return;
            }
        };
        if said.is_err() {
            return;
        }
        let slow = matches!(guest.manners, Manners::Drip | Manners::Endless);
        let number = self.free.pop().unwrap_or_else(|| {
            self.guests.push(None);
            self.guests.len() - 1
        });
        let data = epoll::EventData::new_u64(number as u64);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        if epoll::add(&self.epoll, &guest.stream, data, flags).is_err() {
            self.free.push(number);
            return;
        }
        self.guests[number] = Some(guest);
        if slow {
            self.slow.push(number);
        }
    }

    /// Something has come from a guest, or it has gone.
    fn hear(&mut self, number: usize) {
        let Some(Some(guest)) = self.guests.get_mut(number) else { return };
        let stays = loop {
            match guest.stream.read(&mut self.buffer) {
                Ok(0) => break false,
                Ok(length) => {
                    self.reply.clear();
                    let bytes = &self.buffer[..length];
                    let stays = guest.answer(bytes, &mut self.reply, &self.street.post);
                    // A client that does not read what it is told is none of the kinds here.
                    let said = self.reply.is_empty() || guest.stream.write_all(&self.reply).is_ok();
                    if !stays || !said || length < self.buffer.len() {
                        break stays && said;
                    }
                }
                Err(error) => break matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        };
        if !stays {
            self.end(number);
        }
    }

    fn end(&mut self, number: usize) {
        // Closing takes it from the epoll.
        if self.guests[number].take().is_some() {
            self.free.push(number);
        }
    }

    fn speak_slowly(&mut self) {
        let mut slow = std::mem::take(&mut self.slow);
        slow.retain(|number| {
            let Some(Some(guest)) = self.guests.get_mut(*number) else { return false };
            let words: &[u8] = match guest.manners {
                Manners::Drip => b"x",
                Manners::Endless => b"and another thing\r\n220-",
                // The number has been given to another guest.
                _ => return false,
            };
            match guest.stream.write(words) {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => true,
                Err(_) => {
                    self.end(*number);
                    false
                }
            }
        });
        slow.append(&mut self.slow);
        slow.sort_unstable();
        slow.dedup();
        self.slow = slow;
    }
}

impl Guest {
    /// Answers what was said, as this host would; false: it hangs up.
    fn answer(&mut self, bytes: &[u8], reply: &mut Vec<u8>, post: &Post) -> bool {
        match self.manners {
            Manners::Good => {
                let next = self.talk.hear(bytes, reply, |head, recipients| {
                    post.arrived(head, recipients);
                    true
                });
                next == Next::Stay
            }
            Manners::Undecided => self.talk.hear(bytes, reply, |_, _| false) == Next::Stay,
            _ => true,
        }
    }
}
