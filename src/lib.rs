//! Sendoff: an outbound SMTP relay. Mail goes in, is safe on disk, and always leaves.
//!
//! ```text
//!  SMTP --> listener --> spool --> scheduler --> worker --> session --> settle --> done | retry | bounce
//!                          ^                                                           |
//!                          `------------ a bounce is new mail, reverse-path <> --------'
//! ```
//!
//! Data travels one way. The scheduler does no I/O; workers do, and never wait for a slot: a job comes with its slot in
//! its hand. A module imports only from lower floors; `tests/floors.rs` holds the table.

#![forbid(unsafe_code)]

// 7: put the house together, nothing else
pub mod cli;
pub mod daemon;
// 6: the operator's door
pub mod control;
// 5: threads that own a loop
pub mod listener;
pub mod scheduler;
// 4: attempt a job, settle its outcome
pub mod delivery;
// 3: conversations, and the letter we write ourselves
pub mod bounce;
pub mod client;
pub mod dns;
pub mod server;
// 2: the outside world, one door each
pub mod credentials;
pub mod net;
pub mod sasl;
pub mod spool;
pub mod tls;
// 1: mail as values; settings as plain data
pub mod config;
pub mod mail;
// 0: grammar, deadlines and counts; no I/O but reading the clock
pub mod metrics;
pub mod smtp;
pub mod time;
