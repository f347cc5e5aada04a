//! What every accepting peer stands on: a listener, a thread for each connection, and the counts.
//!
//! The counts are exact where it matters, "never more than": a connection that the relay has already closed does not
//! count as open, even when the thread that serves it has not noticed yet. A socket is never closed behind the back of
//! the thread that serves it; stopping shuts it down, and the thread returns.

use super::tcptable;
use crate::wait::{SOON, wait_until};
use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use std::collections::{BTreeMap, HashSet};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A thread that serves one connection needs little, and a test may have thousands.
const STACK: usize = 256 * 1024;

/// With this much unread, the other side may have closed without our socket being told: see `Guest::hung_up`.
const DEAF: u64 = 16 * 1024;

/// What a peer has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections since the start.
    pub opened: usize,
    /// Connections that neither side has closed.
    pub open_now: usize,
    /// The most that were open at one moment.
    pub most_at_once: usize,
    /// Connections that the relay ended, before this peer did or in answer to a 221.
    pub closed_by_them: usize,
}

/// What all peers can say.
pub trait Peer {
    /// Where it listens.
    fn addr(&self) -> SocketAddr;
    /// All counts of one moment.
    fn counts(&self) -> Counts;

    /// Connections since the start.
    fn opened(&self) -> usize {
        self.counts().opened
    }
    /// Connections that neither side has closed.
    fn open_now(&self) -> usize {
        self.counts().open_now
    }
    /// The most that were open at one moment.
    fn most_at_once(&self) -> usize {
        self.counts().most_at_once
    }
    /// Connections that were closed by the peer of this peer: the relay.
    fn closed_by_peer(&self) -> usize {
        self.counts().closed_by_them
    }
    /// Waits until the relay holds no connection to this peer.
    #[track_caller]
    fn wait_alone(&self, limit: Duration) {
        wait_until("no connection at the peer", limit, || {
            let counts = self.counts();
            (counts.open_now == 0).then_some(()).ok_or_else(|| format!("{counts:?}"))
        });
    }
    /// Waits until `count` connections have been opened since the start.
    #[track_caller]
    fn wait_opened(&self, count: usize, limit: Duration) {
        wait_until("connections at the peer", limit, || {
            let counts = self.counts();
            (counts.opened >= count).then_some(()).ok_or_else(|| format!("{counts:?}, not {count}"))
        });
    }
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other side: the end of the stream, a reset, or a write that failed.
    Theirs,
    /// This peer.
    Ours,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> End {
        End::Theirs
    }
}

/// One connection, as the code that serves it sees it.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Counted from 1.
    pub number: usize,
    stream: Arc<TcpStream>,
}

impl Guest {
    /// The socket. There is one descriptor for it, so that dropping the last `Guest` closes it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// True when the other side has closed its end, or half of it.
    ///
    /// Its FIN queues behind data that we do not read, so when much is unread the kernel's table is asked about the
    /// other end: a relay that gave up on a deaf peer is no longer ESTABLISHED there.
    pub fn hung_up(&self) -> bool {
        self.hung_up_within(Duration::ZERO) || self.is_orphan()
    }

    /// Waits until the other side has closed; false when it has not within `limit`. Reads nothing.
    pub fn wait_hang_up(&self, limit: Option<Duration>) -> bool {
        let end = limit.map(|limit| Instant::now() + limit);
        // In slices, because no event comes for a close behind unread data.
        let slice = Duration::from_millis(500);
        loop {
            let left = end.map_or(slice, |end| end.saturating_duration_since(Instant::now()));
            if self.hung_up_within(left.min(slice)) || self.is_orphan() {
                return true;
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
        }
    }

    fn hung_up_within(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).unwrap();
        let mut fds = [PollFd::new(&*self.stream, PollFlags::RDHUP)];
        // An interrupted poll is a poll that saw nothing; every caller looks again.
        matches!(poll(&mut fds, Some(&limit)), Ok(1..))
    }

    fn is_orphan(&self) -> bool {
        if rustix::io::ioctl_fionread(&*self.stream).unwrap_or(0) < DEAF {
            return false;
        }
        let (Ok(local), Ok(remote)) = (self.stream.local_addr(), self.stream.peer_addr()) else {
            return true;
        };
        !tcptable::rows()
            .iter()
            .any(|row| row.local == remote && row.remote == local && row.state == tcptable::ESTABLISHED)
    }
}

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    open: BTreeMap<usize, Guest>,
    closing: bool,
}

impl Book {
    /// The counts, with what the serving threads have not noticed yet.
    fn counts(&self) -> Counts {
        let gone = self.open.values().filter(|guest| guest.hung_up()).count();
        Counts {
            open_now: self.open.len() - gone,
            closed_by_them: self.counts.closed_by_them + gone,
            ..self.counts
        }
    }

    /// The open connections whose other end is open too, by the kernel's table.
    fn held(&self) -> usize {
        let rows = tcptable::rows();
        let open = rows.iter().filter(|row| row.state == tcptable::ESTABLISHED);
        let ends: HashSet<_> = open.map(|row| (row.local, row.remote)).collect();
        let pair = |guest: &Guest| Some((guest.stream.peer_addr().ok()?, guest.stream.local_addr().ok()?));
        let pairs = self.open.values().filter_map(pair);
        pairs.filter(|pair| ends.contains(pair)).count()
    }
}

/// A listener with its threads. Dropping it ends them.
#[derive(Debug)]
pub struct Door {
    addr: SocketAddr,
    listener: Arc<TcpListener>,
    book: Arc<Mutex<Book>>,
    accepting: Option<JoinHandle<()>>,
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock()
}

impl Door {
    /// Listens at `addr` and gives each connection to `serve` in a thread of its own. The connection ends when `serve`
    /// returns.
    pub fn open(addr: SocketAddr, serve: impl Fn(&Guest) -> End + Send + Sync + 'static) -> Door {
        // An address that was listened at a moment ago may still be: in a process that another test is just starting,
        // between its fork and its exec.
        let bind = || TcpListener::bind(addr).map_err(|error| format!("{addr}: {error}"));
        let listener = wait_until("an address to listen at", SOON, bind);
        let listener = Arc::new(listener);
        let book = Arc::new(Mutex::new(Book::default()));
        let serve = Arc::new(serve);
        let accepting = {
            let (listener, book) = (listener.clone(), book.clone());
            let accept = move || {
                // Shutting the listener down makes `accept` fail, which is how this thread ends.
                while let Ok((stream, _)) = listener.accept() {
                    let Some(guest) = enter(&book, stream) else {
                        return;
                    };
                    let (book, serve) = (book.clone(), serve.clone());
                    let visit = move || {
                        let end = serve(&guest);
                        leave(&book, guest, end);
                    };
                    let thread = std::thread::Builder::new().stack_size(STACK);
                    thread.spawn(visit).unwrap();
                }
            };
            std::thread::spawn(accept)
        };
        Door { addr: listener.local_addr().unwrap(), listener, book, accepting: Some(accepting) }
    }
}

fn enter(book: &Mutex<Book>, stream: TcpStream) -> Option<Guest> {
    let mut book = lock(book);
    if book.closing {
        return None;
    }
    let _ = stream.set_nodelay(true);
    book.counts.opened += 1;
    let guest = Guest { number: book.counts.opened, stream: Arc::new(stream) };
    book.open.insert(guest.number, guest.clone());
    // Asked twice, because the second question costs more: a FIN may still be on its way when the relay, on another
    // core, has connected anew. Its own end changed with its `close`.
    if book.counts().open_now > book.counts.most_at_once {
        let held = book.held();
        book.counts.most_at_once = book.counts.most_at_once.max(held);
    }
    Some(guest)
}

fn leave(book: &Mutex<Book>, guest: Guest, end: End) {
    let mut book = lock(book);
    // When this peer is being stopped, it was its own hand that ended the connection.
    if end == End::Theirs && !book.closing {
        book.counts.closed_by_them += 1;
    }
    // The socket closes with its last owner, under the lock: whoever counts sees it open and counted, or neither.
    book.open.remove(&guest.number);
    drop(guest);
}

impl Peer for Door {
    fn addr(&self) -> SocketAddr {
        self.addr
    }
    fn counts(&self) -> Counts {
        lock(&self.book).counts()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        lock(&self.book).closing = true;
        let _ = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        // The serving threads are not joined: each returns from its read, write or poll now, and none outlives the
        // process anyway.
        for guest in lock(&self.book).open.values() {
            let _ = guest.stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::street::Street;
    use std::io::{Read, Write};

    fn silent() -> Door {
        Door::open(Street::new().addr(), |guest| {
            guest.wait_hang_up(None);
            End::Theirs
        })
    }

    #[test]
    fn connections_are_counted_at_the_peer() {
        let door = silent();
        let one = TcpStream::connect(door.addr()).unwrap();
        let two = TcpStream::connect(door.addr()).unwrap();
        door.wait_opened(2, SOON);
        assert_eq!((door.open_now(), door.closed_by_peer()), (2, 0));
        drop(one);
        wait_until("the first close", SOON, || door.open_now() == 1);
        let _three = TcpStream::connect(door.addr()).unwrap();
        door.wait_opened(3, SOON);
        assert_eq!((door.most_at_once(), door.closed_by_peer()), (2, 1));
        drop(two);
        wait_until("the second close", SOON, || door.closed_by_peer() == 2);
    }

    #[test]
    fn one_after_the_other_is_never_two() {
        let door = silent();
        for _ in 0..200 {
            drop(TcpStream::connect(door.addr()).unwrap());
        }
        door.wait_opened(200, SOON);
        assert!(door.most_at_once() <= 1, "{:?}", door.counts());
        wait_until("200 closes", SOON, || door.closed_by_peer() == 200);
    }

    #[test]
    fn a_close_behind_unread_data_is_seen() {
        let door = silent();
        let mut talker = TcpStream::connect(door.addr()).unwrap();
        talker.set_nonblocking(true).unwrap();
        // Until the window is shut: from here on our FIN cannot arrive.
        let filled = |talker: &mut TcpStream| loop {
            if talker.write(&[b'x'; 65536]).is_err() {
                return;
            }
        };
        filled(&mut talker);
        crate::wait::pause(Duration::from_millis(50));
        filled(&mut talker);
        door.wait_opened(1, SOON);
        assert_eq!(door.open_now(), 1);
        drop(talker);
        wait_until("the close", SOON, || door.open_now() == 0);
        wait_until("its count", SOON, || door.closed_by_peer() == 1);
    }

    #[test]
    fn dropping_a_door_ends_its_connections() {
        let door = silent();
        let mut open = TcpStream::connect(door.addr()).unwrap();
        let addr = door.addr();
        door.wait_opened(1, SOON);
        drop(door);
        assert!(!matches!(open.read(&mut [0]), Ok(1..)));
        wait_until("a refusal", SOON, || TcpStream::connect(addr).is_err());
    }
}
