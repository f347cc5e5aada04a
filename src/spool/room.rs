//! Room: whether more mail may come in. Below a mark of the disk, or with too much queued, new mail is refused while there is
//! still room for what delivery itself has to write: settlements, and letters of our own. The log says once that a mark has
//! been reached, and once that it is over.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::SpoolError;
use super::store::Spool;
use crate::config::Config;
use crate::time::clock;

/// The marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Octets that stay free on the spool's file system.
    pub min_free: u64,
    /// Files that can still be made there.
    pub min_free_files: u64,
    /// The most recipients that are queued.
    pub max_queued: u64,
}

impl Marks {
    /// The marks of these settings.
    pub fn of(config: &Config) -> Marks {
        let spool = &config.spool;
        Marks {
            min_free: spool.min_free,
            min_free_files: spool.min_free_files,
            max_queued: spool.max_queued as u64,
        }
    }
}

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    disk: Disk,
    queued: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    free: u64,
    /// `None` where the file system has no fixed number of them.
    files: Option<u64>,
}

impl Marks {
    /// The mark that has been reached, in words. Once one was, it is over only when there is a tenth more room than that, or
    /// every message that leaves would let one in, and the log say so each time.
    fn reached(&self, found: &Found, was_reached: bool) -> Option<String> {
        let more = |mark: u64| if was_reached { mark.saturating_add(mark / 10) } else { mark };
        let most = if was_reached { self.max_queued - self.max_queued / 10 } else { self.max_queued };
        if found.disk.free < more(self.min_free) {
            return Some(format!("the disk has {} MiB free (spool.min_free)", found.disk.free >> 20));
        }
        if let Some(files) = found.disk.files.filter(|files| *files < more(self.min_free_files)) {
            return Some(format!("the disk has room for {files} files (spool.min_free_files)"));
        }
        (found.queued >= most).then(|| format!("{} recipients are queued (spool.max_queued)", found.queued))
    }

    /// Why a message of so many octets and recipients is too large for the room there is.
    fn exceeded(&self, found: &Found, octets: u64, recipients: u64) -> Option<String> {
        if found.disk.free < self.min_free.saturating_add(octets) {
            return Some(format!("{octets} octets more would leave less than spool.min_free"));
        }
        let queued = found.queued.saturating_add(recipients);
        (queued > self.max_queued)
            .then(|| format!("{recipients} recipients more than spool.max_queued allows"))
    }
}

impl Disk {
    const UNKNOWN: Disk = Disk { free: u64::MAX, files: None };
}

/// How long what was seen of the disk holds: a busy relay asks ten thousand times a second.
const FRESH: Duration = Duration::from_millis(20);

/// The place that is looked at, and what was last said about it.
pub(super) struct Room {
    path: PathBuf,
    /// What was last seen of the disk, and when.
    seen: Mutex<Option<(Instant, Disk)>>,
    /// Held by who looks.
    looking: Mutex<()>,
    /// The mark that has been reached.
    low: Mutex<Option<String>>,
}

impl Room {
    pub(super) fn new(path: &Path) -> Room {
        Room { path: path.to_owned(), seen: Mutex::new(None), looking: Mutex::new(()), low: Mutex::new(None) }
    }

    fn look(&self, queued: u64) -> Found {
        let now = clock::now();
        let known = *self.seen.lock();
        let fresh = known.filter(|(at, _)| now.saturating_duration_since(*at) < FRESH);
        // One looks, and nobody waits for it: a disk that hangs holds one thread, not every client. Before the first look
        // has ended there is no reason to refuse mail.
        let disk = match (fresh, self.looking.try_lock()) {
            (Some((_, disk)), _) => disk,
            (None, Some(_looking)) => {
                let disk = self.disk();
                *self.seen.lock() = Some((clock::now(), disk));
                disk
            }
            (None, None) => known.map_or(Disk::UNKNOWN, |(_, disk)| disk),
        };
        Found { disk, queued }
    }

    fn disk(&self) -> Disk {
        match rustix::fs::statvfs(&self.path) {
            Ok(disk) => Disk {
                free: disk.f_bavail.saturating_mul(disk.f_frsize),
                files: (disk.f_files > 0).then_some(disk.f_favail),
            },
            Err(error) => {
                // No reason to refuse mail: writing it will show.
                log::debug!("looking for the room at {}: {error}", self.path.display());
                Disk::UNKNOWN
            }
        }
    }

    fn judge(&self, marks: &Marks, found: &Found) -> Option<String> {
        let mut low = self.low.lock();
        let reached = marks.reached(found, low.is_some());
        match (&reached, &*low) {
            (Some(words), None) => {
                log::warn!("{words}: new mail is answered 452 until there is room again; delivery goes on");
            }
            (None, Some(_)) => log::warn!("there is room again, and mail is taken"),
            _ => {}
        }
        low.clone_from(&reached);
        reached
    }
}

impl Spool {
    /// Whether there is room for a message of so many octets, as far as is known, and recipients. Letters of our own need not
    /// ask. Asked with nothing now and then, it notices that a mark is over.
    ///
    /// # Errors
    /// [`SpoolError::Low`].
    pub fn room(&self, marks: &Marks, octets: u64, recipients: u64) -> Result<(), SpoolError> {
        let found = self.room.look(self.totals()?.recipients);
        let low = self.room.judge(marks, &found);
        low.or_else(|| marks.exceeded(&found, octets, recipients))
            .map_or(Ok(()), |words| Err(SpoolError::Low(words)))
    }

    /// The mark because of which mail is refused at present.
    pub fn low(&self) -> Option<String> {
        self.room.low.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { min_free: 100 << 20, min_free_files: 1000, max_queued: 500 };
    const PLENTY: Found = found(1 << 40, Some(1 << 20), 0);

    const fn found(free: u64, files: Option<u64>, queued: u64) -> Found {
        Found { disk: Disk { free, files }, queued }
    }

    #[test]
    fn each_mark_is_reached_and_over_only_with_a_tenth_more_room() {
        let cases = [
            (PLENTY, false, false),
            (found(1 << 40, None, 0), false, false),
            (found((100 << 20) - 1, Some(1 << 20), 0), true, true),
            (found(105 << 20, Some(1 << 20), 0), false, true),
            (found(110 << 20, Some(1 << 20), 0), false, false),
            (found(1 << 40, Some(999), 0), true, true),
            (found(1 << 40, Some(1050), 0), false, true),
            (Found { queued: 500, ..PLENTY }, true, true),
            (Found { queued: 499, ..PLENTY }, false, true),
            (Found { queued: 449, ..PLENTY }, false, false),
        ];
        for (found, before, after) in cases {
            let reached = [false, true].map(|was| MARKS.reached(&found, was).is_some());
            assert_eq!(reached, [before, after], "{found:?}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_for_the_room_is_refused_by_itself() {
        let found = found(101 << 20, None, 490);
        assert_eq!(MARKS.reached(&found, false), None);
        assert_eq!(MARKS.exceeded(&found, 1 << 20, 10), None);
        assert!(MARKS.exceeded(&found, (1 << 20) + 1, 1).is_some());
        assert!(MARKS.exceeded(&found, 0, 11).is_some());
    }

    /// A disk that hung at one look stopped every client at MAIL, without a deadline.
    #[test]
    fn nobody_waits_for_who_looks() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::new(dir.path());
        let looking = room.looking.lock();
        assert_eq!(room.look(7), Found { disk: Disk::UNKNOWN, queued: 7 });
        let old = Disk { free: 5, files: Some(6) };
        let before = clock::now().checked_sub(2 * FRESH).unwrap();
        *room.seen.lock() = Some((before, old));
        assert_eq!(room.look(0).disk, old);
        drop(looking);
        assert_ne!(room.look(0).disk, old);
    }
}
