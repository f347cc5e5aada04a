//! The listener: acceptors at the doors, and the pool of threads that serve clients.
//!
//! A thread more is never made, and none is ever lost: a panic while a client is served is caught at the wall in
//! [`House::serve`]. An acceptor waits for nothing but clients.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info, warn};
use socket2::Socket;

use super::door::Knock;
use super::{ClientCounts, Clients, Door, Rules, Seat, Seats};
use crate::metrics::METRICS;
use crate::net::Stream;
use crate::server::{Presence, Reception, Response, converse};
use crate::smtp::Refusal;
use crate::time::{Deadline, clock};

const FULL: Refusal = Refusal::new(421, 3, 2, "too many connections, try again later");
/// What a thread that was cut gets to leave by itself, before we leave without it.
const AFTER_CUT: Duration = Duration::from_secs(5);
/// Trouble at a door is said once in so long.
const SAY_AGAIN: Duration = Duration::from_secs(30);
/// Enough for a conversation, whose buffers are on the heap: in a debug build 64 KiB served all the tests, panics included, and
/// 32 KiB did not.
const STACK: usize = 256 << 10;

/// A running listener. Dropped, it stops without grace.
#[derive(Debug)]
pub struct Listener {
    addresses: Vec<SocketAddr>,
    house: Arc<House>,
    /// The acceptors watch the other end; to drop this one is to tell them.
    open: Option<UnixStream>,
    acceptors: Vec<JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected when the last thread of the pool is gone.
    finished: Receiver<()>,
}

/// What all threads share.
#[derive(Debug)]
struct House {
    rules: Rules,
    seats: Arc<Seats>,
    clients: Arc<Clients>,
}

/// A client on its way from the door to a thread. The socket closes before the seat is free.
struct Arrival {
    socket: Socket,
    address: SocketAddr,
    tls_first: bool,
    seat: Seat,
}

impl Listener {
    /// Serves whoever comes to `doors`, with `listen.clients` threads; mail goes to `reception`. What a client may do is
    /// read from `rules` when it comes, so a reload needs nothing else; the number of threads stays.
    ///
    /// # Errors
    /// When the system gives no thread; those that were started are stopped then.
    pub fn start<R: Reception>(doors: Vec<Door>, rules: Rules, reception: Arc<R>) -> io::Result<Listener> {
        let most = rules.settings.read().listen.clients.max(1);
        let house = Arc::new(House { rules, seats: Seats::new(most), clients: Arc::default() });
        let (open, closing) = UnixStream::pair()?;
        let closing = Arc::new(closing);
        let (alive, finished) = bounded(0);
        // Who has a seat has a place here, so to send never waits.
        let (arrive, arrivals) = bounded(most);
        let addresses = doors.iter().map(Door::address).collect();
        let (acceptors, threads) = (Vec::new(), Vec::new());
        let mut listener =
            Listener { addresses, house: Arc::clone(&house), open: Some(open), acceptors, threads, finished };
        for n in 0..most {
            let (house, reception) = (Arc::clone(&house), Arc::clone(&reception));
            let (arrivals, alive): (Receiver<Arrival>, Sender<()>) = (arrivals.clone(), alive.clone());
            let serve = move || {
                let _alive = alive;
                arrivals.iter().for_each(|arrival| house.serve(arrival, &*reception));
            };
            let builder = thread::Builder::new().name(format!("client-{n}")).stack_size(STACK);
            listener.threads.push(builder.spawn(serve)?);
        }
        for door in doors {
            let (house, arrive, closing) = (Arc::clone(&house), arrive.clone(), Arc::clone(&closing));
            let builder = thread::Builder::new().name("door".into()).stack_size(STACK);
            listener.acceptors.push(builder.spawn(move || house.accept(&door, &arrive, &closing))?);
        }
        Ok(listener)
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Clients now, at most, and so far.
    pub fn counts(&self) -> ClientCounts {
        self.house.seats.counts()
    }

    /// The clients that are being served.
    pub fn clients(&self) -> &Arc<Clients> {
        &self.house.clients
    }

    /// Closes the doors at once, tells waiting clients 421, and gives those that are sending a message `grace` to finish.
    /// Returns how many had to be cut. Takes no longer than `grace` and five seconds.
    pub fn stop(mut self, grace: Duration) -> usize {
        self.close(grace)
    }

    fn close(&mut self, grace: Duration) -> usize {
        self.open = None;
        for acceptor in self.acceptors.drain(..) {
            // An acceptor never waits for a client; a panic of its was reported by its own thread.
            let _ = acceptor.join();
        }
        self.house.clients.close();
        if self.threads.is_empty() || self.emptied(grace) {
            self.join();
            return 0;
        }
        let cut = self.house.clients.cut_all();
        info!("{cut} clients were cut after {grace:?} of grace");
        if self.emptied(AFTER_CUT) {
            self.join();
        } else {
            error!(
                "{} clients are still served after they were cut; leaving without them",
                self.counts().now
            );
            self.threads.clear();
        }
        cut
    }

    /// Whether the last thread is gone within `limit`.
    fn emptied(&self, limit: Duration) -> bool {
        self.finished.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // All have let go of their sender already; there is nothing left in them to wait for.
            let _ = thread.join();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

impl House {
    /// The acceptor's loop. Its end closes the door.
    fn accept(&self, door: &Door, arrive: &Sender<Arrival>, closing: &UnixStream) {
        let (mut said, mut full): (Option<Instant>, bool) = (None, false);
        loop {
            match door.next(closing) {
                Knock::Client(socket, address) => {
                    let Some(seat) = self.seats.try_take() else {
                        if !std::mem::replace(&mut full, true) {
                            warn!(
                                "all {} clients' seats are taken, turning clients away",
                                self.seats.counts().most
                            );
                        }
                        turn_away(&socket, door.is_tls_first());
                        continue;
                    };
                    if std::mem::take(&mut full) {
                        info!(
                            "seats are free again, {} were turned away so far",
                            self.seats.counts().turned_away
                        );
                    }
                    // Fails only when every thread is gone, and they outlive the doors.
                    let tls_first = door.is_tls_first();
                    drop(arrive.try_send(Arrival { socket, address, tls_first, seat }));
                }
                Knock::Trouble(error) => {
                    let now = clock::now();
                    if said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_AGAIN) {
                        error!("cannot accept clients on {}: {error}", door.address());
                        said = Some(now);
                    }
                    Door::rest(closing);
                }
                Knock::Closing => return,
            }
        }
    }

    /// Serves one client. This is the wall: whatever is met here ends here.
    fn serve<R: Reception>(&self, arrival: Arrival, reception: &R) {
        let Arrival { socket, address, tls_first, seat } = arrival;
        let client = address.ip().to_canonical();
        // Unwind-safe: all that the client had is dropped on the way, and what is shared is behind locks that are held for
        // whole changes only.
        let served = catch_unwind(AssertUnwindSafe(|| {
            let policy = self.rules.policy(client, tls_first);
            let stream = Stream::accepted(socket, Deadline::within(clock::now(), policy.session));
            let entry = self.clients.enter(Presence::new(client, stream.cutter()));
            converse(stream, client, policy, reception, &entry);
        }));
        if served.is_err() {
            METRICS.panics.one();
            error!("client=[{client}] a defect of ours ended its connection");
        }
        drop(seat);
    }
}

/// Says that the house is full, if that can be said at once, and closes. Within TLS it could not be.
fn turn_away(socket: &Socket, tls_first: bool) {
    if tls_first {
        return;
    }
    let mut words = Vec::new();
    Response::from(FULL).write(&mut words);
    // A new connection's send buffer is empty; where it takes nothing all the same, the client sees us close.
    if socket.set_nonblocking(true).is_ok() {
        let _ = socket.send(&words);
        let _ = socket.shutdown(std::net::Shutdown::Write);
    }
}
