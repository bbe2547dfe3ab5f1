//! Opening: one owner, a file that is ours and healthy, and all of it read into the core's durable state.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use comet_core::Durable;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::files::{Files, SystemFiles};
use super::{FILE_NAME, Group, LOCK_NAME, Store, StoreError, load, schema, wal};
use crate::config::Durability;

/// Pages kept in memory, KiB with SQLite's minus sign: users are touched in no order, and with SQLite's own 2 MiB most
/// rows of a large store cost a read and a write of a page.
const CACHE_KIB: i64 = -(32 << 10);

/// Pages in the log before they are folded into the main file: a page that changes often is then written there less
/// often. 16 MiB.
pub const CHECKPOINT_PAGES: u32 = 4096;

/// How often the lock of the directory is tried, and the pause between.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// How long a statement waits for another program that holds SQLite's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of changes is cut back to this size after a burst, bytes.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// Opens the store of a data directory, making both if they are missing, and reads everything in it.
///
/// The whole file is checked first (`PRAGMA quick_check`) and every row while it is read.
pub fn open(dir: &Path, durability: Durability) -> Result<(Store, Durable), StoreError> {
    make_directory(dir).map_err(|cause| StoreError::Directory {
        path: dir.to_owned(),
        cause,
    })?;
    let lock = lock(dir)?;
    let (group, durable) = open_on(&SystemFiles, dir, durability, CHECKPOINT_PAGES)?;
    Ok((Store { group, _lock: lock }, durable))
}

/// The same on any files, for a directory that is there and nobody else's: what the simulation of crashes runs, which
/// has the log folded after fewer than [`CHECKPOINT_PAGES`], so that little is written and much happens.
pub fn open_on(
    files: &impl Files,
    dir: &Path,
    durability: Durability,
    checkpoint_pages: u32,
) -> Result<(Group, Durable), StoreError> {
    let path = dir.join(FILE_NAME);
    if !is_there(files, &path)? {
        create(files, dir, &path)?;
    }
    let log = path.with_extension("db-wal");
    settle(files, &log, durability).map_err(|cause| io_error(&log, cause))?;
    let left = check_log(files, &path, &log, durability)?;
    let mut connection = connect(files, &path, durability, checkpoint_pages)?;
    check(files, &connection, &path, left == Some(0))?;
    let mut durable = Durable::default();
    load::load(&connection, |record| durable.apply(record)).map_err(|(table, error)| {
        match error.flaw(table) {
            Ok(flaw) => damaged(&path, flaw),
            Err(error) => from_sqlite(&path, error),
        }
    })?;
    // What each row for itself cannot show, and no core could have made.
    if let Some(flaw) = durable.flaw() {
        return Err(damaged(&path, format!("it has {flaw}")));
    }
    // Only now: a store that is refused is left as it is.
    if let Some(length) = left {
        cut_log(files, &mut connection, &path, &log, length)?;
    }
    fold_when_closed(&connection, true).map_err(|error| from_sqlite(&path, error))?;
    // SQLite has made its log by now, unless the change to it failed after it was confirmed. Without a log it would work
    // on, and a loss of power could take back what was acknowledged.
    if !exists(files, &log)? {
        return Err(io_error(&log, "SQLite could not make its log"));
    }
    // SQLite syncs the log's name with the first change, but does not tell when that fails.
    files.sync_names(dir).map_err(|cause| io_error(dir, cause))?;
    Ok((Group::new(connection, path), durable))
}

/// Creates a directory only its owner can enter; one that is there keeps its mode.
pub(crate) fn make_directory(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // Its name must not be forgotten when the power fails. The parent may be one that can be entered and not read.
    match dir.canonicalize()?.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        Some(Err(_)) | None => Ok(()),
    }
}

/// Takes the lock that says who owns the directory, and leaves the process id for whoever comes second.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let directory = |cause| StoreError::Directory {
        path: dir.to_owned(),
        cause,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(LOCK_NAME))
        .map_err(directory)?;
    if !try_lock(&file).map_err(directory)? {
        let mut text = String::new();
        let pid = file
            .read_to_string(&mut text)
            .ok()
            .and_then(|_| text.trim().parse().ok());
        return Err(StoreError::InUse {
            path: dir.to_owned(),
            pid,
        });
    }
    // The number only makes an error message better, so that a full disk must not stop the server here.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// False if another server has the lock and keeps it for a moment: one that is just ending may have children that
/// still hold its files.
fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
    }
    Ok(false)
}

/// A database without its main file is not a new one: its log still holds what was acknowledged.
fn is_there(files: &impl Files, path: &Path) -> Result<bool, StoreError> {
    let log = path.with_extension("db-wal");
    match (exists(files, path)?, exists(files, &log)?) {
        (true, _) => Ok(true),
        (false, false) => Ok(false),
        (false, true) => Err(damaged(
            path,
            format!("it is missing, but its log {} is there", log.display()),
        )),
    }
}

fn exists(files: &impl Files, path: &Path) -> Result<bool, StoreError> {
    match files.length(path) {
        Ok(found) => Ok(found.is_some()),
        Err(cause) => Err(io_error(path, cause)),
    }
}

/// Makes the new file under another name first: a `comet.db` without tables can therefore only be a damaged one.
fn create(files: &impl Files, dir: &Path, path: &Path) -> Result<(), StoreError> {
    let fresh = dir.join("comet.db.new");
    let sqlite = |error| from_sqlite(&fresh, error);
    let io = |cause| io_error(&fresh, cause);
    files.create(&fresh).map_err(io)?;
    let mut connection = connection(files, &fresh).map_err(sqlite)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(sqlite)?;
    let transaction = connection.transaction().map_err(sqlite)?;
    transaction.execute_batch(schema::CREATE).map_err(sqlite)?;
    transaction
        .pragma_update(None, "application_id", schema::APPLICATION_ID)
        .map_err(sqlite)?;
    transaction
        .pragma_update(None, "user_version", schema::VERSION)
        .map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    connection
        .close()
        .map_err(|(_, error)| from_sqlite(&fresh, error))?;
    files.rename(&fresh, path).map_err(io)?;
    // The new name must not be forgotten when the power fails.
    files.sync_names(dir).map_err(io)
}

/// SQLite's connection to a file that is there.
fn connection(files: &impl Files, path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match files.layer() {
        Some(layer) => Connection::open_with_flags_and_vfs(path, flags, layer),
        None => Connection::open_with_flags(path, flags),
    }
}

/// Brings what a killed process wrote to the log and did not sync to the disk: nothing may follow it before it is safe
/// itself. With `fsync` nothing of it was acknowledged if that fails, now or at an earlier start, and it is gone; unless it was
/// written with `os`. With `os` it was acknowledged, so that it is kept for as long as the system has it.
fn settle(files: &impl Files, log: &Path, durability: Durability) -> io::Result<()> {
    files.sync(log)?;
    match durability {
        Durability::Fsync => files.forget(log),
        Durability::Os => Ok(()),
    }
}

/// Must be done before SQLite opens the log and forgets what it cannot read. How many bytes of the log are to be kept, if
/// not all.
fn check_log(
    files: &impl Files,
    database: &Path,
    path: &Path,
    durability: Durability,
) -> Result<Option<usize>, StoreError> {
    let log = files.read(path).map_err(|cause| io_error(path, cause))?;
    let log = log.unwrap_or_default();
    let inspection = wal::inspect(&log, |at, length| {
        files
            .read_at(database, at, length)
            .map_err(|cause| io_error(database, cause))
    })?;
    match (inspection.damage, durability) {
        (None, _) => {}
        (Some(what), Durability::Fsync) => {
            return Err(StoreError::DamagedLog {
                path: path.to_owned(),
                what,
            });
        }
        (Some(what), Durability::Os) => {
            let path = path.display();
            tracing::warn!(%path, what, "the newest changes are lost, as a loss of power may do with durability = os");
        }
    }
    Ok((inspection.sound < log.len()).then_some(inspection.sound))
}

/// Takes away what an unfinished transaction left at the end of the log. Under a shorter one that is torn in turn it would
/// look like something acknowledged whose beginning is damaged.
fn cut_log(
    files: &impl Files,
    connection: &mut Connection,
    path: &Path,
    log: &Path,
    length: usize,
) -> Result<(), StoreError> {
    // Nobody else writes meanwhile, and this writes nothing.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| from_sqlite(path, error))?;
    files
        .cut(log, length as u64)
        .map_err(|cause| io_error(log, cause))?;
    transaction.rollback().map_err(|error| from_sqlite(path, error))
}

fn connect(
    files: &impl Files,
    path: &Path,
    durability: Durability,
    checkpoint_pages: u32,
) -> Result<Connection, StoreError> {
    let sqlite = |error| from_sqlite(path, error);
    let connection = connection(files, path).map_err(sqlite)?;
    fold_when_closed(&connection, false).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    // SQLite falls back to reading only when it may not write.
    if connection.is_readonly("main").map_err(sqlite)? {
        return Err(StoreError::ReadOnly {
            path: path.to_owned(),
        });
    }
    identify(&connection, path)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(sqlite)?;
    if mode != "wal" {
        return Err(io_error(
            path,
            "this file system cannot hold SQLite's write-ahead log",
        ));
    }
    let synchronous = match durability {
        Durability::Fsync => "FULL",
        Durability::Os => "NORMAL",
    };
    connection
        .pragma_update(None, "synchronous", synchronous)
        .map_err(sqlite)?;
    for (name, value) in [
        ("journal_size_limit", WAL_BYTES_KEPT),
        ("wal_autocheckpoint", i64::from(checkpoint_pages)),
        ("cache_size", CACHE_KIB),
    ] {
        connection.pragma_update(None, name, value).map_err(sqlite)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Whether SQLite folds the log into the main file and takes it away when the connection ends. Not before everything was
/// found to be sound: a start that is refused ends it, too.
fn fold_when_closed(connection: &Connection, fold: bool) -> rusqlite::Result<()> {
    let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !fold)?;
    debug_assert_eq!(kept, !fold);
    Ok(())
}

/// Ours, and of a version we know? Asked before anything is written.
fn identify(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(|error| from_sqlite(path, error))?;
    let version = pragma("user_version").map_err(|error| from_sqlite(path, error))?;
    if application != schema::APPLICATION_ID || version < 1 {
        return Err(damaged(
            path,
            "it does not carry the mark of a comet-server store".to_owned(),
        ));
    }
    if version > schema::VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        });
    }
    Ok(())
}

/// Reads every page; the first complaint is enough. SQLite fills up what a cut file lacks with zeros, so the length
/// is compared first, unless a log of a killed process may still hold the end. `unlogged`: nothing in the log counts.
fn check(files: &impl Files, connection: &Connection, path: &Path, unlogged: bool) -> Result<(), StoreError> {
    let length = |path: &Path| match files.length(path) {
        Ok(found) => Ok(found.unwrap_or(0)),
        Err(cause) => Err(io_error(path, cause)),
    };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let bytes = pragma("page_count")
        .and_then(|pages| Ok(u64::from(pages) * u64::from(pragma("page_size")?)))
        .map_err(|error| from_sqlite(path, error))?;
    let found = length(path)?;
    let unlogged = unlogged || length(&path.with_extension("db-wal"))? == 0;
    if unlogged && found != bytes {
        return Err(damaged(path, format!("it has {found} bytes, not {bytes}")));
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| from_sqlite(path, error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(damaged(path, verdict.replace('\n', " ")))
    }
}

fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        what,
    }
}

fn io_error(path: &Path, cause: impl ToString) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

/// What SQLite's refusal means for whoever starts the server.
pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> StoreError {
    // One line: SQLite quotes what it found in a damaged schema.
    let what = error.to_string().replace('\n', " ");
    // A table or column is missing.
    if matches!(error, rusqlite::Error::SqlInputError { .. }) {
        return damaged(path, what);
    }
    let path = PathBuf::from(path);
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            StoreError::Damaged { path, what }
        }
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path },
        Some(_) | None => StoreError::Io { path, cause: what },
    }
}
