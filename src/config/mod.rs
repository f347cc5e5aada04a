//! Settings as plain data (floor 1). Every key has a default; the reading of files is in `load`, the checks in `check`.

mod access;
mod check;
mod error;
mod keys;
#[cfg(test)]
mod keys_tests;
mod load;
mod nearest;
mod routes;
mod settings;
mod tls;
mod units;
mod value;
mod watching;

pub use access::{Auth, KeyPair};
pub use check::Contradiction;
pub use error::{ConfigError, Fault, Place};
pub use routes::Routes;
pub use settings::{Bounce, Config, Delivery, Dns, Listen, Network, Retry, Spool, Timeouts};
pub use tls::{Roots, Tls, TlsMode};
pub use units::duration;
pub use watching::{Log, LogFormat, Metrics};
