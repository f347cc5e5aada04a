//! A stream whose every read and write ends.
//!
//! SO_RCVTIMEO and SO_SNDTIMEO bound one system call. So the time-out is set from what remains of the [`Deadline`] inside
//! each `read` and each `write`, below line reading, `write_all` and TLS: a peer that drips gains nothing. The socket
//! option is only set again when the one in force would wait too long, or so short that the wait would spin; a wait that
//! wakes early asks the deadline and waits on.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::time::{Deadline, Expired, Limit, Remaining, clock};

/// Why a stream ended.
#[derive(Debug)]
pub enum StreamError {
    /// A limit fired; which one.
    Expired(Expired),
    /// The peer closed the connection.
    Closed,
    /// The system said no: reset, unreachable, refused, ...
    Io(io::Error),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Expired(expired) => expired.fmt(f),
            StreamError::Closed => f.write_str("connection closed by the other side"),
            StreamError::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
                io::ErrorKind::ConnectionReset => f.write_str("connection reset by the other side"),
                io::ErrorKind::BrokenPipe => f.write_str("connection closed by the other side"),
                io::ErrorKind::NetworkUnreachable => f.write_str("network unreachable"),
                io::ErrorKind::HostUnreachable => f.write_str("host unreachable"),
                _ => write!(f, "{error}"),
            },
        }
    }
}

impl std::error::Error for StreamError {}

impl StreamError {
    /// Whether it is our own shortage, of descriptors, memory or ports, and no doing of the peer's.
    pub fn is_shortage(&self) -> bool {
        use rustix::io::Errno;
        const SHORT: [Errno; 5] =
            [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL];
        let StreamError::Io(error) = self else { return false };
        error.raw_os_error().is_some_and(|code| SHORT.iter().any(|errno| errno.raw_os_error() == code))
    }
}

impl From<io::Error> for StreamError {
    /// Takes back what [`Stream`]'s `Read` and `Write` had to wrap.
    fn from(error: io::Error) -> StreamError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return StreamError::Closed;
        }
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Expired>()) {
            Some(expired) => StreamError::Expired(*expired),
            None => StreamError::Io(error),
        }
    }
}

/// A socket that others may cut: the watchdog, an operator, the shutdown. The reason is kept, so that the thread which
/// then wakes from its read knows why.
#[derive(Debug)]
pub(super) struct Line {
    socket: Socket,
    cut: AtomicU8,
}

impl Line {
    /// Shuts the socket down, which makes a thread that is blocked on it return.
    pub(super) fn cut(&self, limit: Limit) {
        // The first reason stays: it is the one that ended the session.
        let _ = self.cut.compare_exchange(0, code(limit), Ordering::AcqRel, Ordering::Acquire);
        // An error here means that there is nothing left to shut down.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn cut_by(&self) -> Option<Limit> {
        const LIMITS: [Limit; 6] =
            [Limit::Phase, Limit::Session, Limit::Rate, Limit::Shutdown, Limit::Patience, Limit::Operator];
        let code = self.cut.load(Ordering::Acquire);
        LIMITS.into_iter().find(|limit| self::code(*limit) == code)
    }
}

fn code(limit: Limit) -> u8 {
    match limit {
        Limit::Phase => 1,
        Limit::Session => 2,
        Limit::Rate => 3,
        Limit::Shutdown => 4,
        Limit::Patience => 5,
        Limit::Operator => 6,
    }
}

/// A handle by which another thread ends a stream. It does not keep the stream open.
#[derive(Clone, Debug, Default)]
pub struct Cutter(Weak<Line>);

impl Cutter {
    /// Ends the stream at once, for `limit`.
    pub fn cut(&self, limit: Limit) {
        if let Some(line) = self.0.upgrade() {
            line.cut(limit);
        }
    }

    /// Ends the reading side only: a thread that is blocked in a read returns as if the peer had ended, and may still
    /// write its last words.
    pub fn end_reading(&self) {
        if let Some(line) = self.0.upgrade() {
            // An error here means that there is nothing left to shut down.
            let _ = line.socket.shutdown(Shutdown::Read);
        }
    }
}

/// A TCP connection under a deadline.
#[derive(Debug)]
pub struct Stream {
    line: Arc<Line>,
    deadline: Deadline,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Stream {
    /// A socket for `peer`, not yet connected.
    pub(super) fn unconnected(peer: SocketAddr, deadline: Deadline) -> io::Result<Stream> {
        #[allow(clippy::disallowed_methods)]
        // One of the two doors; Connection::open and dial stand around it.
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
        Ok(Stream::around(socket, deadline))
    }

    /// Connects within the deadline.
    pub(super) fn connect(&mut self, peer: SocketAddr) -> Result<(), StreamError> {
        let remaining = self.deadline.remaining(clock::now()).map_err(StreamError::Expired)?;
        let result = self.line.socket.connect_timeout(&SockAddr::from(peer), remaining.get());
        result.map_err(|error| self.reason(error))?;
        // A cut during the handshake may look like success.
        if let Some(limit) = self.line.cut_by() {
            return Err(StreamError::Expired(Expired(limit)));
        }
        // Commands are written whole; waiting for more would only delay them.
        self.line.socket.set_tcp_nodelay(true).map_err(StreamError::Io)
    }

    /// Connects to `peer` outside the ledger: for nameservers, never for a destination of mail.
    ///
    /// # Errors
    /// [`StreamError`], by the end of the deadline.
    pub fn dial(peer: SocketAddr, deadline: Deadline) -> Result<Stream, StreamError> {
        let mut stream = Stream::unconnected(peer, deadline).map_err(StreamError::Io)?;
        stream.connect(peer)?;
        Ok(stream)
    }

    /// Connects to a unix socket: the operator's door.
    ///
    /// # Errors
    /// [`StreamError`]; a listener that is not listening, or has too many waiting, is refused at once.
    pub fn local(path: &Path, deadline: Deadline) -> Result<Stream, StreamError> {
        let address = SockAddr::unix(path).map_err(StreamError::Io)?;
        #[allow(clippy::disallowed_methods)] // A unix socket leads to no destination.
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(StreamError::Io)?;
        let remaining = deadline.remaining(clock::now()).map_err(StreamError::Expired)?;
        socket.connect_timeout(&address, remaining.get()).map_err(StreamError::Io)?;
        Ok(Stream::around(socket, deadline))
    }

    /// A connection that a listener accepted.
    pub fn accepted(socket: Socket, deadline: Deadline) -> Stream {
        // Without it, replies wait for the client's acknowledgement; mail flows all the same if the system refuses.
        let _ = socket.set_tcp_nodelay(true);
        Stream::around(socket, deadline)
    }

    fn around(socket: Socket, deadline: Deadline) -> Stream {
        let line = Arc::new(Line { socket, cut: AtomicU8::new(0) });
        Stream { line, deadline, read_timeout: None, write_timeout: None }
    }

    /// The limits that hold.
    pub fn deadline(&mut self) -> &mut Deadline {
        &mut self.deadline
    }

    /// The handle by which others may cut this stream.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// A handle for whoever may have to end this stream.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::downgrade(&self.line))
    }

    /// The same connection a second time, under the same deadline: one for a thread that reads, one for a thread that writes.
    pub fn twin(&self) -> Stream {
        Stream {
            line: Arc::clone(&self.line),
            deadline: self.deadline,
            read_timeout: None,
            write_timeout: None,
        }
    }

    /// Our own address on this connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.line.socket.local_addr().ok().and_then(|address| address.as_socket())
    }

    /// Closes at once, with a reset, whatever is still unsent: the peer has shown that it does not read.
    pub fn abort(&mut self) {
        // The socket is closed in any case; this only says how.
        let _ = self.line.socket.set_linger(Some(Duration::ZERO));
    }

    /// Ends our side, so that the peer reads to the end of what we sent before it sees us gone.
    pub fn shutdown_write(&self) {
        // A socket that is already gone needs no end.
        let _ = self.line.socket.shutdown(Shutdown::Write);
    }

    /// The socket, to be waited on and nothing else.
    pub(super) fn socket(&self) -> &Socket {
        &self.line.socket
    }

    /// What remains, or the reason why nothing does.
    pub(super) fn remaining(&self) -> io::Result<Remaining> {
        if let Some(limit) = self.line.cut_by() {
            return Err(expired(Expired(limit)));
        }
        self.deadline.remaining(clock::now()).map_err(expired)
    }

    /// Why a call ended in `error`: a cut or an expiry comes before what the system says of its consequences.
    fn reason(&self, error: io::Error) -> StreamError {
        match self.remaining() {
            Err(expired) => StreamError::from(expired),
            Ok(_) if error.kind() == io::ErrorKind::TimedOut => {
                StreamError::Expired(Expired(self.deadline.ends().1))
            }
            Ok(_) => StreamError::Io(error),
        }
    }
}

fn expired(expired: Expired) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, expired)
}

/// Whether the time-out in force serves a wait of `remaining`: not longer, and not so short that it would spin.
fn serves(in_force: Option<Duration>, remaining: Remaining) -> bool {
    in_force.is_some_and(|set| set <= remaining.get() && set >= remaining.get() / 4)
}

/// The time-out to set: a little less than what remains, so that the next phase with the same limit can use it again.
fn choose(remaining: Remaining) -> Duration {
    (remaining.get() * 7 / 8).max(Remaining::LEAST)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let remaining = self.remaining()?;
            if !serves(self.read_timeout, remaining) {
                let timeout = choose(remaining);
                #[allow(clippy::disallowed_methods)] // The one place: from a Remaining, never zero.
                self.line.socket.set_read_timeout(Some(timeout))?;
                self.read_timeout = Some(timeout);
            }
            match (&self.line.socket).read(buffer) {
                // A cut makes the read return 0: then the cut is the reason, not the peer.
                Ok(0) if !buffer.is_empty() => return self.remaining().map(|_| 0),
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(self.remaining().err().unwrap_or(error)),
                Ok(read) => return Ok(read),
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        loop {
            let remaining = self.remaining()?;
            if !serves(self.write_timeout, remaining) {
                let timeout = choose(remaining);
                #[allow(clippy::disallowed_methods)] // The one place: from a Remaining, never zero.
                self.line.socket.set_write_timeout(Some(timeout))?;
                self.write_timeout = Some(timeout);
            }
            match (&self.line.socket).write(octets) {
                Err(error) if is_wait(&error) => {}
                Err(error) => return Err(self.remaining().err().unwrap_or(error)),
                Ok(written) => return Ok(written),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The socket time-out passed, or a signal came: ask the deadline, and wait on if it says so.
fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn pair(limit: Duration) -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let deadline = Deadline::within(clock::now(), limit);
        let stream = Stream::dial(listener.local_addr().unwrap(), deadline).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    fn expiry(error: io::Error) -> Option<Limit> {
        match StreamError::from(error) {
            StreamError::Expired(Expired(limit)) => Some(limit),
            _ => None,
        }
    }

    #[test]
    fn a_silent_peer_is_left_at_the_deadline() {
        let (mut stream, _peer) = pair(Duration::from_millis(50));
        assert_eq!(expiry(stream.read(&mut [0; 8]).unwrap_err()), Some(Limit::Phase));
    }

    #[test]
    fn a_peer_that_does_not_read_is_left_at_the_deadline() {
        let (mut stream, _peer) = pair(Duration::from_millis(100));
        let block = vec![0; 1 << 20];
        let error = (0..1000).find_map(|_| stream.write_all(&block).err()).unwrap();
        assert_eq!(expiry(error), Some(Limit::Phase));
    }

    #[test]
    fn a_cut_wakes_a_blocked_read_and_names_its_reason() {
        let (mut stream, _peer) = pair(Duration::from_secs(600));
        let line = Arc::clone(stream.line());
        let reader = thread::spawn(move || stream.read(&mut [0; 8]));
        line.cut(Limit::Shutdown);
        line.cut(Limit::Session);
        assert_eq!(expiry(reader.join().unwrap().unwrap_err()), Some(Limit::Shutdown));
    }

    #[test]
    fn a_time_out_is_only_set_again_when_it_must_be() {
        let now = clock::now();
        let remaining = |seconds| Deadline::within(now, Duration::from_secs(seconds)).remaining(now).unwrap();
        let in_force = Some(choose(remaining(300)));
        assert!(serves(in_force, remaining(300)) && serves(in_force, remaining(299)));
        assert!(
            !serves(in_force, remaining(200))
                && !serves(in_force, remaining(3600))
                && !serves(None, remaining(1))
        );
    }

    #[test]
    fn a_shortage_of_ours_is_told_from_what_a_peer_does() {
        let of = |errno: rustix::io::Errno| StreamError::Io(errno.into()).is_shortage();
        assert!(of(rustix::io::Errno::MFILE) && of(rustix::io::Errno::ADDRNOTAVAIL));
        assert!(!of(rustix::io::Errno::CONNREFUSED) && !StreamError::Closed.is_shortage());
    }

    #[test]
    fn the_end_of_the_stream_is_the_peers() {
        let (mut stream, peer) = pair(Duration::from_secs(5));
        drop(peer);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    }
}
