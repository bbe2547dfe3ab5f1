//! The durable state in one SQLite file, `comet.db` (protocol.md, appendix B; the tables are in `store/schema.rs`).
//!
//! Promises: what was reported as persisted is in the file; a start gives the core exactly the fold of the records
//! that were written; a file that cannot be trusted refuses the start in one clear line instead of losing anything
//! silently. One process owns a directory at a time. The store knows nothing of the rules: it maps each `Record` to
//! SQL, and rows back to records.

mod commit;
mod files;
pub(crate) mod fuzzing;
mod load;
mod open;
mod schema;
mod wal;
mod write;

use std::fmt;
use std::fs::File;
use std::path::PathBuf;

use comet_core::OpId;

pub use commit::{Group, StatsHandle, StoreStats, Writer};
pub use files::{Files, SystemFiles};
pub(crate) use open::make_directory;
pub use open::{CHECKPOINT_PAGES, open, open_on};

/// Name of the database inside the data directory.
pub const FILE_NAME: &str = "comet.db";

/// Name of the file whose lock says that a server owns the data directory.
pub const LOCK_NAME: &str = "comet.lock";

/// An open store that nobody writes to yet: [`Store::spawn`] makes a [`Writer`] of it.
pub struct Store {
    group: Group,
    /// Held until the store is closed; the operating system lets go of it when the process dies.
    _lock: File,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// What the commit thread tells about the records it was given. Every record is covered by a `Persisted` in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreEvent {
    /// Every record up to and including this one is on disk, also those of earlier failures.
    Persisted {
        /// The newest safe record.
        upto: OpId,
    },
    /// One attempt to write failed; the records are kept, in order, and tried again.
    PersistFailed {
        /// The newest record of the failed attempt.
        upto: OpId,
    },
}

/// Why the store cannot be used. The text is one line that names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be made or entered.
    #[error("data directory {path}: {cause}; choose another one with --data-dir, or correct its permissions")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// Another server has the directory.
    #[error(
        "data directory {path} is in use by another comet-server{}; stop it, or choose another directory with \
         --data-dir",
        .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Its process, if it said so.
        pid: Option<u32>,
    },
    /// The file may be read but not written.
    #[error("{path} cannot be written; correct its permissions and those of its directory")]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The database is not a healthy store of ours.
    #[error(
        "{path} is damaged or not a comet-server store ({what}); nothing was changed. Restore a backup, or save what \
         can be read as docs/operations.md says (\"A damaged store\": `.dump` into a new file and two PRAGMAs), or \
         move the file away to start empty"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The write-ahead log of a server that was killed is damaged.
    #[error(
        "{path} is damaged ({what}), so accepted changes would be lost; nothing was changed. Restore a backup, or \
         keep what is before the damage with `sqlite3 {} 'PRAGMA wal_checkpoint(TRUNCATE)'` and start again",
        .path.with_extension("db").display()
    )]
    DamagedLog {
        /// The log.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A newer program made the file.
    #[error(
        "{path} has schema version {found}, this comet-server knows up to {known}; start the newer comet-server, or \
         restore a backup made before its first start"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Another program holds SQLite's lock on the file.
    #[error("{path} is locked by another program, perhaps an open sqlite3 console; close it and start again")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed for another reason.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What SQLite or the operating system said.
        cause: String,
    },
    /// The server stopped while the disk still refused records.
    #[error("{path}: {records} accepted changes could not be written ({cause})")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// How many were lost with the process.
        records: u64,
        /// The last failure.
        cause: String,
    },
}
