//! A rest: time that passes while the peer waits for us. It ends when the peer goes, so that nobody rests for one who has gone.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Stream, StreamError};
use crate::time::{Deadline, Expired, Limit, clock};

impl Stream {
    /// Lets `span` pass, whatever the peer sends meanwhile; that stays unread.
    ///
    /// # Errors
    /// [`StreamError::Closed`] as soon as the peer, or a [`Cutter`](super::Cutter), has ended the reading side: a peer that
    /// sends no more gets no answer sooner. [`StreamError::Expired`] when the stream's own deadline comes first.
    pub fn rest(&mut self, span: Duration) -> Result<(), StreamError> {
        let end = Deadline::within(clock::now(), span);
        loop {
            let left = self.remaining()?;
            let Ok(rest) = end.remaining(clock::now()) else { return Ok(()) };
            let wait = rest.get().min(left.get());
            // Cannot fail: a deadline is at most days away.
            let wait = Timespec::try_from(wait).map_err(|_| StreamError::Expired(Expired(Limit::Phase)))?;
            let mut fds = [PollFd::new(self.socket(), PollFlags::RDHUP)];
            match poll(&mut fds, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(StreamError::Io(errno.into())),
            }
            if !fds[0].revents().is_empty() {
                // A cut is the reason then, not the peer.
                return self.remaining().map_err(StreamError::from).and(Err(StreamError::Closed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, SocketAddr, TcpListener};

    fn pair(limit: Duration) -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let deadline = Deadline::within(clock::now(), limit);
        let stream = Stream::dial(listener.local_addr().unwrap(), deadline).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_rest_passes_whatever_is_said() {
        let (mut stream, mut peer) = pair(LONG);
        peer.write_all(b"hurry").unwrap();
        let began = clock::now();
        assert!(stream.rest(Duration::from_millis(60)).is_ok());
        assert!(clock::now() - began >= Duration::from_millis(60));
    }

    #[test]
    fn a_rest_ends_with_the_peer_the_deadline_or_the_house() {
        let (mut stream, peer) = pair(LONG);
        peer.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(stream.rest(LONG), Err(StreamError::Closed)));
        let (mut stream, peer) = pair(LONG);
        drop(peer);
        assert!(matches!(stream.rest(LONG), Err(StreamError::Closed)));
        let (mut stream, _peer) = pair(Duration::from_millis(30));
        assert!(matches!(stream.rest(LONG), Err(StreamError::Expired(Expired(Limit::Phase)))));
        let (mut stream, _peer) = pair(LONG);
        stream.cutter().end_reading();
        assert!(matches!(stream.rest(LONG), Err(StreamError::Closed)));
        let (mut stream, _peer) = pair(LONG);
        stream.cutter().cut(Limit::Shutdown);
        assert!(matches!(stream.rest(LONG), Err(StreamError::Expired(Expired(Limit::Shutdown)))));
    }
}
