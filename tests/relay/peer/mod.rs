//! The rest of the mail world, on loopback: hosts that are good, hosts that are not, and a nameserver.
//!
//! Every peer counts its connections at its own end, which is where a limit of the relay must be true, and ends with
//! its `Drop`: the listener closes, the open sockets are shut down, the threads return.

#![allow(unused_imports, reason = "what the peers give is named here also where no test writes the name yet")]

mod blackhole;
mod conversation;
mod dns;
mod door;
mod host;
mod nameserver;
mod script;
mod secure;
mod sink;
mod steps;
mod tcptable;
mod zones;

pub use blackhole::{Blackhole, Full};
pub use door::{Counts, Door, End, Guest, Peer};
pub use host::{Host, Message};
pub use nameserver::Nameserver;
pub use script::{Script, dialog};
pub use secure::{Authority, Begins, SecureHost, Trick, demanding, self_signed};
pub use sink::Sink;
pub use zones::Query;
