//! Sendoff: an outbound SMTP relay. Mail goes in, is safe on disk, and always leaves.

pub mod config;
pub mod mail;
pub mod smtp;
pub mod spool;
pub mod time;
