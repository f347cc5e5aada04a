//! The incoming side (floor 3): what a client says, and what it is told.
//!
//! [`Session`] is the conversation as values: lines in, [`Action`]s out. [`converse`] puts a stream around it. Mail goes
//! into a [`Reception`], which the spool stands behind; only its proof of durability makes the reply `250 queued`.

mod authentication;
mod conversation;
mod hops;
mod input;
mod intake;
mod policy;
mod presence;
mod reception;
mod response;
mod secure;
mod session;

#[cfg(test)]
mod conversation_tests;
#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod session_tests;

pub use conversation::{Ending, converse};
pub use policy::Policy;
pub use presence::{Presence, Receiving};
pub use reception::{Draft, Proof, Reception};
pub use response::Response;
pub use session::{Action, Greeting, Session, Transaction};
