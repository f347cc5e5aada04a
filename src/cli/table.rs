//! Tables and durations for people; JSON for machines.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::Exit;

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

/// Writes to standard output. Whoever closes it early (`| head`) has seen enough.
pub(super) fn print(text: &str) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Exit::io(error)),
        _ => Ok(()),
    }
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
