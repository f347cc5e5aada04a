//! A listener with real clients.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::{Door, Listener, Rules};
use crate::config::{Config, Network};
use crate::server::memory::{Memory, Mood, Peer};
use crate::smtp::Domain;
use crate::time::clock;

const LONG: Duration = Duration::from_secs(10);

struct House {
    memory: Memory,
    settings: Arc<RwLock<Arc<Config>>>,
    listener: Listener,
    address: SocketAddr,
}

fn house(clients: usize) -> House {
    let mut config = Config { hostname: Domain::parse("relay.example").unwrap(), ..Config::default() };
    config.listen.clients = clients;
    let settings = Arc::new(RwLock::new(Arc::new(config)));
    let doors = vec![Door::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()];
    let rules = Rules::of(Arc::clone(&settings)).unwrap();
    let address = doors[0].address();
    let memory = Memory::default();
    let listener = Listener::start(doors, rules, Arc::new(memory.clone())).unwrap();
    House { memory, settings, listener, address }
}

impl House {
    /// Waits until so many clients are served: the one place of these tests that waits for time to pass.
    fn until(&self, clients: usize) {
        let (_never, tick) = crossbeam_channel::bounded::<()>(0);
        let end = clock::now() + LONG;
        while self.listener.counts().now != clients {
            assert!(clock::now() < end, "{:?}, not {clients} clients", self.listener.counts());
            let _ = tick.recv_timeout(Duration::from_millis(1));
        }
    }
}

/// A whole visit.
fn send(address: SocketAddr) {
    let mut peer = Peer::to_data(address);
    peer.say("hi\r\n.\r\nQUIT\r\n");
    peer.expect(&["250 2.0.0 queued", "221"]);
}

#[test]
fn who_finds_no_seat_is_told_so_and_a_seat_comes_back() {
    let house = house(2);
    let first = Peer::to_data(house.address);
    let _second = Peer::to_data(house.address);
    let mut third = Peer::to(house.address);
    third.expect(&["421 4.3.2"]);
    assert!(third.rest().is_empty());
    assert_eq!(house.listener.clients().view().len(), 2);
    drop(first);
    house.until(1);
    send(house.address);
    let counts = house.listener.counts();
    assert_eq!((counts.served, counts.turned_away), (3, 1));
}

#[test]
fn a_panic_ends_one_client_and_no_thread() {
    let house = house(1);
    for _ in 0..3 {
        house.memory.mood(Mood::Panics);
        let mut peer = Peer::to_data(house.address);
        peer.say("hi\r\n.\r\n");
        assert_eq!(peer.hear(), "");
        house.until(0);
        house.memory.mood(Mood::Keeps);
        send(house.address);
        house.until(0);
    }
    assert_eq!((house.memory.kept().len(), house.memory.open()), (3, 0));
    assert_eq!(house.listener.stop(LONG), 0);
}

#[test]
fn stop_sends_the_idle_away_and_lets_data_finish() {
    let house = house(4);
    let mut idle = Peer::to(house.address);
    idle.expect(&["220"]);
    let mut busy = Peer::to_data(house.address);
    busy.say("half a ");
    let (address, listener, memory) = (house.address, house.listener, house.memory);
    let stopping = std::thread::spawn(move || listener.stop(LONG));
    idle.expect(&["421 4.3.2"]);
    assert!(idle.rest().is_empty());
    busy.say("message\r\n.\r\n");
    busy.expect(&["250 2.0.0 queued", "421 4.3.2"]);
    assert!(busy.rest().is_empty());
    drop((idle, busy));
    assert_eq!((stopping.join().unwrap(), memory.kept().len()), (0, 1));
    // The door is gone.
    let deadline = crate::time::Deadline::within(clock::now(), LONG);
    assert!(crate::net::Stream::dial(address, deadline).is_err());
}

#[test]
fn stop_cuts_who_does_not_finish() {
    let house = house(4);
    let mut busy = Peer::to_data(house.address);
    busy.say("half a ");
    let began = clock::now();
    assert_eq!(house.listener.stop(Duration::from_millis(50)), 1);
    assert!(clock::now() < began + Duration::from_secs(5));
    assert_eq!((house.memory.kept().len(), house.memory.open()), (0, 0));
    assert!(busy.rest().is_empty());
}

#[test]
fn a_reload_is_for_the_next_client() {
    let house = house(4);
    let mut before = Peer::to(house.address);
    before.expect(&["220"]);
    let mut config = Config::clone(&house.settings.read());
    config.listen.relay_from = vec![Network::parse("192.0.2.0/24").unwrap()];
    *house.settings.write() = Arc::new(config);
    let mut after = Peer::to(house.address);
    after.expect(&["220"]);
    for (peer, reply) in [(&mut before, "250 2.1.5"), (&mut after, "550 5.7.1")] {
        peer.say("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n");
        peer.expect(&["250-", "250", reply]);
    }
}

#[test]
fn clients_of_every_kind_leave_no_thread_behind() {
    let house = house(8);
    let address = house.address;
    let visitors: Vec<_> = (0..8)
        .map(|n| {
            std::thread::spawn(move || {
                for _ in 0..10 {
                    match n % 4 {
                        0 => drop(Peer::to(address)),
                        1 => Peer::to_data(address).say("gone in the mid"),
                        2 => Peer::to(address).say(b"\x00\xff\r\n\n\r"),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    visitors.into_iter().for_each(|visitor| drop(visitor.join()));
    house.until(0);
    // All eight threads serve still, at the same time.
    let mut peers: Vec<_> = (0..8).map(|_| Peer::to_data(address)).collect();
    for peer in &mut peers {
        peer.say("hi\r\n.\r\n");
        peer.expect(&["250 2.0.0 queued"]);
    }
    drop(peers);
    house.until(0);
    assert_eq!((house.memory.kept().len(), house.memory.open()), (8, 0));
    assert_eq!(house.listener.stop(LONG), 0);
}

/// The limit on descriptors is the whole process's, so the test runs in a process of its own.
#[test]
fn a_house_without_descriptors_rests_and_recovers() {
    let itself = std::env::current_exe().unwrap();
    let script = "ulimit -n 40; exec \"$0\" --exact --ignored listener::pool_tests::inside_few_descriptors";
    let output = Command::new("sh").args(["-c", script]).arg(itself).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by the test above, under its limit"]
fn inside_few_descriptors() {
    let house = house(100);
    let deadline = crate::time::Deadline::within(clock::now(), LONG);
    let spare = std::fs::File::open("/dev/null").unwrap();
    // Clients take descriptors of the same process until there are none.
    let dial = || crate::net::Stream::dial(house.address, deadline).ok();
    let clients: Vec<_> = std::iter::from_fn(dial).take(100).collect();
    assert!(clients.len() < 40, "the limit is not in force");
    // One more has a descriptor, and there is none left to let it in with.
    drop(spare);
    let last = dial();
    let waiting = clients.len() + usize::from(last.is_some());
    drop((clients, last));
    // Each was let in after all, or was gone by then.
    send(house.address);
    house.until(0);
    assert!(house.listener.counts().served as usize <= waiting + 1);
    assert_eq!(house.listener.stop(LONG), 0);
}

#[test]
fn swaks_is_served() {
    let house = house(2);
    let server = format!("{}:{}", house.address.ip(), house.address.port());
    let swaks = Command::new("swaks")
        .args(["--server", &server, "--from", "a@b.c", "--to", "d@e.f,g@h.i", "--helo", "swaks.example"])
        .args(["--body", ".dot\n..\nend", "--timeout", "10"])
        .output();
    let Ok(output) = swaks else {
        eprintln!("SKIPPED: swaks is not installed, so no foreign client was tried");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let (envelope, message) = house.memory.kept().remove(0);
    assert_eq!(envelope.recipients.len(), 2);
    assert!(message.contains("\r\n\r\n.dot\r\n..\r\nend\r\n"), "{message}");
}
