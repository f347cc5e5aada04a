//! TLS at the far side (RFC 3207), octets in and octets out: no socket, no clock. Certificates are self-signed, by ECDSA.
//!
//! Some hosts hand out tickets and take them back; others remember nothing, so that every handshake there is a full one.
//! What counts as a handshake is one that was done, here, at the peer.

use crate::talk::Next;
use rustls::server::NoServerSessionStorage;
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use std::io::{BufRead, Error, Result, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all hosts with TLS have in common.
pub struct Starttls {
    resuming: Arc<ServerConfig>,
    forgetful: Arc<ServerConfig>,
    full: AtomicU64,
    resumed: AtomicU64,
}

/// Handshakes so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshakes {
    pub full: u64,
    pub resumed: u64,
}

impl Starttls {
    /// With a certificate that nobody knows.
    ///
    /// # Errors
    /// What the makers of certificates and tickets say.
    pub fn new() -> Result<Starttls> {
        let mut resuming = config()?;
        resuming.ticketer = rustls::crypto::ring::Ticketer::new().map_err(Error::other)?;
        let mut forgetful = config()?;
        forgetful.session_storage = Arc::new(NoServerSessionStorage {});
        forgetful.send_tls13_tickets = 0;
        let (full, resumed) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Starttls { resuming: resuming.into(), forgetful: forgetful.into(), full, resumed })
    }

    /// The handshakes that were done so far.
    pub fn handshakes(&self) -> Handshakes {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Handshakes { full: load(&self.full), resumed: load(&self.resumed) }
    }

    /// A host's side of a new handshake; none when it cannot begin.
    pub fn begin(&self, resumes: bool) -> Option<Tls> {
        let config = if resumes { &self.resuming } else { &self.forgetful };
        let connection = ServerConnection::new(Arc::clone(config)).ok()?;
        Some(Tls { connection, counted: false })
    }
}

fn config() -> Result<ServerConfig> {
    let key = rcgen::generate_simple_self_signed(["far.test".to_owned()]).map_err(Error::other)?;
    let secret = key.signing_key.serialize_der().try_into().map_err(Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).map_err(Error::other)?;
    let builder = builder.with_no_client_auth();
    builder.with_single_cert(vec![key.cert.der().clone()], secret).map_err(Error::other)
}

/// One session under TLS.
pub struct Tls {
    connection: ServerConnection,
    /// Its handshake is done, and among the counts.
    counted: bool,
}

impl Tls {
    /// Takes octets from the wire, lets `talk` answer what they say, and writes the octets for the wire into `out`.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        counts: &Starttls,
        talk: impl FnMut(&[u8], &mut Vec<u8>) -> Next,
    ) -> Next {
        let next = self.open(bytes, counts, talk).unwrap_or(Next::Close);
        if next == Next::Close {
            self.connection.send_close_notify();
        }
        while self.connection.wants_write() && self.connection.write_tls(out).is_ok() {}
        next
    }

    fn open(
        &mut self,
        mut bytes: &[u8],
        counts: &Starttls,
        mut talk: impl FnMut(&[u8], &mut Vec<u8>) -> Next,
    ) -> Result<Next> {
        let (mut answer, mut next) = (Vec::new(), Next::Stay);
        while next == Next::Stay && !bytes.is_empty() {
            // Nothing more is read behind a close_notify.
            if self.connection.read_tls(&mut bytes)? == 0 {
                next = Next::Close;
            }
            self.connection.process_new_packets().map_err(Error::other)?;
            self.count(counts);
            let mut reader = self.connection.reader();
            while next == Next::Stay
                && let Ok(chunk) = reader.fill_buf()
                && !chunk.is_empty()
            {
                let length = chunk.len();
                next = talk(chunk, &mut answer);
                reader.consume(length);
            }
        }
        self.connection.writer().write_all(&answer)?;
        Ok(next)
    }

    fn count(&mut self, counts: &Starttls) {
        if self.counted || self.connection.is_handshaking() {
            return;
        }
        self.counted = true;
        let resumed = self.connection.handshake_kind() == Some(HandshakeKind::Resumed);
        let count = if resumed { &counts.resumed } else { &counts.full };
        count.fetch_add(1, Ordering::Relaxed);
    }
}
