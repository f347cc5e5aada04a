-- A spool of version 2, with quarantine: never changed.
BEGIN;
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
UPDATE ids SET last = 1732000060000000;
INSERT INTO messages VALUES (1732000000000001, 'jane@sender.example', 8, 7, 1732000000, 0, 0);
INSERT INTO messages VALUES (1732000000000002, '', 7, 100000, 1732000001, 1, 1);
INSERT INTO recipients (message, n, address, destination) VALUES (1732000000000001, 0, 'fred@x.example', 'x.example');
INSERT INTO recipients VALUES (1732000000000001, 2, 'mary@y.example', 'y.example', 2, 1732000900, 1732000300, 'recipient',
    'rcpt', '4.2.2', 1, '452 4.2.2 mailbox full', 'mx.y.example', '192.0.2.1', 0);
INSERT INTO recipients (message, n, address, destination) VALUES (1732000000000002, 0, 'jane@sender.example', 'sender.example');
INSERT INTO recipients (message, n, address, destination) VALUES (1732000000000001, 3, 'no mailbox', 'y.example');
INSERT INTO quarantine VALUES (1732000000000001, 3, 1732000400, 'no mailbox');
INSERT INTO bodies VALUES (1732000000000001, CAST('hello' || char(13) || char(10) AS BLOB));
INSERT INTO attempts VALUES (1732000000000001, 1, 1, 'gone@x.example', 1732000100, 'delivered', NULL, NULL, NULL);
INSERT INTO attempts VALUES (1732000000000001, 2, 2, 'mary@y.example', 1732000300, 'deferred', 'rcpt', '4.2.2', 'full');
INSERT INTO destinations VALUES ('hole.example', 3, 1800000000, 0, 1732000000, 'no banner');
PRAGMA user_version = 2;
COMMIT;
PRAGMA journal_mode = WAL;
