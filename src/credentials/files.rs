//! Files with secrets: read only when nobody else can read them, and known by their stamp when they change.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// No file of keys or users is longer.
const MOST_OCTETS: u64 = 64 << 20;

/// What tells one state of a file from another: which file it is, how long, when written. A file that is not there has one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, u64, i64, i64)>);

impl Stamp {
    /// The stamp of the file that `path` leads to now: certbot changes a link, not the file.
    pub(super) fn of(path: &Path) -> Stamp {
        let found = fs::metadata(path).ok();
        Stamp(found.map(|file| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec())))
    }
}

/// Reads a file that anybody may read, of at most 64 MiB.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    open(path).and_then(|file| contents(file, path))
}

/// Reads a file that others must not be able to read, change, or run.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = open(path)?;
    let mode = file.metadata().map_err(|error| words(path, &error))?.mode();
    if mode & 0o007 != 0 {
        return Err(format!(
            "{}: others may use it (mode {:03o}): chmod o= it",
            path.display(),
            mode & 0o777
        ));
    }
    contents(file, path)
}

fn open(path: &Path) -> Result<File, String> {
    // A FIFO without a writer would keep whoever opens it waiting, who is the one that hears of signals: this open does not
    // wait. What is no file is refused then; a directory would give an error that says little.
    let mut options = File::options();
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    options.read(true).custom_flags(i32::try_from(flags).unwrap_or(0));
    let file = options.open(path).map_err(|error| words(path, &error))?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(format!("{}: it is no file", path.display())),
        Err(error) => Err(words(path, &error)),
    }
}

fn contents(file: File, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let size = file.metadata().map_or(0, |file| file.len());
    if size > MOST_OCTETS {
        return Err(format!("{}: it is longer than 64 MiB", path.display()));
    }
    // As large as it needs to be from the start: a buffer that grows leaves copies behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
    file.take(MOST_OCTETS).read_to_end(&mut octets).map_err(|error| words(path, &error))?;
    Ok(octets)
}

fn words(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_that_others_can_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        assert!(read_secret(&path).unwrap_err().contains("key.pem: No such file"));
        fs::write(&path, "secret").unwrap();
        for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false), (0o601, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&path).is_ok(), fine, "{mode:o}");
            assert!(read(&path).is_ok());
        }
        assert!(read(dir.path()).unwrap_err().ends_with("it is no file"));
    }

    /// To open it was to wait for a writer, for ever: at the start, or in the loop that hears of SIGTERM.
    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (done, read_it) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send((read(&path), read_secret(&path))));
        let (open, secret) = read_it.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        assert!(
            open.unwrap_err().ends_with("it is no file") && secret.unwrap_err().ends_with("it is no file")
        );
    }

    #[test]
    fn a_file_that_was_replaced_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("a"), dir.path().join("b"));
        let none = Stamp::of(&path);
        fs::write(&path, "1").unwrap();
        let first = Stamp::of(&path);
        assert!(none != first && first == Stamp::of(&path));
        fs::write(&new, "2").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_ne!(first, Stamp::of(&path));
    }
}
