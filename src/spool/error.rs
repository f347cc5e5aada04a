//! Our own trouble: disk, files, the database. Each kind answers "what does my caller do now?".

use std::fmt;
use std::io;

use rusqlite::ErrorCode;

use crate::mail::QueueId;

/// Why the spool could not do what it was asked. Nothing has been changed, except where a variant says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolError {
    /// No space. The client is told 452 and keeps the message (RFC 5321, 4.2.3).
    Full,
    /// A mark for room has been reached: no new mail, though what is here can still be written. The client is told 452.
    Low(String),
    /// Not now, and it may pass by itself. The client is told 451 and keeps the message.
    Temporary(String),
    /// A settlement that could not be written yet: the spool keeps it in memory, with its claim, and tries again until it
    /// is on disk. There is nothing to do for the caller; settling again would be wrong.
    Kept(String),
    /// Somebody works this message for this destination already.
    Claimed(QueueId),
    /// What is on disk cannot be read: one message, or (without an id) the spool. A person must look.
    Corrupt {
        /// The message, if it is only one.
        id: Option<QueueId>,
        /// What is wrong with it.
        text: String,
    },
    /// Another relay runs on this spool. Do not start.
    Locked {
        /// Its process id, if it could be read.
        by: Option<u32>,
    },
    /// The spool was written by a newer Sendoff. Do not start.
    Version {
        /// The version of the spool.
        found: i64,
        /// The newest that this program reads.
        ours: i64,
    },
    /// The file system refused, in these words. The client is told 451.
    Io(String),
    /// The spool has been closed, or its writer has died. The client is told 421.
    Closed,
}

impl SpoolError {
    /// An error of the file system while doing `what`.
    pub(super) fn io(what: &str, error: &io::Error) -> SpoolError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::Full,
            _ => SpoolError::Io(format!("{what}: {error}")),
        }
    }

    /// What an error of the database means to the caller. SQLite makes ENOSPC its "full".
    pub(super) fn sql(error: &rusqlite::Error) -> SpoolError {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => SpoolError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                SpoolError::Corrupt { id: None, text }
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
                SpoolError::Io(format!("database: {text}"))
            }
            _ => SpoolError::Temporary(format!("database: {text}")),
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Full => f.write_str("the spool is full: no space on its disk"),
            SpoolError::Low(text) => write!(f, "no room for more mail: {text}"),
            SpoolError::Temporary(text) | SpoolError::Io(text) => write!(f, "the spool: {text}"),
            SpoolError::Kept(text) => write!(f, "not on disk yet, and kept until it is: {text}"),
            SpoolError::Claimed(id) => write!(f, "{id} is being worked for this destination already"),
            SpoolError::Corrupt { id: Some(id), text } => write!(f, "{id} cannot be read: {text}"),
            SpoolError::Corrupt { id: None, text } => write!(
                f,
                "the spool is damaged, and has been left as it is: {text}. Copy its directory before anything else; then \
                 `sqlite3 spool.db .recover` may give back what was in it"
            ),
            SpoolError::Locked { by: Some(pid) } => {
                write!(f, "the spool is in use by another sendoff, process {pid}")
            }
            SpoolError::Locked { by: None } => f.write_str("the spool is in use by another sendoff"),
            SpoolError::Version { found, ours } => {
                write!(
                    f,
                    "the spool has version {found}, and this sendoff knows up to {ours}: use a newer one"
                )
            }
            SpoolError::Closed => f.write_str("the spool is closed"),
        }
    }
}

impl std::error::Error for SpoolError {}
