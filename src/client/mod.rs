//! The client side of SMTP (floor 3): one host, one conversation, under the deadlines of its phases.
//!
//! [`Client::open`] connects, hears the banner and says EHLO; [`Client::deliver`] makes one transaction; [`Client::quit`]
//! takes leave. Trouble is a value that says who is to blame, where the conversation stood, and whose words they are.

mod conversation;
mod greeting;
mod probe;
mod transaction;
mod trouble;

pub use greeting::{Client, Hop, Manner, Unopened};
pub use transaction::{Fate, Transacted, Transaction};
pub use trouble::Trouble;
