//! Credentials (floor 2): what we show in TLS, and what clients show us to be let relay.
//!
//! Both come from files, which are read again when they change ([`Kept`]): certificates are renewed, passwords are set, and
//! the relay is not restarted for it. A file that is wrong changes nothing but the log.

mod certificates;
mod checks;
mod exchange;
mod files;
mod gate;
mod kept;
mod scram;
mod tries;
mod users;
mod validity;
mod verifier;

#[cfg(test)]
mod exchange_tests;

pub use certificates::{Certificates, ServerTls, expiries};
pub use exchange::{Claim, Evidence, Exchange, Malformed, Mechanism, Step};
pub use gate::{Gate, Verdict};
pub use kept::{Kept, Source};
pub use users::{Users, UsersFile, is_name};
pub use validity::ends;
pub use verifier::Verifier;
