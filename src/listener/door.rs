//! A door: a listening socket. It is opened apart from everything else, since it may need a privilege that is given up
//! before mail is served.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Listen;

/// A door that cannot be opened: the address, and why.
#[derive(Debug)]
pub struct DoorError {
    /// The address of `listen.smtp` or `listen.smtps`.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)
    }
}

impl std::error::Error for DoorError {}

/// A listening socket.
#[derive(Debug)]
pub struct Door {
    socket: Socket,
    address: SocketAddr,
    tls_first: bool,
}

/// What happened at a door.
pub(super) enum Knock {
    /// A client came.
    Client(Socket, SocketAddr),
    /// A client may have come, but the system has no means to let it in: no descriptor, no memory.
    Trouble(io::Error),
    /// The house closes.
    Closing,
}

impl Door {
    /// Clients that may wait at the door; the system may allow fewer.
    const BACKLOG: i32 = 1024;
    /// A wait at the door is looked at again so often: nothing in the program waits without an end.
    const ROUND: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
    /// How long a door rests after trouble.
    const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

    /// Listens on `address`. An IPv6 address takes IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
    ///
    /// # Errors
    /// [`DoorError`]: the address is in use, is not ours, or needs a privilege.
    pub fn open(address: SocketAddr) -> Result<Door, DoorError> {
        listen(address, false).map_err(|error| DoorError { address, error })
    }

    /// The same, and TLS comes before the first word (RFC 8314, 3.3).
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn open_tls(address: SocketAddr) -> Result<Door, DoorError> {
        listen(address, true).map_err(|error| DoorError { address, error })
    }

    /// A door at each address of `listen.smtp` and `listen.smtps`.
    ///
    /// # Errors
    /// The first that cannot be opened.
    pub fn open_all(listen: &Listen) -> Result<Vec<Door>, DoorError> {
        let plain = listen.smtp.iter().map(|address| Door::open(*address));
        plain.chain(listen.smtps.iter().map(|address| Door::open_tls(*address))).collect()
    }

    /// Whether TLS comes before the first word.
    pub fn is_tls_first(&self) -> bool {
        self.tls_first
    }

    /// The address that is listened on; with its true port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next client, until the other end of `closing` is gone.
    pub(super) fn next(&self, closing: &UnixStream) -> Knock {
        loop {
            let mut fds = [PollFd::new(closing, PollFlags::IN), PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut fds, Some(&Self::ROUND)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Knock::Trouble(errno.into()),
            }
            if !fds[0].revents().is_empty() {
                return Knock::Closing;
            }
            if fds[1].revents().is_empty() {
                continue;
            }
            match self.socket.accept() {
                Ok((socket, address)) => {
                    if let Some(address) = address.as_socket() {
                        return Knock::Client(socket, address);
                    }
                }
                Err(error) if came_to_nothing(&error) => {}
                Err(error) => return Knock::Trouble(error),
            }
        }
    }

    /// Rests after trouble; shorter when the house closes.
    pub(super) fn rest(closing: &UnixStream) {
        // An error, or a signal, only ends the rest early.
        let _ = poll(&mut [PollFd::new(closing, PollFlags::IN)], Some(&Self::REST));
    }
}

/// Somebody knocked and was gone, or another wake-up was quicker.
fn came_to_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted | ConnectionReset)
}

fn listen(address: SocketAddr, tls_first: bool) -> io::Result<Door> {
    #[allow(clippy::disallowed_methods)]
    // A listening socket has no peer that could hold it up; it only ever polls.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for the last connections to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(Door::BACKLOG)?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Door { socket, address: bound, tls_first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_listened_on_once_and_the_error_names_it() {
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        assert_ne!(door.address().port(), 0);
        let error = Door::open_tls(door.address()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {}: ", door.address())), "{error}");
    }

    #[test]
    fn a_wait_at_the_door_ends_when_the_house_closes() {
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let (house, closing) = UnixStream::pair().unwrap();
        let waiting = std::thread::spawn(move || matches!(door.next(&closing), Knock::Closing));
        drop(house);
        assert!(waiting.join().unwrap());
    }
}
