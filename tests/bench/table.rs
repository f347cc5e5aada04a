//! Tables for people: columns as wide as they must be, numbers to the right.

use std::time::Duration;

/// A table that is printed at once.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One with these columns.
    pub fn new(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it, with a title.
    pub fn print(&self, title: &str) {
        println!("\n{title}\n");
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(n, (cell, width))| {
                if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        };
        line(&self.rows[0]);
        let rules = widths.iter().enumerate().map(|(n, width)| {
            if n == 0 { "-".repeat(width + 2) } else { format!("{}:", "-".repeat(width + 1)) }
        });
        println!("|{}|", rules.collect::<Vec<_>>().join("|"));
        self.rows[1..].iter().for_each(|row| line(row));
    }
}

/// A time as people compare it: milliseconds, and seconds from the first of them on.
pub fn span(time: Option<Duration>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) if time < Duration::from_secs(1) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
    }
}

/// Octets as MB.
pub fn megabytes(octets: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let octets = octets as f64;
    format!("{:.1} MB", octets / 1e6)
}

/// How many times as long.
pub fn ratio(with: Option<Duration>, without: Option<Duration>) -> String {
    match (with, without) {
        (Some(with), Some(without)) if !without.is_zero() => {
            format!("{:.2}", with.as_secs_f64() / without.as_secs_f64())
        }
        _ => "-".to_owned(),
    }
}
