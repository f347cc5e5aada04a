//! Handshakes with peers that stop: after each byte of theirs, and after each byte of ours, with TLS 1.3 and with TLS 1.2.
//!
//! Over real sockets, each in a session with a slot. Every one ends by the deadline of its phase, and the slot is back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::{Client, FallBack, Hop, Manner, Security, Trouble};
use crate::config::{Config, TlsMode};
use crate::mail::Destination;
use crate::net::{Caps, Ledger, Sessions, Standing};
use crate::smtp::Domain;
use crate::time::{Deadline, Phase, clock};
use crate::tls::Outbound;

/// What the peer does at most before it stops: says so many bytes of its handshake, hears so many of ours.
#[derive(Clone, Copy, Debug)]
struct Most {
    said: usize,
    heard: usize,
}

const WHOLE: Most = Most { said: usize::MAX, heard: usize::MAX };

/// How long a handshake may take here. A peer that does not stop needs a hundredth of it.
const LIMIT: Duration = Duration::from_millis(250);
/// Sessions at once.
const ABREAST: usize = 40;

fn server(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let key = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
    let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], secret).unwrap())
}

/// Plays a server that stops, on one connection; gives what it has said and heard of the handshake.
fn play(socket: &TcpStream, config: &Arc<ServerConfig>, most: Most) -> (usize, usize) {
    let mut lines = BufReader::new(socket);
    let mut out = socket;
    for (say, heard) in [("220 hi\r\n", "EHLO"), ("250-hi\r\n250 STARTTLS\r\n", "STARTTLS")] {
        out.write_all(say.as_bytes()).unwrap();
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with(heard), "{line}");
    }
    out.write_all(b"220 go\r\n").unwrap();
    let mut tls = ServerConnection::new(Arc::clone(config)).unwrap();
    let (mut said, mut heard) = (0, 0);
    let mut byte = [0];
    loop {
        while tls.wants_write() && tls.is_handshaking() {
            let mut flight = Vec::new();
            tls.write_tls(&mut flight).unwrap();
            flight.truncate(most.said - said);
            said += flight.len();
            if out.write_all(&flight).is_err() {
                return (said, heard);
            }
        }
        if said == most.said || heard == most.heard || !tls.is_handshaking() {
            // Nothing more, until the other side has had enough.
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
            return (said, heard);
        }
        if !matches!(lines.read(&mut byte), Ok(1)) {
            return (said, heard);
        }
        heard += 1;
        tls.read_tls(&mut &byte[..]).unwrap();
        if tls.process_new_packets().is_err() {
            return (said, heard);
        }
    }
}

/// One session with a peer that stops. Gives how it ended, and what the peer said and heard.
fn meet(config: &Arc<ServerConfig>, mode: TlsMode, most: Most) -> (Trouble, (usize, usize)) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::clone(config);
    let peer = thread::spawn(move || {
        let socket = listener.accept().unwrap().0;
        play(&socket, &config, most)
    });
    let (freed, _wakes) = crossbeam_channel::bounded(1);
    let ledger = Ledger::new(Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 }, freed);
    let slot = ledger.try_acquire(&Destination::parse("example.org").unwrap(), Standing::New, 1).unwrap();
    let deadline = Deadline::within(clock::now(), Duration::from_secs(60));
    let table = Sessions::new();
    let session = Arc::new(table.enter(&slot, clock::now(), &deadline));
    let mut settings = Config::default();
    let whole = most.said == usize::MAX && most.heard == usize::MAX;
    settings.timeouts.starttls = if whole { 20 * LIMIT } else { LIMIT };
    let outbound = Arc::new(Outbound::new(&settings.tls).unwrap());
    let security = Security { mode, implicit: false, outbound: Arc::clone(&outbound), credential: None };
    let hostname = Domain::parse("relay.test").unwrap();
    let manner = Arc::new(Manner { hostname, timeouts: settings.timeouts, security });
    let hop = Hop { name: "mx.example.org".into(), address };
    // The EHLO behind a whole handshake is not answered either: its limit is the same.
    let mut short = (*manner).clone();
    short.timeouts.ehlo = if most.said == usize::MAX { LIMIT } else { manner.timeouts.ehlo };
    let unopened = Client::open(slot, &session, &hop, &Arc::new(short), deadline).unwrap_err();
    let trouble = unopened.trouble.unwrap();
    if trouble.fall_back == FallBack::Later {
        assert!(outbound.troubled(address, clock::now()).is_some(), "{most:?}");
    }
    drop(unopened.slot);
    drop(session);
    assert_eq!((ledger.counts().total(), table.len()), (0, 0), "{most:?}");
    (trouble, peer.join().unwrap())
}

/// All of them, `ABREAST` at a time.
fn meet_all(
    version: &'static SupportedProtocolVersion,
    mode: TlsMode,
    all: &[Most],
    check: fn(&Trouble, Most),
) {
    let (config, next) = (server(version), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                while let Some(most) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (trouble, _) = meet(&config, mode, *most);
                    check(&trouble, *most);
                }
            });
        }
    });
}

fn timed_out(trouble: &Trouble, most: Most) {
    let words = trouble.failure.to_string();
    assert!(words.contains("timed out (time limit of the phase)"), "{most:?}: {words}");
    assert_eq!(trouble.failure.phase, Phase::Starttls, "{most:?}: {words}");
    assert_eq!(trouble.fall_back, FallBack::Later, "{most:?}: {words}");
}

/// With the last bytes of ours the handshake is over for us, and what is not answered is EHLO.
fn timed_out_or_over(trouble: &Trouble, most: Most) {
    let words = trouble.failure.to_string();
    assert!(words.contains("timed out (time limit of the phase)"), "{most:?}: {words}");
    assert!(matches!(trouble.failure.phase, Phase::Starttls | Phase::Ehlo), "{most:?}: {words}");
}

/// How long the two sides of a whole handshake are: the least that is seen, since a signature's length varies.
fn lengths(version: &'static SupportedProtocolVersion) -> (usize, usize) {
    let config = server(version);
    let seen = (0..5).map(|_| meet(&config, TlsMode::Opportunistic, WHOLE).1);
    seen.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))).unwrap()
}

fn stops_everywhere(version: &'static SupportedProtocolVersion) {
    let (theirs, ours) = lengths(version);
    assert!(theirs > 400 && ours > 200, "{theirs} {ours}");
    // A few bytes less than the whole: the certificate is another one.
    let said: Vec<_> = (0..theirs - 16).map(|said| Most { said, ..WHOLE }).collect();
    meet_all(version, TlsMode::Opportunistic, &said, timed_out);
    let heard: Vec<_> = (0..ours).map(|heard| Most { heard, ..WHOLE }).collect();
    meet_all(version, TlsMode::Opportunistic, &heard, timed_out_or_over);
}

#[test]
fn a_peer_that_stops_at_any_byte_of_tls_1_3_is_left_at_the_deadline() {
    stops_everywhere(&rustls::version::TLS13);
}

#[test]
fn a_peer_that_stops_at_any_byte_of_tls_1_2_is_left_at_the_deadline() {
    stops_everywhere(&rustls::version::TLS12);
}

/// Who insists on TLS defers, and does not go on in the clear, however long it was waited.
#[test]
fn who_insists_does_not_fall_back() {
    let (trouble, _) = meet(&server(&rustls::version::TLS13), TlsMode::Require, Most { said: 100, ..WHOLE });
    assert_eq!((trouble.fall_back, trouble.failure.phase), (FallBack::Never, Phase::Starttls));
}
