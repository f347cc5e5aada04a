//! The operator's door (floor 6): a unix socket in the spool directory, its file permissions the key.
//!
//! One request, one answer, each a line of JSON; a submitted message follows its request as octets, and a trace is
//! answered by a line for each line. Both ends of it are
//! here: [`Door`] answers in the relay, [`ask`] and [`submit`] are what the commands use.

mod actions;
mod answers;
mod caller;
mod destinations;
mod documents;
mod door;
mod explain;
mod overview;
mod protocol;
mod queue;
mod submission;
mod trace;
mod web;

pub use answers::Answers;
pub use caller::{CallError, ask, follow, submit};
pub use documents::{
    Acted, Attempt, Connections, Counts, DestinationRow, Destinations, Explained, Explanation, InDelivery,
    InTheWay, Last, NotDone, Queue, QueuedMessage, QueuedRecipient, Seats, SessionRow, Shape, Shown,
    Submitted, TraceLine,
};
pub use door::Door;
pub use overview::{FailureRow, Happened, Overview, SiteRow, States};
pub use protocol::{Action, Answer, Part, Request, Which};
pub use web::WebDoor;
