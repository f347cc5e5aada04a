//! `make demo`: mail always leaves, in one screen.
//!
//! A nameserver, a good host, a black hole and the real relay, each on loopback and without any privilege. What is shown
//! is what the relay's own commands print, and what the hosts at the far side have counted; what is claimed is checked, and
//! a claim that does not hold ends the demo with a failure. Every wait is bounded; what was started ends with it.

#![allow(
    clippy::disallowed_methods,
    reason = "a demo is the outside world: it has clocks and sockets of its own"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the verdict")]
#![allow(dead_code, unused_imports, reason = "it speaks the tests' language, and not every word of it")]

#[path = "../relay/client.rs"]
mod client;
#[path = "../relay/house.rs"]
mod house;
#[path = "../relay/peer/mod.rs"]
mod peer;
#[path = "../relay/process.rs"]
mod process;
#[path = "../relay/settings.rs"]
mod settings;
#[path = "../relay/street.rs"]
mod street;
#[path = "../relay/wait.rs"]
mod wait;

use house::House;
use peer::{Blackhole, Peer, Sink};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wait::{SOON, wait_until};

/// How long the relay waits for a banner here. In earnest it is five minutes.
const BANNER: Duration = Duration::from_secs(5);

/// Mail for the good host.
const GOOD: usize = 5;

fn main() {
    let house = House::new()
        .set("timeouts.banner", "5s")
        .set("timeouts.patience", "5s")
        .set("delivery.connections_per_destination", 1)
        .set("retry.delays", "[\"4s\"]")
        .set("retry.site_first", "4s")
        .set("retry.site_max", "4s");
    let good = house.good("good.test");
    let hole = house.blackhole();
    house.domain("hole.test", &hole);
    let house = house.start();
    neighbourhood(&house, &good, &hole);

    title("Two messages for the hole, and then five for the good host");
    for n in ["one", "two"] {
        submit(&house, "fred@hole.test", n);
    }
    let held = hold(&house);
    deliver(&house, &good);

    title("While the hole holds its slot");
    show(&house, &["connections", "explain hole.test"]);

    title("Its deadline");
    release(&house, &hole, held);
    show(&house, &["queue", "queue summary", "destinations"]);

    title("Somebody fills in the hole: a good host stands there now");
    let place = hole.addr();
    drop(hole);
    recover(&house, place);
}

/// Who lives where.
fn neighbourhood(house: &House, good: &Sink, hole: &Blackhole) {
    title("Four programs on loopback");
    say(&format!("nameserver  {:<22} knows good.test and hole.test", house.ns().addr()));
    say(&format!("good host   {:<22} the MX of good.test: takes all mail", good.addr()));
    say(&format!("black hole  {:<22} the MX of hole.test: connects, and never says a word", hole.addr()));
    say(&format!(
        "the relay   {:<22} waits 5 s for a banner (in earnest 5 min), and holds",
        house.smtp_addr()
    ));
    say("                                   one connection to a destination (in earnest 20)");
}

/// Hands the relay a message.
fn submit(house: &House, to: &str, subject: &str) {
    let body = format!("Subject: {subject}\n\nhello\n");
    let reply = house.submit("ann@client.test", &[to], &body);
    assert_eq!(reply.unwrap_or_else(|refused| panic!("{refused:?}")).code, 250);
}

/// Waits until a session waits for the hole's banner, and gives the moment.
fn hold(house: &House) -> Instant {
    wait_until("a session that waits for the banner", SOON, || {
        let connections = house.connections();
        let held = connections["connections"][0]["phase"] == "banner";
        held.then(Instant::now).ok_or_else(|| connections.to_string())
    })
}

/// Mail for the good host, one message at a time: how long each took from us to there.
fn deliver(house: &House, good: &Sink) {
    let mut took = Vec::new();
    for n in 1..=GOOD {
        let start = Instant::now();
        submit(house, "gwen@good.test", &format!("number {n}"));
        let there = &good.wait_for(n, SOON)[n - 1];
        took.push(there.at.saturating_duration_since(start).as_secs_f64() * 1e3);
    }
    let slowest = took.iter().copied().fold(0.0, f64::max);
    assert!(slowest < 1000.0, "good mail waited for the hole: {took:?} ms");
    let took: Vec<_> = took.iter().map(|ms| format!("{ms:.0}")).collect();
    say(&format!("The good host has all {GOOD}: handed to the relay, safe on its disk, and there within"));
    say(&format!("{} milliseconds.", took.join(", ")));
}

/// Waits until the hole has lost its slot.
fn release(house: &House, hole: &Blackhole, held: Instant) {
    wait_until("the slot, at its deadline", BANNER + SOON, || {
        let connections = house.connections();
        (connections["slots"] == 0).then_some(()).ok_or_else(|| connections.to_string())
    });
    let after = held.elapsed();
    hole.wait_alone(SOON);
    let counts = hole.counts();
    assert_eq!((counts.opened, counts.most_at_once), (1, 1), "more than the cap: {counts:?}");
    assert!(after < BANNER + Duration::from_secs(2), "the slot came back only after {after:?}");
    // A deferral is on disk a moment after its session has ended.
    wait_until("the reason", SOON, || {
        let queue = house.queue();
        assert_eq!(queue["messages"], 2, "mail is lost: {queue}");
        let last = &queue["queue"][0]["recipients"][0]["last"];
        (last["phase"] == "banner").then_some(()).ok_or_else(|| queue.to_string())
    });
    let after = after.as_secs_f64();
    say(&format!(
        "The slot was back {after:.1} s after the hole had got it. The hole counted one connection,"
    ));
    say("and saw it closed. Both messages wait: their destination failed as a site, so its mail");
    say("rests together, and is not tried one by one.\n");
}

/// A good host where the hole was, and what waited for it leaves.
fn recover(house: &House, place: SocketAddr) {
    let sink = Sink::start(place);
    let since = Instant::now();
    sink.wait_for(2, SOON);
    say(&format!("Both messages had arrived there {:.1} s later.\n", since.elapsed().as_secs_f64()));
    wait_until("the end of all sessions", SOON, || {
        let connections = house.connections();
        (connections["slots"] == 0).then_some(()).ok_or_else(|| connections.to_string())
    });
    wait_until("an empty queue", SOON, || {
        let queue = house.queue();
        (queue["messages"] == 0).then_some(()).ok_or_else(|| queue.to_string())
    });
    show(house, &["connections", "queue"]);
}

/// Runs commands of the relay as its operator would, and prints what they print.
fn show(house: &House, commands: &[&str]) {
    for (n, command) in commands.iter().enumerate() {
        let output = house.run(&command.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{command}: {output:?}");
        println!("{}  {}", if n > 0 { "\n" } else { "" }, bold(&format!("$ sendoff {command}")));
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| !line.is_empty()).for_each(say);
    }
}

fn title(words: &str) {
    println!("\n{}", bold(words));
}

fn say(words: &str) {
    println!("  {words}");
}

fn bold(words: &str) -> String {
    let plain = !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    if plain { words.to_owned() } else { format!("\x1b[1m{words}\x1b[0m") }
}
