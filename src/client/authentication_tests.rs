//! Hosts that repeat in their last words what they were told in AUTH.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Client, Hop, Manner, Security, Trouble};
use crate::config::{Config, TlsMode};
use crate::mail::Destination;
use crate::net::{Caps, Ledger, Sessions, Standing};
use crate::sasl::Credentials;
use crate::smtp::Domain;
use crate::time::{Deadline, Phase, clock};
use crate::tls::Outbound;

/// Plays a host under TLS, whose answer to AUTH is `last`, with what it was told in the place of `@`.
fn play(socket: TcpStream, last: &str) {
    let key = rcgen::generate_simple_self_signed(["mx.example.org".to_owned()]).unwrap();
    let secret = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(rustls::ALL_VERSIONS);
    let config = config.unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![key.cert.der().clone()], secret).unwrap());
    let mut tls = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket));
    tls.get_mut().write_all(b"220 hi\r\n").unwrap();
    let mut line = String::new();
    tls.read_line(&mut line).unwrap();
    tls.get_mut().write_all(b"250-hi\r\n250 AUTH PLAIN\r\n").unwrap();
    line.clear();
    tls.read_line(&mut line).unwrap();
    let told = line.trim_end().strip_prefix("AUTH PLAIN ").unwrap();
    tls.get_mut().write_all(last.replace('@', told).as_bytes()).unwrap();
    // Until the other side has had enough.
    let _ = std::io::copy(&mut tls, &mut std::io::sink());
}

/// A session with such a host, and how it ended.
fn meet(last: &'static str, password: &str) -> Trouble {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || play(listener.accept().unwrap().0, last));
    let to = Destination::parse(&format!("smtps://[{}]:{}", address.ip(), address.port())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    std::fs::write(&path, format!("{}:{} ann password {password}\n", to.host(), address.port())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let credential = Credentials::load(Some(&path)).unwrap().of(&to);
    let (freed, _wakes) = crossbeam_channel::bounded(1);
    let ledger = Ledger::new(Caps { pool: 1, new: 1, suspect: 1, destination: 1, address: 1 }, freed);
    let slot = ledger.try_acquire(&to, Standing::New, 1).unwrap();
    let deadline = Deadline::within(clock::now(), Duration::from_secs(60));
    let session = Arc::new(Sessions::new().enter(&slot, clock::now(), &deadline));
    let settings = Config::default();
    let outbound = Arc::new(Outbound::new(&settings.tls).unwrap());
    let security = Security { mode: TlsMode::Require, implicit: true, outbound, credential };
    let hostname = Domain::parse("relay.test").unwrap();
    let manner = Arc::new(Manner { hostname, timeouts: settings.timeouts, security });
    let hop = Hop { name: "mx.example.org".into(), address };
    let unopened = Client::open(slot, &session, &hop, &manner, deadline).unwrap_err();
    peer.join().unwrap();
    unopened.trouble.unwrap()
}

/// 421 ends a conversation whenever it comes, and so does what is no reply: neither was looked at for the secret, and the log,
/// the queue and the bounce had it.
#[test]
fn a_host_that_breaks_off_and_repeats_the_secret_is_not_quoted() {
    let long = "sesame".repeat(60);
    for (last, words) in [
        ("535 5.7.8 @ is wrong\r\n", "repeated the secret"),
        ("421 4.7.0 @ is wrong\r\n", "repeated the secret"),
        ("@\r\n", "not an SMTP reply"),
    ] {
        for password in ["sesame", &long] {
            let failure = meet(last, password).failure;
            let said = failure.to_string();
            assert!(said.contains(words), "{last}: {said}");
            // The middle of the base 64 of "sesame", wherever it begins.
            for form in ["sesame", "c2VzYW", "Nlc2Ft", "zZXNhb"] {
                assert!(!said.contains(form) && !format!("{failure:?}").contains(form), "{last}: {said}");
            }
            assert_eq!(failure.phase, Phase::Auth);
        }
    }
    let said = meet("421 4.7.0 not now\r\n", "sesame").failure.to_string();
    assert!(said.contains("421 4.7.0 not now"), "{said}");
}
