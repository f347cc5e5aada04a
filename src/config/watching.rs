//! What others see of the relay: `[metrics]` and `[log]`.

use std::net::SocketAddr;

/// `[metrics]`: what others may read of us over HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Where HTTP is spoken, on loopback only: the page has no login. Empty, as by default: nowhere. Whoever can run a program
    /// on this machine can read it, and not everybody there is to know who writes to whom.
    pub listen: Vec<SocketAddr>,
}

/// `[log]`: what is written to standard error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// For whom.
    pub format: LogFormat,
}

/// For whom a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A person: keys and values, coloured on a terminal.
    #[default]
    Text,
    /// A machine: a JSON document a line.
    Json,
}
