//! The house has floors, and this test holds them: a module imports only from lower floors.
//!
//! It reads the sources as text, with comments and literals blanked, and follows every path that starts at the root of the crate:
//! `crate::x`, and `super::super::x` as far as it climbs. Unit tests inside the modules live on their floor like the
//! rest. The same walk holds the habits a compiler does not: a promise on the first line, 400 lines at most, and no
//! `unwrap` where no comment proves it. A compiler lint was weighed for the floors: none knows modules of one crate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the verdict")]

#[path = "floors/blank.rs"]
mod blank;

use blank::blanked;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Floor and modules, as the comments in src/lib.rs have them.
const FLOORS: [(u8, &[&str]); 8] = [
    (7, &["cli", "daemon"]),
    (6, &["control"]),
    (5, &["listener", "scheduler"]),
    (4, &["delivery"]),
    (3, &["bounce", "client", "dns", "server"]),
    (2, &["credentials", "net", "sasl", "spool", "tls"]),
    (1, &["config", "mail"]),
    (0, &["metrics", "smtp", "time"]),
];

/// Imports within one floor, each for a reason.
const STAIRS: [(&str, &str, &str); 2] = [
    ("cli", "daemon", "`sendoff serve` is the one command that starts the house"),
    (
        "config",
        "mail",
        "a route leads to a `mail::Destination`: a setting is a value of mail, and mail knows no settings",
    ),
];

/// The most lines of a file: above, it is two nouns.
const LONGEST: usize = 400;

#[test]
fn the_sources_keep_to_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Source::all(&root.join("src"));
    assert!(sources.len() > 100, "the walk has lost the sources: {}", sources.len());
    let tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    let mut faults: Vec<String> = sources.iter().flat_map(|source| source.faults(&tests)).collect();
    faults.extend(map_faults(&fs::read_to_string(root.join("src/lib.rs")).unwrap()));
    faults.extend(Source::all(&root.join("tests")).iter().flat_map(Source::promise_faults));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_stair_is_used() {
    let sources = Source::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for (from, to, _) in STAIRS {
        let mut above =
            sources.iter().filter(|source| source.path.first().is_some_and(|module| module == from));
        let used = above.any(|source| source.imports().contains(to));
        assert!(used, "nothing in {from} imports {to} any more: take the stair away");
    }
}

/// All `.rs` files below a directory, in order.
fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

/// Where the map in src/lib.rs and the table here differ.
fn map_faults(lib: &str) -> Vec<String> {
    let (mut faults, mut now, mut mapped) = (Vec::new(), None, BTreeSet::new());
    for line in lib.lines() {
        if let Some((number, _)) = line.strip_prefix("// ").and_then(|words| words.split_once(':')) {
            now = number.parse::<u8>().ok().or(now);
        }
        let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) else {
            continue;
        };
        mapped.insert(module);
        if floor(module) != now {
            faults.push(format!(
                "src/lib.rs: {module} is on floor {now:?}, the table says {:?}",
                floor(module)
            ));
        }
    }
    let missing = FLOORS.iter().flat_map(|(_, modules)| *modules).filter(|module| !mapped.contains(**module));
    faults.extend(missing.map(|module| format!("src/lib.rs: the table has {module}, the map has not")));
    faults
}

/// One file.
struct Source {
    name: String,
    /// The path of its module: `["client", "transaction"]`.
    path: Vec<String>,
    text: String,
    /// The text with comments and literals blanked, byte for byte as long.
    code: String,
}

impl Source {
    /// All below `src` or `tests`.
    fn all(dir: &Path) -> Vec<Source> {
        let read = |path: &PathBuf| {
            let name = path.strip_prefix(dir.parent().unwrap()).unwrap().display().to_string();
            Source::of(&name, &fs::read_to_string(path).unwrap())
        };
        rust_files(dir).iter().map(read).collect()
    }

    fn of(name: &str, text: &str) -> Source {
        let module =
            name.strip_prefix("src/").unwrap_or(name).trim_end_matches(".rs").trim_end_matches("/mod");
        let path =
            module.split('/').filter(|part| !["lib", "main"].contains(part)).map(str::to_owned).collect();
        Source { name: name.to_owned(), path, text: text.to_owned(), code: blanked(text) }
    }

    /// `tests` are the modules that are only there for tests.
    fn faults(&self, tests: &[Vec<String>]) -> Vec<String> {
        let mut faults = self.promise_faults();
        let lines = self.text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines, {LONGEST} at most: it is two nouns", self.name));
        }
        faults.extend(self.floor_faults());
        if !tests.iter().any(|test| self.path.starts_with(test)) {
            faults.extend(self.unwrap_faults());
        }
        faults
    }

    fn promise_faults(&self) -> Vec<String> {
        if self.text.starts_with("//! ") {
            return Vec::new();
        }
        vec![format!("{}: the first line is no `//!` promise", self.name)]
    }

    fn floor_faults(&self) -> Vec<String> {
        // The map and the program stand above the floors.
        let Some(own) = self.path.first() else { return Vec::new() };
        let Some(here) = floor(own) else { return vec![format!("{}: {own} is on no floor", self.name)] };
        let fault = |to: &String| {
            let stair = STAIRS.iter().any(|(from, below, _)| from == own && below == to);
            match floor(to) {
                _ if to == own || stair => None,
                None => Some(format!("{}: imports crate::{to}, which is on no floor", self.name)),
                Some(there) if there < here => None,
                Some(there) => {
                    Some(format!("{}: floor {here} ({own}) imports from floor {there} ({to})", self.name))
                }
            }
        };
        self.imports().iter().filter_map(fault).collect()
    }

    /// What is imported from the root of the crate, one segment each; `{..}` gives several.
    fn imports(&self) -> BTreeSet<String> {
        let mut imports = BTreeSet::new();
        for (at, _) in self.code.match_indices("crate::") {
            if !self.code[..at].ends_with(is_word) {
                imports.extend(first_segments(&self.code[at + "crate::".len()..]));
            }
        }
        for (at, _) in self.code.match_indices("super::") {
            if self.code[..at].ends_with(|c| is_word(c) || c == ':') {
                continue;
            }
            let mut rest = &self.code[at..];
            let mut climbed = 0;
            while let Some(above) = rest.strip_prefix("super::") {
                (rest, climbed) = (above, climbed + 1);
            }
            // A module inside this file starts deeper, so a climb this high may end below the root; then what it names is
            // a module of the root by chance only, and to forbid the name is no loss.
            if climbed >= self.path.len() {
                imports.extend(first_segments(rest).into_iter().filter(|name| floor(name).is_some()));
            }
        }
        imports
    }

    /// The files that this one declares as `#[cfg(test)] mod name;`.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let items = excused(&self.code).into_iter().map(|range| &self.code[range]);
        let tests = items.filter(|item| item.starts_with("#[cfg(test)]") && !item.contains('{'));
        let names = tests.filter_map(|item| Some(item.rsplit_once("mod ")?.1.to_owned()));
        names.map(|name| self.path.iter().cloned().chain([name]).collect()).collect()
    }

    fn unwrap_faults(&self) -> Vec<String> {
        let excused = excused(&self.code);
        let calls = [".unwrap()", ".expect("];
        let found = calls.iter().flat_map(|call| self.code.match_indices(call));
        let bare = found.filter(|(at, _)| !excused.iter().any(|range| range.contains(at)));
        let line = |at: usize| self.code[..at].matches('\n').count() + 1;
        bare.map(|(at, call)| format!("{}:{}: {call} outside tests", self.name, line(at))).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first segments of the paths that start here: one, or those of a `{..}` list.
fn first_segments(rest: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(list) = rest.trim_start().strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut start, mut segments) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                segments.push(word(&list[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// The items and statements whose attribute makes them tests, or allows them to unwrap.
fn excused(code: &str) -> Vec<Range<usize>> {
    let attributes = ["#[cfg(test)]", "clippy::unwrap_used", "clippy::expect_used"];
    let found = attributes.iter().flat_map(|words| code.match_indices(words));
    found.map(|(at, _)| at..item_end(code, at + code[at..].find(']').unwrap_or(0) + 1)).collect()
}

/// The end of the item behind an attribute: its closing brace, or its semicolon.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices().skip_while(|(at, _)| *at < from) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth <= 0 && matches!(c, '}' | ';') {
            return at;
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_faults(name: &str, text: &str, expected: &[&str]) {
        let source = Source::of(name, text);
        let faults = source.faults(&source.test_modules());
        let same = faults.len() == expected.len()
            && faults.iter().zip(expected).all(|(fault, words)| fault.contains(words));
        assert!(same, "{faults:#?}, not {expected:?}");
    }

    #[test]
    fn an_import_from_above_or_beside_is_found() {
        let up = "floor 0 (smtp) imports from floor 2 (net)";
        assert_faults("src/smtp/a.rs", "//! A.\nuse crate::net::Slot;", &[up]);
        assert_faults("src/smtp/a.rs", "//! A.\nfn f() -> crate::net::Slot {}", &[up]);
        assert_faults("src/smtp/a.rs", "//! A.\nuse crate::{smtp::x, net::{Slot, Ledger}};", &[up]);
        assert_faults("src/smtp/mod.rs", "//! A.\nuse super::net::Slot;", &[up]);
        assert_faults("src/smtp/a.rs", "//! A.\nuse super::super::net;", &[up]);
        assert_faults(
            "src/client/a.rs",
            "//! A.\nuse crate::dns::x;",
            &["floor 3 (client) imports from floor 3 (dns)"],
        );
        assert_faults(
            "src/mail/a.rs",
            "//! A.\nuse crate::config;",
            &["floor 1 (mail) imports from floor 1 (config)"],
        );
        assert_faults("src/smtp/a.rs", "//! A.\nuse crate::*;", &["on no floor"]);
        assert_faults("src/cellar/a.rs", "//! A.", &["cellar is on no floor"]);
        let test = "//! A.\n#[cfg(test)]\nmod tests {\n    use crate::net::Slot;\n}\n";
        assert_faults("src/smtp/a.rs", test, &[up]);
    }

    #[test]
    fn an_import_from_below_is_fine() {
        assert_faults("src/client/a.rs", "//! A.\nuse crate::{net, mail::Outcome};\nuse super::dns;", &[]);
        assert_faults(
            "src/client/a.rs",
            "//! A.\n// crate::cli\n/* crate::cli */ const A: &str = \"crate::cli\";",
            &[],
        );
        assert_faults(
            "src/client/a.rs",
            "//! A.\nconst A: &str = r#\"\" crate::cli \"#; const B: char = '\"'; // crate::cli",
            &[],
        );
        assert_faults("src/cli/a.rs", "//! A.\nuse crate::daemon::Daemon;", &[]);
        assert_faults("src/config/a.rs", "//! A.\npub(in crate::config) use crate::mail::Destination;", &[]);
    }

    #[test]
    fn a_long_file_and_one_without_a_promise_are_found() {
        assert_faults("src/smtp/a.rs", "use std::fmt;\n", &["no `//!` promise"]);
        assert_faults("src/smtp/a.rs", "\n//! Late.\n", &["no `//!` promise"]);
        assert_faults("src/smtp/a.rs", &format!("//! A.\n{}", "//\n".repeat(400)), &["401 lines"]);
        assert_faults("src/smtp/a.rs", &format!("//! A.\n{}", "//\n".repeat(399)), &[]);
    }

    #[test]
    fn an_unwrap_is_found_unless_it_is_a_tests_or_excused() {
        assert_faults(
            "src/smtp/a.rs",
            "//! A.\nfn f() {\n    g().unwrap();\n}",
            &["src/smtp/a.rs:3: .unwrap()"],
        );
        let fenced = "//! A.\n#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap(); }\n}\nfn h() { g().expect(\"x\"); }\n";
        assert_faults("src/smtp/a.rs", fenced, &["src/smtp/a.rs:6: .expect("]);
        let excused = "//! A.\n#[allow(clippy::expect_used)] // Proven.\nfn f(a: [u8; 2]) {\n    g().expect(\"x\");\n}\n";
        assert_faults("src/smtp/a.rs", excused, &[]);
        let statement = "//! A.\nfn f() {\n    #[allow(clippy::unwrap_used)]\n    let a = g().unwrap();\n    a.unwrap();\n}\n";
        assert_faults("src/smtp/a.rs", statement, &["a.rs:5"]);
        let parent = Source::of("src/smtp/a.rs", "//! A.\n#[cfg(test)]\npub(crate) mod memory;\nmod b;\n");
        assert_eq!(parent.test_modules(), [["smtp", "a", "memory"]]);
        let child = Source::of("src/smtp/a/memory.rs", "//! A.\nfn f() { g().unwrap(); }");
        assert_eq!(child.faults(&parent.test_modules()), Vec::<String>::new());
        assert_eq!(child.faults(&[]).len(), 1);
        assert_faults(
            "src/smtp/a.rs",
            "//! A.\n/// `a.unwrap()`\nfn f() { \".unwrap()\"; a.unwrap_or(1); }",
            &[],
        );
    }

    #[test]
    fn a_map_that_differs_is_found() {
        let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
        let moved = lib.replace("// 4: attempt", "// 5: attempt");
        assert_eq!(map_faults(&moved), ["src/lib.rs: delivery is on floor Some(5), the table says Some(4)"]);
        let gone = lib.replace("pub mod time;\n", "");
        assert_eq!(map_faults(&gone), ["src/lib.rs: the table has time, the map has not"]);
    }
}
