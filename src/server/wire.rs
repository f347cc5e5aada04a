//! The wire to one client: a stream, in the clear until TLS begins, and never again afterwards.
//!
//! TLS reads and writes through the stream, so the deadline holds for each record of a handshake as for each octet of a
//! command: a client that stalls at any of them is left when it is over.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::net::{Stream, StreamError};
use crate::time::Deadline;

/// The stream, and TLS over it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    tls: Option<Box<ServerConnection>>,
}

impl Wire {
    /// So much is encrypted at once: TLS's own buffer is twice as large and more.
    const BLOCK: usize = 16 * 1024;

    /// A wire in the clear.
    pub(super) fn new(stream: Stream) -> Wire {
        Wire { stream, tls: None }
    }

    /// The limits that hold.
    pub(super) fn deadline(&mut self) -> &mut Deadline {
        self.stream.deadline()
    }

    /// The handshake, by the stream's deadline. Whatever becomes of it, nothing is written in the clear any more.
    pub(super) fn secure(&mut self, terms: Arc<ServerConfig>) -> Result<(), StreamError> {
        let tls = ServerConnection::new(terms).map_err(|error| StreamError::Io(io::Error::other(error)))?;
        let tls = self.tls.insert(Box::new(tls));
        while tls.is_handshaking() {
            if tls.complete_io(&mut self.stream)? == (0, 0) {
                return Err(StreamError::Closed);
            }
        }
        Ok(())
    }

    /// Version and cipher, once there is TLS: `TLSv1.3 TLS_AES_256_GCM_SHA384`.
    pub(super) fn terms(&self) -> Option<String> {
        let tls = self.tls.as_ref().filter(|tls| !tls.is_handshaking())?;
        let version = tls.protocol_version()?.as_str()?.replace('_', ".");
        // The registry has no 13 in the names of 1.3; that is rustls's own.
        let cipher = tls.negotiated_cipher_suite()?.suite().as_str()?.replace("TLS13_", "TLS_");
        Some(format!("{version} {cipher}"))
    }

    /// Whether anything can be said: not in the middle of a handshake.
    pub(super) fn can_speak(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// Lets `span` pass; see [`Stream::rest`].
    pub(super) fn rest(&mut self, span: std::time::Duration) -> Result<(), StreamError> {
        self.stream.rest(span)
    }

    /// Says everything.
    pub(super) fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.stream.write_all(octets) };
        for block in octets.chunks(Wire::BLOCK) {
            tls.writer().write_all(block)?;
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Ok(())
    }

    /// Closes at once, with a reset.
    pub(super) fn abort(&mut self) {
        self.stream.abort();
    }

    /// Ends our side, so that the client reads to the end of what we said.
    pub(super) fn finish(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // What cannot be said any more is missed by nobody who has heard our last words.
            while tls.wants_write() && tls.write_tls(&mut self.stream).is_ok() {}
        }
        self.stream.shutdown_write();
    }

    /// Reads octets to be thrown away, below TLS; 0 at the end.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(buffer),
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).read(buffer),
        }
    }
}
