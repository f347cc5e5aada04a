//! `sendoff passwd`: writes a user's password, hashed, into the file of users.
//!
//! The new file takes the place of the old one at once and whole, with the owner of the old one; the other lines stay as
//! they are. Two of these commands at once do not undo each other: the second one is told to wait.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{Gid, Uid, fchown};
use zeroize::Zeroizing;

use super::Exit;
use super::arguments;
use super::prompt;
use super::table::print;
use crate::credentials::{Users, Verifier, is_name};

/// Asks for the password and writes it; or takes the user out.
pub(super) fn passwd(arguments: &arguments::Passwd) -> Result<(), Exit> {
    let (path, name) = (&arguments.file, &arguments.name);
    if !is_name(name) {
        return Err(Exit::data(
            "a name has 1 to 255 octets, no colon or control character in it, and no # in front",
        ));
    }
    let line = if arguments.delete {
        None
    } else {
        let password =
            prompt::password(name).map_err(|error| Exit::no_input(format!("the password: {error}")))?;
        check(&password)?;
        let mut salt = [0; Verifier::SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| Exit::system("the system has no random numbers"))?;
        Some(format!("{name}:{}", Verifier::of(&password, salt)))
    };
    let trouble = |error: io::Error| Exit::cannot_create(format!("{}: {error}", path.display()));
    let home = home(path);
    // Held until the end of this function, and by nobody who has ended otherwise.
    let lock = File::open(&home).map_err(trouble)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Exit::later("another sendoff passwd is at work in this directory"));
        }
        Err(TryLockError::Error(error)) => return Err(trouble(error)),
    }
    let old = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
        Err(error) => return Err(trouble(error)),
    };
    let (text, had) = changed(&old, name, line.as_deref());
    if arguments.delete && !had {
        return Err(Exit::data(format!("{}: there is no {name}", path.display())));
    }
    Users::parse(&text).map_err(|(n, words)| Exit::data(format!("{}:{n}: {words}", path.display())))?;
    replace(path, &home, text.as_bytes()).map_err(trouble)?;
    let done = if arguments.delete {
        "taken out"
    } else if had {
        "changed"
    } else {
        "added"
    };
    print(&format!("{}: {name} {done}; a running relay knows it in a second\n", path.display()))
}

/// What could not be sent by every client, or would be a slip of the hand.
fn check(password: &[u8]) -> Result<(), Exit> {
    let text = std::str::from_utf8(password).map_err(|_| Exit::data("a password is text in UTF-8"))?;
    if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
        return Err(Exit::data("a password has 1 to 1024 octets, and no control character in it"));
    }
    Ok(())
}

/// The text with `line` in place of the user's own, or behind all others; and whether there was one.
fn changed(old: &str, name: &str, line: Option<&str>) -> (Zeroizing<String>, bool) {
    let own = |found: &str| found.split_once(':').is_some_and(|(found, _)| found == name);
    let mut text = Zeroizing::new(String::with_capacity(old.len() + 512));
    let mut had = false;
    for found in old.lines() {
        let kept = if own(found) { line.filter(|_| !had) } else { Some(found) };
        had |= own(found);
        kept.into_iter().for_each(|kept| {
            text.push_str(kept);
            text.push('\n');
        });
    }
    if let Some(line) = line.filter(|_| !had) {
        text.push_str(line);
        text.push('\n');
    }
    (text, had)
}

/// The directory of a file.
fn home(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Writes beside the file, and puts that in its place: whoever reads it meets the old one or the new one.
fn replace(path: &Path, home: &Path, text: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = home.join(format!(".{name}.{}", std::process::id()));
    let written = write(&beside, path, text).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to be told.
        let _ = fs::remove_file(&beside);
    }
    written.and_then(|()| File::open(home)?.sync_all())
}

fn write(beside: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(beside)?;
    if let Ok(old) = fs::metadata(path)
        && (old.uid(), old.gid()) != (file.metadata()?.uid(), file.metadata()?.gid())
    {
        // The relay's own user must still be able to read it.
        fchown(&file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())))?;
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_the_place_of_the_old_one() {
        let old = "# ours\nann:1\nbob:2\n";
        for (name, line, new, had) in [
            ("ann", Some("ann:3"), "# ours\nann:3\nbob:2\n", true),
            ("eve", Some("eve:3"), "# ours\nann:1\nbob:2\neve:3\n", false),
            ("ann", None, "# ours\nbob:2\n", true),
            ("# ours", None, old, false),
        ] {
            let (text, found) = changed(old, name, line);
            assert_eq!((text.as_str(), found), (new, had), "{name}");
        }
        assert_eq!(changed("ann:1", "bob", Some("bob:2")).0.as_str(), "ann:1\nbob:2\n");
    }

    #[test]
    fn a_password_is_text() {
        assert!(check(b"correct horse").is_ok() && check("p\u{e4}ss".as_bytes()).is_ok());
        for wrong in [&b""[..], b"a\tb", b"\xff", &[b'x'; 1025]] {
            assert!(check(wrong).is_err());
        }
    }
}
