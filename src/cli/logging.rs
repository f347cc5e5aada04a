//! The log on standard error: time, level, where, and the line.

use std::io::Write as _;

use env_logger::Builder;
use log::LevelFilter;

/// Starts logging, from `info` on; what `RUST_LOG` says comes on top, so that `sendoff::client=debug` adds the
/// conversations to the lines about attempts. A panic is logged where it happened.
pub(super) fn start() {
    let started = Builder::new()
        .filter_level(LevelFilter::Info)
        .parse_default_env()
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
