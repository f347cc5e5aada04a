//! A host that speaks TLS, by STARTTLS or from the first byte, with a certificate as a test wants it; and tricks that a
//! host, or somebody on the way, may play there. It takes every message and keeps how each came.

use super::door::{Counts, Door, End, Guest, Peer};
use crate::wait::{SOON, pause, wait_until};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static NUMBER: AtomicUsize = AtomicUsize::new(1);

/// Who signs certificates here.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A name that nobody else signs by.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate as a file: what `tls.roots` names.
    pub fn roots(&self, dir: &Path) -> PathBuf {
        let path = dir.join("roots.pem");
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }

    /// A certificate for this name.
    pub fn host(&self, name: &str) -> Arc<ServerConfig> {
        self.sign(CertificateParams::new(vec![name.to_string()]).unwrap())
    }

    /// A certificate for this name, four others below our own.
    pub fn deep(&self, name: &str) -> Arc<ServerConfig> {
        let mut chain: Vec<CertifiedIssuer<'static, KeyPair>> = Vec::new();
        for depth in 0..4 {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, format!("{name}, {depth} below"));
            let above = chain.last().unwrap_or(&self.0);
            chain.push(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), above).unwrap());
        }
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let last = params.signed_by(&key, chain.last().unwrap()).unwrap();
        let above = chain.iter().rev().map(|issuer| issuer.der().clone());
        config([last.der().clone()].into_iter().chain(above).collect(), &key)
    }

    /// One that has expired.
    pub fn expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// A certificate for this name, and its key, as files.
    pub fn files(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_string()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let paths = ["cert", "key"].map(|what| dir.join(format!("{name}.{what}.pem")));
        std::fs::write(&paths[0], certificate.pem()).unwrap();
        std::fs::write(&paths[1], key.serialize_pem()).unwrap();
        let [certificate, key] = paths;
        (certificate, key)
    }

    fn sign(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        config(vec![certificate.der().clone()], &key)
    }
}

/// A certificate that nobody but its host has signed.
pub fn self_signed(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_string()]).unwrap().self_signed(&key).unwrap();
    config(vec![certificate.der().clone()], &key)
}

/// Terms of a host that wants a certificate of its clients, as nobody has one. With TLS 1.3 they hear of it behind a handshake
/// that is whole for them.
pub fn demanding(name: &str) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_string()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let chain = vec![certificate.der().clone()];
    Arc::new(builder.with_client_cert_verifier(verifier).with_single_cert(chain, secret).unwrap())
}

fn config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).unwrap().with_no_client_auth();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder.with_single_cert(chain, secret).unwrap())
}

/// Where TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// After STARTTLS.
    Starttls,
    /// With the connection.
    AtOnce,
}

/// What is done in place of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Nothing: an honest handshake.
    None,
    /// 220 to STARTTLS and these words behind it, in one write; then an honest handshake.
    Behind(&'static str),
    /// This in place of the 220.
    Refuses(&'static str),
    /// 220, then this text in answer to the handshake.
    Says(&'static str),
    /// 220, then silence.
    Silent,
    /// 220, then an honest handshake, a byte at a time.
    Drips(Duration),
    /// 220, then a close.
    Closes,
}

/// One message, and how it came.
#[derive(Clone, Debug)]
pub struct Letter {
    pub forward_path: String,
    /// None in the clear; else whether the session was resumed.
    pub tls: Option<HandshakeKind>,
    /// The name that was asked for.
    pub sni: Option<String>,
}

#[derive(Debug, Default)]
struct Book {
    letters: Vec<Letter>,
    /// Everything that was said in the clear.
    clear: Vec<String>,
}

/// A host that speaks TLS.
pub struct SecureHost {
    door: Door,
    book: Arc<Mutex<Book>>,
    trick: Arc<Mutex<Trick>>,
}

impl SecureHost {
    pub fn start(addr: SocketAddr, tls: Arc<ServerConfig>, begins: Begins, trick: Trick) -> SecureHost {
        let (book, trick) = (Arc::new(Mutex::new(Book::default())), Arc::new(Mutex::new(trick)));
        let door = {
            let (book, trick) = (book.clone(), trick.clone());
            Door::open(addr, move |guest| {
                let trick = *trick.lock();
                let visit = Visit { guest, book: &book, tls: &tls, trick, begins };
                // However it ends, it is over; the tests look at what was kept.
                let _ = visit.run();
                guest.wait_hang_up(Some(Duration::from_secs(5)));
                End::Theirs
            })
        };
        SecureHost { door, book, trick }
    }

    /// Later connections meet this.
    pub fn trick(&self, trick: Trick) {
        *self.trick.lock() = trick;
    }

    /// Waits for so many messages, and gives all.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Letter> {
        wait_until(&format!("{count} messages"), SOON, || {
            let book = self.book.lock();
            (book.letters.len() >= count).then(|| book.letters.clone()).ok_or_else(|| format!("{book:?}"))
        })
    }

    /// How many messages so far.
    pub fn count(&self) -> usize {
        self.book.lock().letters.len()
    }

    /// Everything that was said to it in the clear.
    pub fn clear(&self) -> Vec<String> {
        self.book.lock().clear.clone()
    }
}

impl Peer for SecureHost {
    fn addr(&self) -> SocketAddr {
        self.door.addr()
    }
    fn counts(&self) -> Counts {
        self.door.counts()
    }
}

struct Visit<'a> {
    guest: &'a Guest,
    book: &'a Mutex<Book>,
    tls: &'a Arc<ServerConfig>,
    trick: Trick,
    begins: Begins,
}

/// What both sides of a wire can do.
trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A socket that writes a byte at a time, with a pause before each.
struct Dripping<'a>(&'a TcpStream, Duration);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Dripping<'_> {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        pause(self.1);
        self.0.write(&octets[..octets.len().min(1)])
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Visit<'_> {
    fn run(&self) -> std::io::Result<()> {
        let mut socket = self.guest.stream();
        if self.begins == Begins::Starttls && !self.talk(&mut socket, None, true)? {
            return Ok(());
        }
        match self.trick {
            Trick::Silent => {
                self.guest.wait_hang_up(None);
                return Ok(());
            }
            Trick::Closes => return socket.shutdown(std::net::Shutdown::Both),
            Trick::Says(text) => {
                // After the first octets of a handshake: before, it would be behind the 220.
                let mut octets = [0; 5];
                socket.read_exact(&mut octets)?;
                return socket.write_all(text.as_bytes());
            }
            Trick::None | Trick::Behind(_) | Trick::Refuses(_) | Trick::Drips(_) => {}
        }
        let mut tls = ServerConnection::new(self.tls.clone()).unwrap();
        if let Trick::Drips(gap) = self.trick {
            tls.complete_io(&mut Dripping(socket, gap))?;
        }
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        let how = (tls.handshake_kind().unwrap(), tls.server_name().map(str::to_string));
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        self.talk(&mut stream, Some(how), self.begins == Begins::AtOnce).map(drop)
    }

    /// SMTP until QUIT, or until TLS is to begin: true.
    fn talk(
        &self,
        wire: &mut dyn Wire,
        how: Option<(HandshakeKind, Option<String>)>,
        greets: bool,
    ) -> std::io::Result<bool> {
        let say = |wire: &mut dyn Wire, text: &str| {
            wire.write_all(format!("{text}\r\n").as_bytes()).and_then(|()| wire.flush())
        };
        if greets {
            say(wire, "220 secure.test")?;
        }
        let mut to = String::new();
        loop {
            let line = read_line(wire)?;
            if how.is_none() {
                self.book.lock().clear.push(line.clone());
            }
            match line.split(' ').next().unwrap_or("") {
                "EHLO" if how.is_none() => say(wire, "250-secure.test\r\n250 STARTTLS")?,
                "EHLO" => say(wire, "250 secure.test")?,
                "STARTTLS" => match self.trick {
                    Trick::Refuses(reply) => say(wire, reply)?,
                    Trick::Behind(words) => {
                        wire.write_all(format!("220 go on\r\n{words}").as_bytes())?;
                        return Ok(true);
                    }
                    _ => {
                        say(wire, "220 go on")?;
                        return Ok(true);
                    }
                },
                "DATA" => {
                    say(wire, "354 go on")?;
                    while read_line(wire)? != "." {}
                    let (tls, sni) = how.clone().unzip();
                    let sni = sni.flatten();
                    let letter = Letter { forward_path: std::mem::take(&mut to), tls, sni };
                    self.book.lock().letters.push(letter);
                    say(wire, "250 taken")?;
                }
                "RCPT" => {
                    to = line.trim_start_matches("RCPT TO:<").trim_end_matches('>').to_string();
                    say(wire, "250 ok")?;
                }
                "QUIT" => {
                    say(wire, "221 bye")?;
                    return Ok(false);
                }
                _ => say(wire, "250 ok")?,
            }
        }
    }
}

/// A line without its end; an error at the end of the stream.
fn read_line(wire: &mut dyn Wire) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        if wire.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_string())
}
