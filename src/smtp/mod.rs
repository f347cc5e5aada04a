//! SMTP grammar (floor 0): addresses, commands, replies, status codes, the dot. Bytes in, values out; no I/O.

mod address;
mod domain;
mod dot;
mod extensions;
mod reply;
mod status;

pub use address::{AddressError, ForwardPath, Mailbox, ReversePath};
pub use domain::{Domain, Host};
pub use dot::Stuffer;
pub use extensions::Extensions;
pub use reply::{Reply, ReplyError, ReplyReader};
pub use status::EnhancedStatus;
