//! Sendoff: an outbound SMTP relay. Mail goes in, is safe on disk, and always leaves.

pub mod config;
pub mod listener;
pub mod mail;
pub mod net;
pub mod server;
pub mod smtp;
pub mod time;
