//! The log on standard error: time, level, where, and the line.

use std::io::Write as _;

use env_logger::{Builder, Env};

/// Starts logging. `RUST_LOG` says what of; without it, everything from `info` on. A panic is logged where it happened.
pub(super) fn start() {
    let started = Builder::from_env(Env::default().default_filter_or("info"))
        .format(|out, record| {
            let style = out.default_level_style(record.level());
            let (level, time) = (record.level(), out.timestamp_millis());
            writeln!(out, "{time} {style}{level:<5}{style:#} {}: {}", record.target(), record.args())
        })
        .try_init();
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
}
