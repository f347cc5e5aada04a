//! A connection to a destination: no socket without its slot, and the socket closes before the count goes down.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;

use super::{AddressHold, LineError, Lines, SecureError, Session, Slot, Stream, StreamError, Wire};
use crate::time::{Deadline, Phase, clock};

/// A connection. The order of the fields is the order of their drop: first nobody else may touch the socket, then it
/// closes, then the counts go down.
///
/// [`Connection::open`] takes the slot by value, so there is no connection without one:
///
/// ```compile_fail
/// use sendoff::net::{Connection, Session, Slot};
/// use std::{net::SocketAddr, sync::Arc, time::Duration};
/// fn twice(slot: Slot, session: &Arc<Session>, to: SocketAddr, limit: Duration, d: sendoff::time::Deadline) {
///     let _one = Connection::open(slot, session, "mx", to, d, limit);
///     let _two = Connection::open(slot, session, "mx", to, d, limit); // the slot is gone
/// }
/// ```
/// ```
/// use sendoff::net::{Connection, Session, Slot};
/// use std::{net::SocketAddr, sync::Arc, time::Duration};
/// fn once(slot: Slot, session: &Arc<Session>, to: SocketAddr, limit: Duration, d: sendoff::time::Deadline) {
///     let _one = Connection::open(slot, session, "mx", to, d, limit);
/// }
/// ```
#[derive(Debug)]
pub struct Connection {
    attached: Attached,
    wire: Wire,
    lines: Lines,
    hold: AddressHold,
    slot: Slot,
}

/// Takes the socket out of the session table before it closes.
#[derive(Debug)]
struct Attached(Arc<Session>);

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.detach();
    }
}

/// A connection that could not be opened: the slot comes back, for the next address.
#[derive(Debug)]
pub struct Refused {
    /// The slot, unused.
    pub slot: Slot,
    /// Why not; `None` when the address has as many connections as it may have.
    pub error: Option<StreamError>,
}

impl Connection {
    /// Connects to `address`, which the route calls `mx`, within `limit` and within the session that `deadline` holds.
    ///
    /// # Errors
    /// [`Refused`], with the slot.
    pub fn open(
        slot: Slot,
        session: &Arc<Session>,
        mx: &str,
        address: SocketAddr,
        mut deadline: Deadline,
        limit: Duration,
    ) -> Result<Connection, Box<Refused>> {
        let Some(hold) = slot.reach(address.ip()) else {
            return Err(Box::new(Refused { slot, error: None }));
        };
        let now = clock::now();
        deadline.enter(now, limit);
        session.phase(Phase::Connect, now, &deadline);
        let mut stream = match Stream::unconnected(address, deadline) {
            Ok(stream) => stream,
            Err(error) => return Err(Box::new(Refused { slot, error: Some(StreamError::Io(error)) })),
        };
        session.attach(mx, address, stream.line());
        let attached = Attached(Arc::clone(session));
        match stream.connect(address) {
            Ok(()) => {
                Ok(Connection { attached, wire: Wire::clear(stream), lines: Lines::default(), hold, slot })
            }
            Err(error) => {
                drop((attached, stream, hold));
                Err(Box::new(Refused { slot, error: Some(error) }))
            }
        }
    }

    /// A phase begins, and may take `limit`.
    pub fn enter(&mut self, phase: Phase, limit: Duration) {
        let now = clock::now();
        let deadline = self.wire.stream().deadline();
        deadline.enter(now, limit);
        self.attached.0.phase(phase, now, deadline);
    }

    /// From now on `per_second` octets must pass on average, after the limit of one block.
    pub fn demand(&mut self, per_second: u64, block: Duration) {
        self.wire.stream().deadline().demand(clock::now(), per_second, block);
    }

    /// Writes `octets` as part of a body: each piece that passes starts the limit of a block anew.
    ///
    /// # Errors
    /// [`StreamError`], by the deadline.
    pub fn write_block(&mut self, octets: &[u8], block: Duration) -> Result<(), StreamError> {
        let mut rest = octets;
        while !rest.is_empty() {
            let written = self.wire.write(rest).map_err(StreamError::from)?;
            if written == 0 {
                return Err(StreamError::Closed);
            }
            rest = &rest[written..];
            let deadline = self.wire.stream().deadline();
            deadline.progress(clock::now(), written, block);
            self.attached.0.moved(deadline);
        }
        Ok(())
    }

    /// Writes all of `octets`.
    ///
    /// # Errors
    /// [`StreamError`], by the deadline.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), StreamError> {
        self.wire.write_all(octets).map_err(StreamError::from)
    }

    /// The next line the server says.
    ///
    /// # Errors
    /// [`LineError`], by the deadline.
    pub fn line(&mut self) -> Result<&[u8], LineError> {
        self.lines.next(&mut self.wire)
    }

    /// Makes the TLS handshake, within the phase that was entered; from then on everything is under TLS.
    ///
    /// # Errors
    /// [`SecureError`]; the connection is only good to be closed then.
    pub fn secure(&mut self, tls: rustls::ClientConnection) -> Result<(), SecureError> {
        if !self.lines.is_empty() {
            return Err(SecureError::Injected);
        }
        self.wire.secure(tls)
    }

    /// Version and cipher that TLS has agreed on, once it has.
    pub fn agreed(&self) -> Option<(String, String)> {
        self.wire.agreed()
    }

    /// The certificates that the host has shown, its own first; none in the clear.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.wire.certificates()
    }

    /// Tells the server that nothing follows, before a close in good order.
    pub fn farewell(&mut self) {
        self.wire.farewell();
    }

    /// The session this connection belongs to.
    pub fn session(&self) -> &Arc<Session> {
        &self.attached.0
    }

    /// When this connection's session as a whole ends, as it stands now.
    pub fn ends(&mut self) -> Instant {
        self.wire.stream().deadline().ends().0
    }

    /// The address that is connected to.
    pub fn address(&self) -> std::net::IpAddr {
        self.hold.address()
    }

    /// The destination is proven: see [`Slot::promote`].
    pub fn promote(&mut self) {
        self.slot.promote();
        self.attached.0.promote();
    }

    /// Closes the connection and gives the slot back, for the next address.
    pub fn close(self) -> Slot {
        let Connection { attached, wire, lines, hold, slot } = self;
        drop((attached, wire, lines, hold));
        slot
    }
}
