//! The schema, which is an interface for operators, and the opening of connections.
//!
//! An operator may read all of it with `sqlite3 spool.db` while the relay runs. Version 1 (`PRAGMA user_version`):
//!
//! - `messages`: one row a message. `id` is the number of the queue id (eleven digits of base 32 elsewhere);
//!   `reverse_path` is empty for `<>`; `body_type` 7 or 8 (BODY=); `size` in octets; `accepted` in Unix seconds; `file` 1
//!   when the body is the file `body/<queue id>`, 0 when it is in `bodies`; `delay_notified` 1 when the reverse-path has
//!   been told that the message is late. To drop a message while the relay is stopped: `DELETE FROM messages WHERE id = ..`;
//!   a trigger removes the rest, and the next start its body file.
//! - `recipients`: one row a recipient that is still queued; it goes when it is delivered or has failed. `n` counts from 0
//!   within the message; `destination` as in the log; `next` in Unix seconds, 0 for at once; `last_*` is the last failure:
//!   `last_blame` site, message or recipient, `last_said` 1 when `last_text` is a real reply of the server and 0 when the
//!   words are ours, `last_duplicate` 1 when the message may have been delivered all the same.
//! - `bodies`: the octets of small messages, as they were accepted.
//! - `attempts`: what has been tried, the newest fifty of each queued message; `outcome` delivered, deferred or failed.
//! - `destinations`: the standing of next hops, so that a restart does not run into the same holes again: failures in a
//!   row, no attempt before `until`, `proven` 1 when the last session reached a reply to EHLO.
//! - `ids`: no id up to `last` is given again.
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

/// The version of the schema that this program writes.
pub(super) const VERSION: i64 = 1;

/// How long a connection waits for the database's locks: an operator's `sqlite3` may hold them for a moment.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
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
PRAGMA user_version = 1;
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

/// Makes the tables in an empty database; refuses what is not ours to read.
pub(super) fn prepare(connection: &Connection) -> Result<(), SpoolError> {
    let number = |sql: &str| {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| SpoolError::sql(&e))
    };
    match number("PRAGMA user_version")? {
        VERSION => Ok(()),
        0 if number("SELECT count(*) FROM sqlite_schema")? == 0 => {
            let made = connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"));
            made.map_err(|e| SpoolError::sql(&e))
        }
        0 => Err(SpoolError::Corrupt { id: None, text: "spool.db is another program's database".into() }),
        found => Err(SpoolError::Version { found, ours: VERSION }),
    }
}
