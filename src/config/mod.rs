//! Settings as plain data (floor 1). Every key has a default; the reading of files is in `load`, the checks in `check`.

mod settings;

pub use settings::{Bounce, Config, Delivery, Dns, Listen, Network, Retry, Routes, Spool, Timeouts};
