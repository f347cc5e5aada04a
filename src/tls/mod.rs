//! TLS towards other hosts (floor 2): what a handshake is made with, and what is made of its end. No sockets here: those
//! are `net`'s, where the handshake runs under its phase's deadline.
//!
//! TLS 1.2 and 1.3, and nothing older: rustls knows no other.

mod certificate;
mod outbound;
mod roots;
mod troubled;
mod whoever;
mod words;

pub use certificate::Certificate;
pub use outbound::{Outbound, agreed};
pub use roots::RootsError;
pub use words::words;
