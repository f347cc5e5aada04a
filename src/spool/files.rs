//! Large bodies: a file each, `body/<queue id>`.
//!
//! A file is on disk, and its name in the directory, before the row that names it commits. So a crash leaves at most a file
//! without a row, which is removed at the next start; never a row without its file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Alarm, SpoolError};
use crate::mail::{Body, QueueId};

/// The most files that are remembered to be removed; others are by the next start.
const MOST_LEFT: usize = 100_000;

/// The directory of body files.
pub(super) struct Files {
    path: PathBuf,
    /// Files that nobody needs, and that could not be removed.
    left: Mutex<Vec<QueueId>>,
    alarm: Alarm,
}

/// A body file whose row is not committed yet. Its Drop removes the file.
pub(super) struct BodyFile {
    files: Arc<Files>,
    id: QueueId,
    file: File,
    /// Its directory, open since before the file was made. A failed sync is told once to each open file description (errseq
    /// in Linux): over one that others share, somebody else would be told of the name that was lost, and we success.
    directory: File,
    size: u64,
    keep: bool,
}

impl Files {
    /// Opens `body/` below `path`, or makes it.
    pub(super) fn open(path: &Path) -> Result<Files, SpoolError> {
        let path = path.join("body");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let made = made.and_then(|()| File::open(&path));
        made.map_err(|e| SpoolError::io(&format!("opening {}", path.display()), &e))?;
        let alarm = Alarm::new("body files cannot be removed", "body files are removed again");
        Ok(Files { path, left: Mutex::new(Vec::new()), alarm })
    }

    fn name(&self, id: QueueId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// A new, empty file (mode 0600); it must not exist.
    pub(super) fn create(self: &Arc<Self>, id: QueueId) -> Result<BodyFile, SpoolError> {
        let directory =
            File::open(&self.path).map_err(|e| SpoolError::io("opening the body directory", &e))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.name(id));
        let file = file.map_err(|e| SpoolError::io("making a body file", &e))?;
        Ok(BodyFile { files: Arc::clone(self), id, file, directory, size: 0, keep: false })
    }

    /// The body of a message, which has `size` octets.
    pub(super) fn body(&self, id: QueueId, size: u64) -> Result<Body, SpoolError> {
        let corrupt = |text: String| SpoolError::Corrupt { id: Some(id), text };
        let file = match File::open(self.name(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(corrupt("its body file is missing".into()));
            }
            Err(error) => return Err(SpoolError::io("opening a body file", &error)),
        };
        let found = file.metadata().map_err(|e| SpoolError::io("reading a body file", &e))?.len();
        if found != size {
            return Err(corrupt(format!("its body file has {found} octets instead of {size}")));
        }
        Ok(Body::File(Arc::new(file), size))
    }

    /// Removes a body file. What cannot be removed is left for [`Files::remove_left`], or for the next start.
    pub(super) fn remove(&self, id: QueueId) {
        match std::fs::remove_file(self.name(id)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                log::warn!("removing the body file of {id}: {error}");
            }
            Err(error) => {
                self.alarm.raise(&error);
                let mut left = self.left.lock();
                if left.len() < MOST_LEFT {
                    left.push(id);
                }
            }
        }
    }

    /// Tries again to remove what could not be removed.
    pub(super) fn remove_left(&self) {
        let left = std::mem::take(&mut *self.left.lock());
        if !left.is_empty() {
            left.into_iter().for_each(|id| self.remove(id));
            if !self.has_left() {
                self.alarm.clear();
            }
        }
    }

    /// Whether there are any.
    pub(super) fn has_left(&self) -> bool {
        !self.left.lock().is_empty()
    }

    /// Removes every body file without a row, as `is_known` tells. What has another name is left alone.
    pub(super) fn sweep(
        &self,
        is_known: &mut dyn FnMut(QueueId) -> Result<bool, SpoolError>,
    ) -> Result<(), SpoolError> {
        let failed =
            |error: &std::io::Error| SpoolError::io(&format!("reading {}", self.path.display()), error);
        for entry in std::fs::read_dir(&self.path).map_err(|e| failed(&e))? {
            let name = entry.map_err(|e| failed(&e))?.file_name();
            match name.to_str().and_then(QueueId::parse) {
                Some(id) if is_known(id)? => {}
                Some(id) => {
                    log::info!("removing the body file of {id}, which was never accepted or is gone");
                    self.remove(id);
                }
                None => log::warn!("{}: what is this?", self.path.join(name).display()),
            }
        }
        Ok(())
    }
}

impl BodyFile {
    /// Appends octets.
    pub(super) fn write(&mut self, octets: &[u8]) -> Result<(), SpoolError> {
        self.file.write_all(octets).map_err(|e| SpoolError::io("writing a body file", &e))?;
        self.size += octets.len() as u64;
        Ok(())
    }

    /// The file and its name are on disk when this returns.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        let synced = self.file.sync_all().and_then(|()| self.directory.sync_all());
        synced.map_err(|e| SpoolError::io("syncing a body file", &e))
    }

    /// How many octets have been written.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Its row is committed: the file stays.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        if !self.keep {
            self.files.remove(self.id);
        }
    }
}
