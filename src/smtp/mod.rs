//! SMTP grammar (floor 0): addresses, commands, replies, status codes, the dot. Bytes in, values out; no I/O.

mod address;
mod command;
mod domain;
mod dot;
mod dot_reader;
mod extensions;
mod refusal;
mod reply;
mod secret;
mod status;

pub use address::{AddressError, ForwardPath, Mailbox, ReversePath};
pub use command::Command;
pub use domain::{Domain, Host};
pub use dot::Stuffer;
pub use dot_reader::{DotReader, Fault};
pub use extensions::Extensions;
pub use refusal::Refusal;
pub(crate) use reply::printable;
pub use reply::{Reply, ReplyError, ReplyReader};
pub use secret::Secret;
pub use status::EnhancedStatus;
