//! Tables and durations for people; JSON for machines.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use super::Exit;
use super::exit::misunderstood;
use crate::control::{Answer, Request, ask};

/// Columns, as wide as their widest cell; the last one as long as it is.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    };
    line(&mut head.iter().copied());
    rows.iter().for_each(|row| line(&mut row.iter().map(String::as_str)));
    out
}

/// A duration at a glance: `42s`, `5m10s`, `3h05m`, `2d4h`.
pub(super) fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A time of this machine's clock, for people: `2026-11-23 17:10:00 UTC`.
pub(super) fn when(unix: i64) -> String {
    let time = jiff::Timestamp::from_second(unix);
    time.map_or_else(|_| unix.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The time of day, to the millisecond.
pub(super) fn clock_time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    time.map_or_else(|| micros.to_string(), |time| time.strftime("%H:%M:%S.%3f").to_string())
}

/// A text behind its name, in lines of at most 80 columns as far as words allow.
pub(super) fn fold(name: &str, text: &str) -> String {
    let indent = " ".repeat(name.chars().count());
    let (mut out, mut line) = (String::new(), name.to_owned());
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > 80 {
            out.push_str(line.trim_end());
            out.push('\n');
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out + line.trim_end() + "\n"
}

/// Has the relay do something, and says its words.
pub(super) fn done(spool: &Path, request: &Request, json: bool) -> Result<(), Exit> {
    match ask(spool, request, Duration::from_secs(30))? {
        Answer::Done(words) if json => print_json(&serde_json::json!({ "done": words })),
        Answer::Done(words) => print(&(words + "\n")),
        _ => Err(misunderstood()),
    }
}

/// Writes one JSON document as one line; false when nobody reads any more.
pub(super) fn print_line(document: &impl serde::Serialize) -> Result<bool, Exit> {
    write(&(serde_json::to_string(document).map_err(Exit::io)? + "\n"))
}

/// Writes to standard output; false when nobody reads any more.
pub(super) fn write(text: &str) -> Result<bool, Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::io(error)),
        written => Ok(written.is_ok()),
    }
}

/// Writes to standard output. Whoever closes it early (`| head`) has seen enough.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    write(text).map(drop)
}

/// Writes one JSON document to standard output.
pub(super) fn print_json(document: &impl serde::Serialize) -> Result<(), Exit> {
    let text = serde_json::to_string_pretty(document).map_err(Exit::io)?;
    print(&(text + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = [vec!["a".into(), "longer".into()], vec!["bcd".into(), "x".into()]];
        assert_eq!(table(&["A", "B"], &rows), "A    B\na    longer\nbcd  x\n");
    }

    #[test]
    fn durations_are_short() {
        let shown = [0, 59, 60, 3599, 3600, 86_399, 90_000].map(short);
        assert_eq!(shown, ["0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d1h"]);
    }
}
