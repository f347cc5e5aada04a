//! The directory of the spool, and the lock on it: one relay, one spool.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::SpoolError;

/// Holds the lock on a spool's directory. The kernel gives it back when the process ends, however it ends.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory if it is missing (mode 0700), and locks it. The file `lock` holds our process id.
    ///
    /// # Errors
    /// [`SpoolError::Locked`] names the process that has it.
    pub(super) fn take(path: &Path) -> Result<Lock, SpoolError> {
        let failed =
            |what: &str, error: &std::io::Error| SpoolError::io(&format!("{what} {}", path.display()), error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("making", &e))?;
        // Not truncated at open: until the lock is ours, the number in it is another's.
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).to_owned();
        let mut file = options.open(path.join("lock")).map_err(|e| failed("opening the lock of", &e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Whoever cannot be named is still there.
                let _ = file.read_to_string(&mut text);
                return Err(SpoolError::Locked { by: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => return Err(failed("locking", &error)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = written {
            // The lock holds without the number: a full disk must not keep mail from leaving.
            log::warn!("writing our process id into the lock of {}: {error}", path.display());
        }
        Ok(Lock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_relay_is_told_who_holds_the_spool() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let lock = Lock::take(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let by = Some(std::process::id());
        assert_eq!(Lock::take(&path).err(), Some(SpoolError::Locked { by }));
        drop(lock);
        assert!(Lock::take(&path).is_ok());
    }
}
