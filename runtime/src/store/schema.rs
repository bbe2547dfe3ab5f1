//! The tables: those of protocol.md, appendix B, with names anybody's SQLite tools can read. Times are unix seconds.
//!
//! Every table is clustered on its key. A private message carries its position first, so that queueing appends and
//! loading reads in the order of acceptance; a channel's history lies together because it is trimmed together.

/// `PRAGMA application_id` of our files: "Come" in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x436f_6d65;

/// `PRAGMA user_version`: raised with every change of the tables.
pub(super) const VERSION: i64 = 1;

/// Creates the tables of a new file.
pub(super) const CREATE: &str = "
CREATE TABLE users_auth (
    dev_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) WITHOUT ROWID, STRICT;
CREATE TABLE users_data (
    dev_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) WITHOUT ROWID, STRICT;
-- time is 0 while the user is online.
CREATE TABLE users_time (
    dev_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (dev_id, user_id)
) WITHOUT ROWID, STRICT;
CREATE TABLE users_messages (
    dev_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (dev_id, seq, user_id)
) WITHOUT ROWID, STRICT;
CREATE TABLE pipes_settings (
    dev_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    length INTEGER NOT NULL,
    PRIMARY KEY (dev_id, name)
) WITHOUT ROWID, STRICT;
-- user_id is 0 unless an authorized browser sent the message.
CREATE TABLE pipe_messages (
    dev_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    time INTEGER NOT NULL,
    event TEXT NOT NULL,
    message TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    PRIMARY KEY (dev_id, name, seq)
) WITHOUT ROWID, STRICT;
CREATE TABLE revoked_tokens (
    dev_id INTEGER NOT NULL,
    token TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (dev_id, token)
) WITHOUT ROWID, STRICT;
";
