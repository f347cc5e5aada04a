//! The operator's door (floor 6): a unix socket in the spool directory, its file permissions the key.
//!
//! One request, one answer, each a line of JSON; a submitted message follows its request as octets. Both ends of it are
//! here: [`Door`] answers in the relay, [`ask`] and [`submit`] are what the commands use.

mod answers;
mod caller;
mod door;
mod overview;
mod protocol;
mod submission;
mod web;

pub use answers::Answers;
pub use caller::{CallError, ask, submit};
pub use door::Door;
pub use overview::{FailureRow, Happened, Overview, SiteRow, States};
pub use protocol::{
    Answer, Connections, Last, Queue, QueuedMessage, QueuedRecipient, Request, Seats, SessionRow, Submitted,
};
pub use web::WebDoor;
