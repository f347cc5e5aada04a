//! The schema, which is an interface for operators, and the opening of connections.
//!
//! An operator may read all of it with `sqlite3 spool.db` while the relay runs. Version 3 (`PRAGMA user_version`):
//!
//! - `messages`: one row a message. `id` is the number of the queue id (eleven digits of base 32 elsewhere);
//!   `reverse_path` is empty for `<>`; `body_type` 7 or 8 (BODY=); `size` in octets; `accepted` in Unix seconds; `file` 1
//!   when the body is the file `body/<queue id>`, 0 when it is in `bodies`; `delay_notified` 1 when the reverse-path has
//!   been told that the message is late; `held` the Unix time since which an operator holds it, NULL when nobody does
//!   (since version 3). To drop a message while the relay is stopped: `DELETE FROM messages WHERE id = ..`;
//!   a trigger removes the rest, and the next start its body file.
//! - `recipients`: one row a recipient that is still queued; it goes when it is delivered or has failed. `n` counts from 0
//!   within the message; `destination` as in the log; `next` in Unix seconds, 0 for at once; `last_*` is the last failure:
//!   `last_blame` site, message or recipient, `last_said` 1 when `last_text` is a real reply of the server and 0 when the
//!   words are ours, `last_duplicate` 1 when the message may have been delivered all the same; `redirected` 1 when an
//!   operator has chosen its destination, so that the routes do not (since version 3).
//! - `bodies`: the octets of small messages, as they were accepted.
//! - `attempts`: what has been tried, the newest fifty of each queued message; `outcome` delivered, deferred or failed;
//!   `text` what was said or the host, and in brackets, in the words of the log, whether TLS protected the session.
//! - `destinations`: the standing of next hops, so that a restart does not run into the same holes again: failures in a
//!   row, no attempt before `until`, `proven` 1 when the last session reached a reply to EHLO.
//! - `quarantine` (since version 2): what cannot be read, and why: `n` -1 for a message as a whole, else that recipient of
//!   it. Delivery passes it by; its rows and its body stay. To have it back while the relay is stopped: mend the row or the
//!   body, and `DELETE FROM quarantine WHERE message = ..`.
//! - `suspended` (since version 3): destinations that an operator has suspended, `since` when and why.
//! - `ids`: no id up to `last` is given again.
//!
//! A spool of an older version is brought up to this one when it is opened, step by step, in one transaction.
//!
//! Envelopes, bodies and attempts are apart, so that a start reads envelopes only. The tables are STRICT: what an operator
//! writes by hand has at least the right type.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::SpoolError;
use crate::mail::QueueId;

/// The version of the schema that this program writes.
pub(super) const VERSION: i64 = VERSIONS.len() as i64;

/// How long a connection waits for the database's locks: an operator's `sqlite3` may hold them for a moment.
const BUSY: Duration = Duration::from_secs(5);

/// What makes each version of the one before; a new spool goes through all of them, and none is ever changed.
const VERSIONS: [&str; 3] = [FIRST, QUARANTINE, ORDERS];

const FIRST: &str = "
CREATE TABLE messages (
    id             INTEGER PRIMARY KEY,
    reverse_path   TEXT    NOT NULL,
    body_type      INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    accepted       INTEGER NOT NULL,
    file           INTEGER NOT NULL,
    delay_notified INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE recipients (
    message        INTEGER NOT NULL,
    n              INTEGER NOT NULL,
    address        TEXT    NOT NULL,
    destination    TEXT    NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    next           INTEGER NOT NULL DEFAULT 0,
    last_at        INTEGER,
    last_blame     TEXT,
    last_phase     TEXT,
    last_status    TEXT,
    last_said      INTEGER,
    last_text      TEXT,
    last_remote    TEXT,
    last_address   TEXT,
    last_duplicate INTEGER,
    PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE bodies (
    message INTEGER PRIMARY KEY,
    octets  BLOB NOT NULL
) STRICT;
CREATE TABLE attempts (
    message INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    address TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    outcome TEXT    NOT NULL,
    phase   TEXT,
    status  TEXT,
    text    TEXT,
    PRIMARY KEY (message, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE destinations (
    destination TEXT PRIMARY KEY,
    failures    INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    proven      INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    last_text   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ids (last INTEGER NOT NULL) STRICT;
INSERT INTO ids VALUES (0);
CREATE TRIGGER message_gone AFTER DELETE ON messages BEGIN
    DELETE FROM recipients WHERE message = OLD.id;
    DELETE FROM bodies WHERE message = OLD.id;
    DELETE FROM attempts WHERE message = OLD.id;
END;
";

const QUARANTINE: &str = "
CREATE TABLE quarantine (
    message INTEGER NOT NULL,
    n       INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    reason  TEXT    NOT NULL,
    PRIMARY KEY (message, n)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER quarantine_gone AFTER DELETE ON messages BEGIN
    DELETE FROM quarantine WHERE message = OLD.id;
END;
";

const ORDERS: &str = "
ALTER TABLE messages ADD COLUMN held INTEGER;
ALTER TABLE recipients ADD COLUMN redirected INTEGER NOT NULL DEFAULT 0;
CREATE TABLE suspended (
    destination TEXT PRIMARY KEY,
    since       INTEGER NOT NULL,
    reason      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Makes the database in `path`, empty, if it is missing. Only before the first connection: closing any descriptor of a
/// file gives back all locks that this process has on it (POSIX, `fcntl`), SQLite's among them, and the next `sqlite3` of
/// an operator would take itself for the last user and remove the log that we write to.
pub(super) fn make(path: &Path) -> Result<(), SpoolError> {
    let path = path.join("spool.db");
    // Made by us and not by SQLite, for its mode; the files SQLite makes beside it take the mode over.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    made.map(drop).map_err(|e| SpoolError::io(&format!("opening {}", path.display()), &e))
}

/// A connection to the database in `path`, set up as all of ours are.
pub(super) fn connect(path: &Path) -> Result<Connection, SpoolError> {
    let path = path.join("spool.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags);
    let prepared = connection.and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        // Only the checkpointer checkpoints: it knows when that would not be safe (`renewal.rs`).
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(connection)
    });
    prepared.map_err(|e| SpoolError::sql(&e))
}

/// Refuses to begin anew where there has been mail: with its database lost or cut to nothing, SQLite would make an empty one,
/// and every body file would be nobody's.
pub(super) fn guard(path: &Path) -> Result<(), SpoolError> {
    let size = |name: &str| std::fs::metadata(path.join(name)).map_or(0, |found| found.len());
    if size("spool.db") > 0 {
        return Ok(());
    }
    let bodies = std::fs::read_dir(path.join("body")).into_iter().flatten().flatten();
    let names = bodies.filter_map(|entry| QueueId::parse(entry.file_name().to_str()?));
    let text = match names.count() {
        0 if size("spool.db-wal") == 0 => return Ok(()),
        0 => "spool.db is missing or empty, but its log spool.db-wal is not".to_owned(),
        bodies => format!("spool.db is missing or empty, but there are {bodies} messages in body/"),
    };
    Err(SpoolError::Corrupt { id: None, text })
}

/// Makes the tables in an empty database, and those that are new since an older version; refuses what is not ours to read.
pub(super) fn prepare(connection: &Connection) -> Result<(), SpoolError> {
    let number = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| SpoolError::sql(&e))
    };
    let found = number("PRAGMA user_version")?;
    if found == 0 && number("SELECT count(*) FROM sqlite_schema")? > 0 {
        let text = "spool.db is another program's database".into();
        return Err(SpoolError::Corrupt { id: None, text });
    }
    let steps = usize::try_from(found).ok().and_then(|found| VERSIONS.get(found..));
    let Some(steps) = steps else { return Err(SpoolError::Version { found, ours: VERSION }) };
    if steps.is_empty() {
        return Ok(());
    }
    // All or nothing: a crash in the middle leaves the version that was.
    let steps = steps.concat();
    let made = connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;"));
    made.map_err(|e| SpoolError::sql(&e))?;
    if found > 0 {
        log::info!("the spool has been brought from version {found} to {VERSION}");
    }
    Ok(())
}
