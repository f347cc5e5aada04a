//! The log on standard error: for people, time, level, where, and the line; for machines, the same as JSON.

use std::io::Write as _;

use env_logger::Builder;
use log::LevelFilter;

use super::line::{json, visible};
use crate::config::LogFormat;

/// Starts logging, from `info` on; what `RUST_LOG` says comes on top, so that `sendoff::client=debug` adds the
/// conversations to the lines about attempts. A panic is logged where it happened. Text is coloured on a terminal only.
pub(super) fn start(format: LogFormat) {
    let mut builder = Builder::new();
    builder.filter_level(LevelFilter::Info).parse_default_env();
    match format {
        LogFormat::Text => builder.format(|out, record| {
            let style = out.default_level_style(record.level());
            let (level, time) = (record.level(), out.timestamp_millis());
            let words = visible(&record.args().to_string());
            writeln!(out, "{time} {style}{level:<5}{style:#} {}: {words}", record.target())
        }),
        LogFormat::Json => builder.format(|out, record| {
            let (level, time) = (record.level().as_str(), out.timestamp_millis().to_string());
            writeln!(out, "{}", json(&time, level, record.target(), &record.args().to_string()))
        }),
    };
    if builder.try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    }
}
