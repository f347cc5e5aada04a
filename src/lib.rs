//! Sendoff: an outbound SMTP relay. Mail goes in, is safe on disk, and always leaves.

pub mod bounce;
pub mod client;
pub mod config;
pub mod dns;
pub mod listener;
pub mod mail;
pub mod net;
pub mod server;
pub mod smtp;
pub mod spool;
pub mod time;
