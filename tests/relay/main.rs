//! The relay from the outside: the real binary, real sockets on loopback, a real nameserver and real far sides.
//!
//! ONE integration binary, so that it links once. `house` is the relay and its directory, `street` the addresses it and
//! its peers live at, `peer` the rest of the mail world, `wait` the only place that sleeps. Nothing here reads the
//! relay's own code: what is asserted is what another host, or its operator, would see.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is the outside world: it has clocks, sockets and waits of its own"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the verdict")]
#![allow(dead_code, reason = "the harness is a language: not every word is used by a test every day")]

mod authentication;
mod bounces;
mod client;
mod deadlines;
mod delivery;
mod failover;
mod guarded;
mod handshakes;
mod hostile;
mod house;
mod http;
mod inspecting;
mod lifecycle;
mod logs;
mod look;
mod metrics;
mod misbehaviour;
mod open_relay;
mod operating;
mod operator;
mod peer;
mod peers;
mod probing;
mod process;
mod quarantine;
mod regression;
mod retries;
mod scale;
mod secure;
mod sendmail;
mod settings;
mod space;
#[path = "../torture/strace.rs"]
mod strace;
mod street;
mod submission;
mod tls;
mod tls_peers;
mod tools;
mod top;
mod wait;
