//! What is wrong with a configuration, and where: file, line, column, the line itself with a caret, and words.

use std::fmt;
use std::ops::Range;

/// Why a configuration is not taken: everything that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl ConfigError {
    pub(super) fn new(mut faults: Vec<Fault>) -> ConfigError {
        faults.sort_by_key(|fault| fault.place.as_ref().map(|place| (place.line, place.column)));
        ConfigError { faults }
    }

    /// Every fault, at least one; those that have a place in the order of the file.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            if n > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named to us.
    pub file: String,
    /// Where in it; `None` when it could not be read, or the fault is in what it does not say.
    pub place: Option<Place>,
    /// What is wrong and, where we know, what to write.
    pub words: String,
}

/// A place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// The place of the octets `span` in `document`. A span of several lines is shown by its first.
    pub(super) fn of(document: &str, span: Range<usize>) -> Place {
        // A parser may point past the end, or into a character: the nearest boundary before it is meant.
        let floor = |mut at: usize| {
            at = at.min(document.len());
            while !document.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(span.start), floor(span.end));
        let before = &document[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let text = document[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + text.len();
        let meant = document.get(start..end.min(line_end)).unwrap_or("");
        Place {
            line: before.matches('\n').count() + 1,
            column: document[line_start..start].chars().count() + 1,
            width: meant.chars().count().max(1),
            text: text.to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Place { line, column, width, text }) = &self.place else {
            return write!(f, "{}: {}", self.file, self.words);
        };
        let gutter = " ".repeat(line.to_string().len());
        // Tabs are kept, so that the caret stands below its character whatever their width; other controls would reach
        // the terminal of whoever runs the check.
        let shown: String =
            text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        let indent: String =
            text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{}:{line}:{column}: {}", self.file, self.words)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{line} | {shown}")?;
        write!(f, "{gutter} | {indent}{}", "^".repeat(*width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        let document = "hostname = \"a.example\"\n\n[timeouts]\n\tbaner = \"5m\"\n";
        let at = document.find("baner").unwrap();
        let place = Some(Place::of(document, at..at + 5));
        let fault = Fault { file: "a.toml".into(), place, words: "unknown key".into() };
        assert_eq!(fault.to_string(), "a.toml:4:2: unknown key\n  |\n4 | \tbaner = \"5m\"\n  | \t^^^^^");
    }

    #[test]
    fn a_place_past_the_end_or_inside_a_character_is_still_a_place() {
        for (document, span) in [("", 0..0), ("", 5..9), ("a", 1..2), ("\u{fc}\n", 1..2), ("a\n", 2..2)] {
            let place = Place::of(document, span);
            assert!(place.width >= 1 && place.column >= 1 && place.line >= 1);
        }
        assert_eq!(Place::of("x = \"\u{fc}\u{fc}\" # y", 4..10).width, 4);
    }
}
