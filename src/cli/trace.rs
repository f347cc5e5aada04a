//! `sendoff trace`: conversations as they are held.

use super::Exit;
use super::arguments;
use super::table::{clock_time, print_line, write};
use crate::control::{Answer, Request, TraceLine, follow};

/// Follows until it is interrupted, or the relay stops.
pub(super) fn trace(arguments: &arguments::Trace) -> Result<(), Exit> {
    let spool = arguments.relay.spool()?;
    let mut trouble = None;
    let mut each = |answer: Answer| {
        let Answer::Trace(line) = answer else { return false };
        let written = if arguments.json { print_line(&line) } else { write(&text(&line)) };
        written.unwrap_or_else(|exit| {
            trouble = Some(exit);
            false
        })
    };
    follow(&spool, &Request::Trace { what: arguments.what.clone() }, &mut each)?;
    trouble.map_or(Ok(()), Err)
}

fn text(line: &TraceLine) -> String {
    let time = clock_time(line.at);
    if line.session == 0 {
        return format!("{time} -- {}\n", line.text);
    }
    let host = if line.host.is_empty() { &line.destination } else { &line.host };
    format!("{time} {} {host} {} {}\n", line.session, line.way, line.text)
}
