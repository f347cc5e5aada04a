//! The client side of SMTP (floor 3): one host, one conversation, under the deadlines of its phases.
//!
//! [`Client::open`] connects, hears the banner, says EHLO, begins TLS and says who we are; [`Client::deliver`] makes one transaction; [`Client::quit`]
//! takes leave. Trouble is a value that says who is to blame, where the conversation stood, and whose words they are.

mod authentication;
#[cfg(test)]
mod authentication_tests;
mod conversation;
mod greeting;
#[cfg(test)]
mod handshakes;
mod probe;
mod security;
mod transaction;
mod trouble;

pub use greeting::{Client, Hop, Manner, Unopened};
pub use security::Security;
pub use transaction::{Fate, Transacted, Transaction};
pub use trouble::{FallBack, Trouble};
