//! The program is whole: no loader, no library beside it, no way into NSS, and no async runtime in what it is built from.
//!
//! A static glibc cannot use NSS, and nothing warns when a call that wants it is linked: one `&str` given to a `bind` is
//! enough for `getaddrinfo`. So the symbols of the binary that is built with the tests, which are not stripped, are looked through.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the verdict")]

use std::collections::BTreeSet;
use std::fs;

/// What begins the name of a function that asks NSS.
const NSS: [&str; 6] = ["getaddrinfo", "getnameinfo", "gethostby", "getservby", "getpw", "getgrnam"];

/// What `fork` brings, which keeps NSS's tables in order and calls nothing of them: their names are a table of glibc's. It is linked
/// because crossterm asks `tput` for the size of a terminal that does not tell it. A function that is itself linked is found all
/// the same: each has a second name in the file, `__getpwuid_r`, that is not here.
const FORK: [&str; 14] = [
    "getgrnam_r",
    "gethostbyaddr2_r",
    "gethostbyaddr_r",
    "gethostbyname2_r",
    "gethostbyname3_context",
    "gethostbyname3_multi",
    "gethostbyname3_r",
    "gethostbyname4_r",
    "gethostbyname_r",
    "getpwent_r",
    "getpwnam_r",
    "getpwuid_r",
    "getservbyname_r",
    "getservbyport_r",
];

/// Packages that are, or bring, an async runtime.
const RUNTIMES: [&str; 7] =
    ["tokio", "async-std", "async-executor", "async-global-executor", "futures-executor", "hyper", "smol"];

#[test]
fn the_binary_asks_for_no_loader() {
    assert_eq!(interpreter(&binary()), None);
    // The test can fail: the system's own shell has one.
    assert!(interpreter(&fs::read("/bin/sh").unwrap()).is_some());
}

#[test]
fn the_binary_has_no_way_into_nss() {
    // The one that a static glibc may keep is found: else this test looks through nothing.
    let mut kept = BTreeSet::from(["getgroups"]);
    kept.extend(FORK);
    assert_eq!(nss_symbols(&binary()), kept);
    let linked = b"\0getgroups\0_budgetpw\0getaddrinfo\0__getpwnam_r\0";
    assert_eq!(nss_symbols(linked), BTreeSet::from(["__getpwnam_r", "getaddrinfo", "getgroups"]));
}

#[test]
fn the_lock_has_no_async_runtime() {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    assert_eq!(runtimes(&lock), Vec::<&str>::new());
    assert_eq!(runtimes("[[package]]\nname = \"tokio\"\nname = \"smol_str\"\n"), ["tokio"]);
}

fn binary() -> Vec<u8> {
    fs::read(env!("CARGO_BIN_EXE_sendoff")).unwrap()
}

/// The offset of the program header that names a loader (ELF64, little-endian: PT_INTERP is 3).
fn interpreter(elf: &[u8]) -> Option<usize> {
    assert_eq!(elf[..6], *b"\x7fELF\x02\x01", "no 64-bit little-endian ELF file");
    let number = |at: usize, size: usize| {
        elf[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (start, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).map(|n| start + n * size).find(|at| number(*at, 4) == 3)
}

/// The names in any table of strings of the file, each once. `getgroups` asks the kernel, and is in every binary.
fn nss_symbols(file: &[u8]) -> BTreeSet<&str> {
    let names = file.split(|byte| *byte == 0).filter(|name| (5..64).contains(&name.len()));
    let asks = |name: &str| {
        name == "getgroups" || {
            let bare = name.trim_start_matches('_');
            NSS.iter().any(|start| bare.starts_with(start))
        }
    };
    names.filter_map(|name| std::str::from_utf8(name).ok()).filter(|name| asks(name)).collect()
}

fn runtimes(lock: &str) -> Vec<&str> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names.filter(|name| RUNTIMES.contains(name)).collect()
}
