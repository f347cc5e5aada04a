//! A stream in the clear or under TLS. Whoever reads lines and writes bodies does not see which.
//!
//! TLS stands above [`Stream`], so each `recv` and each `send` within a handshake or a record asks the deadline what is left:
//! a peer that drips a handshake byte by byte gains nothing. A write returns when what it took is with the system, whole
//! records of it, so that "it was written" means the same as in the clear.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use rustls::Connection as Tls;
use rustls::pki_types::CertificateDer;

use super::{Stream, StreamError};

/// The most octets of one write under TLS: one record (RFC 8446, 5.1).
const RECORD: usize = 16 * 1024;

/// Why there is no TLS. The stream is of no further use.
#[derive(Debug)]
pub enum SecureError {
    /// The peer had said more in the clear, behind the word that TLS begins: what somebody slipped in there would be taken
    /// for what came under TLS (RFC 3207, 6; CVE-2011-0411).
    Injected,
    /// The stream ended.
    Stream(StreamError),
    /// TLS said no, on their side or on ours.
    Tls(rustls::Error),
}

impl fmt::Display for SecureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecureError::Injected => f.write_str("plain text where TLS was to begin"),
            SecureError::Stream(error) => error.fmt(f),
            SecureError::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SecureError {}

impl From<StreamError> for SecureError {
    fn from(error: StreamError) -> SecureError {
        SecureError::Stream(error)
    }
}

impl From<io::Error> for SecureError {
    fn from(error: io::Error) -> SecureError {
        SecureError::Stream(error.into())
    }
}

/// The stream, and TLS over it once it has begun.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    tls: Option<Box<Tls>>,
}

impl Wire {
    /// In the clear.
    pub fn clear(stream: Stream) -> Wire {
        Wire { stream, tls: None }
    }

    /// The stream below, for its deadline and its end.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Version and cipher that TLS has agreed on, once it has: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
    pub fn agreed(&self) -> Option<(String, String)> {
        let tls = self.tls.as_ref()?;
        let version = tls.protocol_version()?.as_str()?.replace('_', ".");
        // The registry has no 13 in the names of 1.3; that is rustls's own.
        let cipher = tls.negotiated_cipher_suite()?.suite().as_str()?.replace("TLS13_", "TLS_");
        Some((version, cipher))
    }

    /// The certificates that the other side has shown, its own first; none in the clear.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().and_then(|tls| tls.peer_certificates()).unwrap_or_default()
    }

    /// Makes the handshake, on either side; from then on everything is under TLS.
    ///
    /// # Errors
    /// [`SecureError`], by the deadline of the stream.
    pub fn secure(&mut self, tls: impl Into<Tls>) -> Result<(), SecureError> {
        let mut tls = Box::new(tls.into());
        loop {
            send(&mut tls, &mut self.stream)?;
            if !tls.is_handshaking() {
                self.tls = Some(tls);
                return Ok(());
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Err(SecureError::Stream(StreamError::Closed));
            }
            if let Err(error) = tls.process_new_packets() {
                // Why, for their log. The handshake has failed whether or not they hear it.
                let _ = send(&mut tls, &mut self.stream);
                return Err(SecureError::Tls(error));
            }
        }
    }

    /// Tells the peer that nothing follows (RFC 8446, 6.1). In the clear there is no such word.
    pub fn farewell(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Everything is said by now: who has left already has lost nothing.
            let _ = send(tls, &mut self.stream);
        }
    }
}

/// Writes what TLS has to say.
fn send(tls: &mut Tls, stream: &mut Stream) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(stream)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end without a farewell is an error here: what came may not be all.
                done => return done,
            }
            send(tls, &mut self.stream)?;
            tls.read_tls(&mut self.stream)?;
            if let Err(error) = tls.process_new_packets() {
                // Why, for their log; ours has it anyway.
                let _ = send(tls, &mut self.stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.write(octets) };
        let piece = &octets[..octets.len().min(RECORD)];
        let taken = tls.writer().write(piece)?;
        send(tls, &mut self.stream)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
