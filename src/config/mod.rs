//! Settings as plain data (floor 1). Every key has a default; the reading of files is in `load`, the checks in `check`.

mod check;
mod error;
mod keys;
mod load;
mod nearest;
mod settings;
mod units;
mod value;

pub use check::Contradiction;
pub use error::{ConfigError, Fault, Place};
pub use settings::{
    Bounce, Config, Delivery, Dns, Listen, Log, LogFormat, Metrics, Network, Retry, Routes, Spool, Timeouts,
};
