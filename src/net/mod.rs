//! The network's one door (floor 2): the ledger of connections, the session table with its watchdog, and streams whose
//! every read and write ends.

mod addresses;
mod connection;
mod followers;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod lines;
mod pressure;
mod rest;
mod sessions;
#[cfg(test)]
mod sessions_tests;
mod stream;
mod sync;
mod watchdog;
mod wire;

pub use addresses::{Addresses, Advice, Probe};
pub use connection::{Connection, Refused};
pub use followers::{Follower, Followers, Overheard};
pub use ledger::{AddressHold, Blocked, Caps, Counts, Freed, Ledger, Slot, Standing};
pub use lines::{LineError, Lines};
pub use pressure::Pressure;
pub use sessions::{Session, SessionView, Sessions};
pub use stream::{Cutter, Stream, StreamError};
pub use watchdog::Watchdog;
pub use wire::{SecureError, Wire};
