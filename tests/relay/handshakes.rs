//! Handshakes that stall: after each octet that a client sends, after each that it reads, and where it reads nothing and we
//! cannot write on. Each ends at its deadline, and its seat is back.

use crate::client::Client;
use crate::guarded::{SecureClient, client_side, guarded, pem, smtps_addr, write_secret};
use crate::house::House;
use crate::wait::{SOON, wait_until};
use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Clients at once, and seats.
const SEATS: usize = 150;
/// The limit of a handshake; every other limit is far beyond what a test waits for.
const LIMIT: &str = "1500ms";
/// What the log says of each.
const ENDED: &str = "TLS handshake: timed out (time limit of the phase)";

fn house() -> (House, CertificateDer<'static>) {
    let (house, root) = guarded();
    let house = house
        .set("timeouts.client_handshake", LIMIT)
        .set("timeouts.client", "10m")
        .set("timeouts.client_session", "1h")
        .set("listen.clients", SEATS);
    (house, root)
}

/// The handshake until so many octets have been sent or read, and no further. Returns how many went each way.
fn handshake(tls: &mut ClientConnection, stream: &mut TcpStream, send: usize, read: usize) -> (usize, usize) {
    let (mut sent, mut heard) = (0, 0);
    while tls.is_handshaking() || tls.wants_write() {
        if tls.wants_write() {
            // A client that is to stop reading answers nothing, even if it has read all: a signature is an octet or two
            // shorter at times.
            if read < usize::MAX && heard > 0 {
                break;
            }
            let mut out = Vec::new();
            tls.write_tls(&mut out).unwrap();
            let part = out.len().min(send - sent);
            // A machine that was busy elsewhere for the whole limit is not a failure: it has stalled as well.
            let lost = stream.write_all(&out[..part]).is_err();
            sent += part;
            if lost || part < out.len() {
                break;
            }
        } else {
            let mut octets = vec![0; (read - heard).min(4096)];
            if octets.is_empty() {
                break;
            }
            let Ok(count @ 1..) = stream.read(&mut octets) else { break };
            heard += count;
            let mut octets = &octets[..count];
            while !octets.is_empty() {
                tls.read_tls(&mut octets).unwrap();
                tls.process_new_packets().unwrap();
            }
        }
    }
    (sent, heard)
}

/// How far each client goes, of a whole handshake.
type Places = fn((usize, usize)) -> Vec<(usize, usize)>;

/// A connection on which TLS is to begin.
type Begin = fn(&House) -> TcpStream;

fn tls_first(house: &House) -> TcpStream {
    TcpStream::connect(smtps_addr(house)).unwrap()
}

fn start_tls(house: &House) -> TcpStream {
    let mut client = Client::greet(house.smtp_addr()).unwrap();
    assert_eq!(client.ask("STARTTLS").unwrap().code, 220);
    client.stream().try_clone().unwrap()
}

/// True at the end of the stream, in whichever way the other side ended it.
fn is_ended(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SOON * 2)).unwrap();
    let mut octets = [0; 4096];
    loop {
        match stream.read(&mut octets) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

/// Every seat can be taken again, all at the same time.
#[track_caller]
fn every_seat_is_free(house: &House) {
    wait_until("every seat to be free", SOON, || {
        let mut clients: Vec<_> = (0..SEATS).map(|_| house.smtp()).collect();
        let said = clients.iter_mut().map(|client| client.hear().map_or(0, |reply| reply.code));
        let free = said.filter(|code| *code == 220).count();
        if free == SEATS { Ok(()) } else { Err(format!("{free} of {SEATS}")) }
    });
}

fn count(house: &House, words: &str) -> usize {
    house.log().matches(words).count()
}

/// A client for each place, as many at once as there are seats; each is left at the deadline.
fn stalls(begin: Begin, places: Places) {
    let (house, root) = house();
    let house = house.start();
    let whole = wait_until("a whole handshake", SOON, || {
        let mut tls = client_side(&root);
        let whole = handshake(&mut tls, &mut begin(&house), usize::MAX, usize::MAX);
        (!tls.is_handshaking()).then_some(whole)
    });
    every_seat_is_free(&house);
    let places = places(whole);
    for batch in places.chunks(SEATS) {
        let stalled = batch.iter().map(|(send, read)| {
            let mut stream = begin(&house);
            handshake(&mut client_side(&root), &mut stream, *send, *read);
            stream
        });
        let stalled: Vec<_> = stalled.collect();
        for (place, mut stream) in batch.iter().zip(stalled) {
            assert!(is_ended(&mut stream), "{place:?} of {whole:?}");
        }
        every_seat_is_free(&house);
    }
    wait_until("each end in the log", SOON, || count(&house, ENDED) >= places.len());
    // Everybody else is served as before.
    let mut client = SecureClient::connect(&house, &root);
    client.dialogue(&[("EHLO client.test", 250), ("QUIT", 221)]);
}

fn each_octet_sent((sent, _): (usize, usize)) -> Vec<(usize, usize)> {
    (0..sent).map(|n| (n, usize::MAX)).collect()
}

/// A client that stops reading also stops sending: it has not seen what it is to answer.
fn each_octet_read((_, read): (usize, usize)) -> Vec<(usize, usize)> {
    (0..read).map(|n| (usize::MAX, n)).collect()
}

#[test]
fn a_client_that_stops_sending_is_left_at_the_deadline() {
    stalls(tls_first, each_octet_sent);
}

#[test]
fn a_client_that_stops_reading_is_left_at_the_deadline() {
    stalls(tls_first, each_octet_read);
}

#[test]
fn a_client_that_stops_behind_starttls_is_left_at_the_deadline() {
    stalls(start_tls, each_octet_sent);
}

/// A chain too long for the buffers of both sides, to a client that takes none of it: now it is we who cannot write.
#[test]
fn a_client_that_takes_nothing_is_left_at_the_deadline() {
    let (house, root) = house();
    let names: Vec<_> = (0..1500).map(|n| format!("name-number-{n:05}.relay.test")).collect();
    let padding = rcgen::generate_simple_self_signed(names).unwrap().cert.pem();
    let (chain, _) = pem(&house);
    let own = std::fs::read_to_string(&chain).unwrap();
    write_secret(&chain, &(own + &padding.repeat(150)));
    let house = house.start();
    let mut hello = Vec::new();
    client_side(&root).write_tls(&mut hello).unwrap();
    let clients = (0..8).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        socket.connect(&smtps_addr(&house).into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&hello).unwrap();
        stream
    });
    let clients: Vec<_> = clients.collect();
    wait_until("each end in the log", SOON, || count(&house, ENDED) == clients.len());
    every_seat_is_free(&house);
    // It was the end of a write: not all of the chain ever left us.
    for mut stream in clients {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        assert!(got.len() < 150 * 40_000, "{}", got.len());
    }
}

/// Within TLS a client is left as it would be without: when it says nothing, and when it hears nothing.
#[test]
fn silence_and_deafness_within_tls_end_at_their_deadline() {
    let (house, root) = guarded();
    let house = house.set("timeouts.client", "700ms").set("listen.clients", SEATS).start();
    let mut silent = SecureClient::connect(&house, &root);
    let reply = silent.hear().unwrap();
    assert!(reply.code == 421 && reply.text().starts_with("4.4.2"), "{reply}");
    assert!(silent.hear().is_err());
    let mut deaf = SecureClient::connect(&house, &root);
    let commands = "HELP\r\n".repeat(1000);
    // Ends because the other side does.
    while deaf.say(&commands).is_ok() {}
    every_seat_is_free(&house);
}

/// What is no TLS at all is told so in TLS, not served in the clear, and gone at once.
#[test]
fn what_is_no_tls_is_sent_away() {
    let (house, _) = house();
    let house = house.start();
    let doors: [(SocketAddr, &[u8]); 4] = [
        (smtps_addr(&house), b"EHLO client.test\r\n"),
        (smtps_addr(&house), b"GET / HTTP/1.1\r\n\r\n"),
        (smtps_addr(&house), b"\x16\x03\x01\xff\xff"),
        (smtps_addr(&house), &[0x80; 3000]),
    ];
    for (addr, words) in doors {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(words).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        // An alert, or nothing: never a word of SMTP.
        assert!(
            got.first().is_none_or(|octet| *octet == 0x15) && !got.starts_with(b"2"),
            "{words:?}: {got:?}"
        );
    }
    wait_until("each in the log", SOON, || count(&house, "TLS handshake: ") == doors.len());
    every_seat_is_free(&house);
}
