//! A store that cannot be trusted refuses the start in one clear line that names the file and the way out; nothing
//! is lost silently.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use comet_core::{Durable, OpId, Record, Seq};
use comet_server::config::Durability;
use comet_server::store::{self, FILE_NAME, LOCK_NAME, StoreError, StoreEvent};
use rusqlite::config::DbConfig;
use support::{fold, key, message, read, refusal, write};

fn sample() -> Vec<Record> {
    let mut records: Vec<_> = (1..=300)
        .map(|n| message(0, n % 9 + 1, n.into(), &"body ".repeat(40)))
        .collect();
    records.extend((1..=300).map(|n| key(0, n, "hash")));
    records
}

fn store_with_sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &sample());
    dir
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Refused as damaged, with the way out, and the file is left alone.
fn assert_damaged(dir: &Path) {
    let before = fs::read(dir.join(FILE_NAME)).unwrap();
    let text = refusal(dir);
    assert!(text.contains("damaged") && text.contains(".dump"), "{text}");
    assert_eq!(
        fs::read(dir.join(FILE_NAME)).unwrap(),
        before,
        "the damaged file was changed"
    );
}

#[test]
fn garbage_instead_of_a_database() {
    let dir = tempfile::tempdir().unwrap();
    for garbage in [
        "not a database at all, just text".repeat(300),
        "short".to_owned(),
        String::new(),
    ] {
        fs::write(dir.path().join(FILE_NAME), garbage).unwrap();
        assert_damaged(dir.path());
    }
}

#[test]
fn a_truncated_file() {
    let dir = store_with_sample();
    let path = dir.path().join(FILE_NAME);
    let length = fs::metadata(&path).unwrap().len();
    for kept in [length - 1, length - 4096, length / 2, 4096, 100, 0] {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(&path, copy.path().join(FILE_NAME)).unwrap();
        OpenOptions::new()
            .write(true)
            .open(copy.path().join(FILE_NAME))
            .unwrap()
            .set_len(kept)
            .unwrap();
        assert_damaged(copy.path());
    }
}

/// Every page in turn gets a destroyed header: either it is refused, or nothing is missing.
#[test]
fn destroyed_pages_are_never_read_as_less() {
    let dir = store_with_sample();
    let path = dir.path().join(FILE_NAME);
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    let whole = fold(&sample());
    let mut refused = 0;
    for page in 0..pages {
        for garbage in [
            [0u8; 64],
            [0xff; 64],
            *b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            let copy = tempfile::tempdir().unwrap();
            let target = copy.path().join(FILE_NAME);
            fs::copy(&path, &target).unwrap();
            overwrite(&target, page * 4096, &garbage);
            match read(copy.path()) {
                Ok(durable) => assert!(durable == whole, "page {page} was read as something else"),
                Err(error) => {
                    refused += 1;
                    let text = error.to_string();
                    assert!(text.contains(FILE_NAME) && text.lines().count() == 1, "{text}");
                }
            }
        }
    }
    assert!(refused >= pages, "{refused} of {pages} pages");
}

#[test]
fn impossible_values_in_a_healthy_file() {
    for (sql, named) in [
        (
            "UPDATE users_auth SET hash = 'with blank' WHERE user_id = 7",
            "hash",
        ),
        ("UPDATE users_auth SET user_id = 0 WHERE user_id = 7", "user_id"),
        ("UPDATE users_auth SET dev_id = -1 WHERE user_id = 7", "dev_id"),
        ("UPDATE users_messages SET uuid = 'x' WHERE seq = 7", "uuid"),
        ("UPDATE users_messages SET event = 'a b' WHERE seq = 7", "event"),
        (
            "UPDATE users_messages SET message = CAST(x'ff' AS TEXT) WHERE seq = 7",
            "message",
        ),
        ("INSERT INTO pipes_settings VALUES (0, 'name', 100)", "length"),
        ("INSERT INTO pipes_settings VALUES (0, 'a name', 10)", "name"),
        ("INSERT INTO revoked_tokens VALUES (0, '', 10)", "token"),
        ("DROP TABLE users_time", "users_time"),
        ("ALTER TABLE users_data RENAME COLUMN data TO text", "data"),
    ] {
        let dir = store_with_sample();
        rusqlite::Connection::open(dir.path().join(FILE_NAME))
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("damaged") && text.contains(named), "{sql}: {text}");
        assert!(!text.contains("with blank"), "a secret is shown: {text}");
    }
}

#[test]
fn somebody_elses_database_and_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_damaged(dir.path());

    let dir = store_with_sample();
    let db = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.pragma_update(None, "user_version", 1000).unwrap();
    drop(db);
    let text = refusal(dir.path());
    assert!(text.contains("1000") && text.contains("newer"), "{text}");
}

#[test]
fn a_log_without_its_file_is_not_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("comet.db-wal"), "x").unwrap();
    assert!(refusal(dir.path()).contains("comet.db-wal"));
    assert!(!dir.path().join(FILE_NAME).exists());
}

#[test]
fn a_half_made_new_store_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("comet.db.new"), "half of it").unwrap();
    assert_eq!(read(dir.path()).unwrap(), Durable::default());
}

#[test]
fn a_second_server_on_the_same_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = store::open(dir.path(), Durability::Fsync).unwrap();
    let text = refusal(dir.path());
    assert!(
        text.contains("in use") && text.contains(&std::process::id().to_string()),
        "{text}"
    );
    let writer = first.spawn(|_| {}).unwrap();
    assert!(matches!(read(dir.path()), Err(StoreError::InUse { .. })));
    writer.stop().unwrap();
    read(dir.path()).unwrap();
    assert!(dir.path().join(LOCK_NAME).exists());
}

#[test]
fn another_program_that_holds_the_file() {
    let dir = store_with_sample();
    let db = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    db.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let text = refusal(dir.path());
    assert!(text.contains("locked by another program"), "{text}");
}

/// Not by permissions, which do not bind the super user who may run this.
#[test]
fn a_directory_that_cannot_be_made_or_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for place in [file.clone(), file.join("below"), "/proc/comet-server".into()] {
        let text = refusal(&place);
        assert!(text.contains("--data-dir"), "{text}");
    }
    fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
    refusal(dir.path());
}

/// Keys of users are in it.
#[test]
fn only_the_owner_can_read_what_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let _open = store::open(&dir, Durability::Fsync).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(FILE_NAME)), 0o600);
}

/// What a killed server leaves: the main file is old and `count` transactions of one record are in the log.
fn killed_after(count: u64) -> tempfile::TempDir {
    let live = store_with_sample();
    let (store, _) = store::open(live.path(), Durability::Fsync).unwrap();
    let (events, reported) = std::sync::mpsc::channel();
    let writer = store
        .spawn(move |event| events.send(event).unwrap_or_default())
        .unwrap();
    for n in 1..=count {
        writer.append(OpId(n), message(0, 1, 1000 + n, "in the log"));
        assert_eq!(reported.recv().unwrap(), StoreEvent::Persisted { upto: OpId(n) });
    }
    let image = tempfile::tempdir().unwrap();
    for name in [FILE_NAME, LOG_NAME] {
        fs::copy(live.path().join(name), image.path().join(name)).unwrap();
    }
    writer.stop().unwrap();
    image
}

const LOG_NAME: &str = "comet.db-wal";

fn after(count: u64) -> Durable {
    let mut records = sample();
    records.extend((1..=count).map(|n| message(0, 1, 1000 + n, "in the log")));
    fold(&records)
}

/// SQLite alone would forget everything behind the damage.
#[test]
fn a_damaged_log_loses_nothing_silently() {
    const COUNT: u64 = 6;
    let image = killed_after(COUNT);
    let log = fs::read(image.path().join(LOG_NAME)).unwrap();
    let frame = 4096 + 24;
    let frames = (log.len() - 32) / frame;
    assert!(frames >= COUNT as usize);
    let mut refused = 0;
    // Every byte of the header, and of each frame one of page number, size, checksum and content.
    let in_frames = (0..frames).flat_map(|n| [0, 4, 16, 24, 4000].map(|byte| 32 + n * frame + byte));
    for at in (0..32).chain(in_frames) {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(image.path().join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
        let mut damaged = log.clone();
        damaged[at] ^= 0x40;
        fs::write(copy.path().join(LOG_NAME), &damaged).unwrap();
        match read(copy.path()) {
            Ok(durable) if durable == after(COUNT) => {}
            // The last transaction cannot be told from one that was torn by a loss of power.
            Ok(durable) => assert!(durable == after(COUNT - 1), "byte {at}"),
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(
                    text.contains(LOG_NAME) && text.contains("wal_checkpoint"),
                    "{text}"
                );
                assert_eq!(fs::read(copy.path().join(LOG_NAME)).unwrap(), damaged);
            }
        }
    }
    assert!(
        refused >= 32 + 5 * (frames - 4),
        "{refused} refused of {frames} frames"
    );
}

/// A bad sector or page at the beginning destroys the first frames with the header. What follows them was acknowledged
/// all the same (protocol.md, appendix B).
#[test]
fn a_log_without_header_and_first_frames_loses_nothing_silently() {
    let image = killed_after(6);
    let database = fs::read(image.path().join(FILE_NAME)).unwrap();
    let path = image.path().join(LOG_NAME);
    let log = fs::read(&path).unwrap();
    let noise = |at: usize| (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[0];
    let zeros = |_| 0;
    let fillings: [&dyn Fn(usize) -> u8; 2] = [&zeros, &noise];
    // The header with the checksum of the first frame, a sector, a page, several pages.
    for damage in [
        [0..32, 48..56],
        [0..512, 0..0],
        [0..4096, 0..0],
        [0..12_288, 0..0],
    ] {
        for filling in fillings {
            let mut damaged = log.clone();
            for at in damage.iter().cloned().flatten() {
                damaged[at] = filling(at);
            }
            fs::write(&path, &damaged).unwrap();
            let text = refusal(image.path());
            assert!(text.contains("header"), "{damage:?}: {text}");
            assert!(fs::read(&path).unwrap() == damaged, "{damage:?}");
            assert!(fs::read(image.path().join(FILE_NAME)).unwrap() == database);
        }
    }
}

/// A loss of power while the log is made, before anything is in it.
#[test]
fn a_torn_header_alone_is_no_damage() {
    let image = killed_after(1);
    let path = image.path().join(LOG_NAME);
    let log = fs::read(&path).unwrap();
    for length in [1, 31, 32] {
        let mut header = log[..length].to_vec();
        header[0] ^= 1;
        fs::write(&path, header).unwrap();
        assert!(read(image.path()).unwrap() == after(0), "{length}");
    }
}

/// With `durability = os` nothing is promised for a loss of power, which may leave gaps in the log.
#[test]
fn a_gap_in_the_log_is_normal_with_durability_os() {
    let image = killed_after(4);
    let path = image.path().join(LOG_NAME);
    let mut log = fs::read(&path).unwrap();
    log[32 + 24 + 100] ^= 1;
    fs::write(&path, &log).unwrap();
    assert!(refusal(image.path()).contains(LOG_NAME));
    let (_, durable) = store::open(image.path(), Durability::Os).unwrap();
    assert!(durable == after(0));
}

/// A loss of power tears the end of the log; what was acknowledged is before it.
#[test]
fn a_torn_end_of_the_log_is_no_damage() {
    const COUNT: u64 = 4;
    let image = killed_after(COUNT);
    let path = image.path().join(LOG_NAME);
    let log = fs::read(&path).unwrap();
    let mut least = COUNT;
    for cut in [0, 1, 2000, 4096, 4119] {
        let copy = tempfile::tempdir().unwrap();
        fs::copy(image.path().join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
        fs::write(copy.path().join(LOG_NAME), &log[..log.len() - cut]).unwrap();
        let durable = read(copy.path()).unwrap();
        let left = durable.max_seq().0 - 1000;
        assert!(durable == after(left), "{cut}");
        least = least.min(left);
    }
    assert_eq!(least, COUNT - 1);
}

/// A killed process, or a disk that was full for a moment, leaves frames of an attempt that never ended; what is written
/// next begins before them. If the power then fails in the middle of it, they lie behind a torn end.
#[test]
fn what_an_unfinished_attempt_left_behind_a_torn_end_is_no_damage() {
    const COUNT: u64 = 3;
    let image = killed_after(COUNT);
    let path = image.path().join(LOG_NAME);
    let mut log = fs::read(&path).unwrap();
    let last = log[log.len() - (4096 + 24)..].to_vec();
    // With our salt and the mark of an end, but continuing nothing.
    for _ in 0..3 {
        log.extend_from_slice(&last);
    }
    fs::write(&path, &log).unwrap();
    assert!(read(image.path()).unwrap() == after(COUNT));
}

/// The start takes it away, so that it cannot lie behind another torn end later.
#[test]
fn what_an_unfinished_attempt_left_does_not_stay() {
    let image = killed_after(3);
    let path = image.path().join(LOG_NAME);
    let log = fs::read(&path).unwrap();
    let mut longer = log.clone();
    longer.extend_from_slice(&log[log.len() - (4096 + 24)..]);
    fs::write(&path, &longer).unwrap();
    let (store, durable) = store::open(image.path(), Durability::Fsync).unwrap();
    assert!(durable == after(3));
    assert!(fs::read(&path).unwrap() == log);
    drop(store);
}

/// Both files are left to whoever wants to save what is in them: the log is neither cut nor folded by a start that ends with
/// a refusal.
#[test]
fn a_refused_store_keeps_its_log() {
    let image = killed_after(3);
    let (main, log) = (image.path().join(FILE_NAME), image.path().join(LOG_NAME));
    let sound = fs::read(&main).unwrap();
    let mut longer = fs::read(&log).unwrap();
    longer.extend_from_within(longer.len() - (4096 + 24)..);
    let mut refused = 0;
    for page in 1..sound.len() as u64 / 4096 {
        fs::write(&main, &sound).unwrap();
        overwrite(&main, page * 4096, &[0xff; 64]);
        fs::write(&log, &longer).unwrap();
        let damaged = fs::read(&main).unwrap();
        // The log may hold the page.
        if read(image.path()).is_err() {
            refused += 1;
            assert!(fs::read(&log).unwrap() == longer, "page {page}: the log");
            assert!(fs::read(&main).unwrap() == damaged, "page {page}: the file");
        }
    }
    assert!(refused > 10, "{refused}");
}

/// Changes what a killed server left, and leaves the log as long as it is.
fn change(image: &Path, sql: &str) {
    let db = rusqlite::Connection::open(image.join(FILE_NAME)).unwrap();
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    assert_eq!(db.execute(sql, []).unwrap(), 1);
}

/// Rows that are sound each for itself, and that no server could have written together.
#[test]
fn what_no_core_could_have_made_is_refused_and_left_alone() {
    let lost_setting = "INSERT INTO pipe_messages (dev_id, name, seq, uuid, time, event, message, user_id)
        VALUES (0, 'web_x', 9, '00000000-0000-0000-0000-000000000007', 1, 'e', 'm', 0)";
    let move_to = |seq: Seq| format!("UPDATE users_messages SET seq = {} WHERE seq = 1003", seq.0);
    for (sql, flaw) in [
        (lost_setting, "a history longer than its setting"),
        (&*move_to(Seq::END), "a position behind which there is none"),
    ] {
        let image = killed_after(3);
        change(image.path(), sql);
        let files = || [FILE_NAME, LOG_NAME].map(|name| fs::read(image.path().join(name)).unwrap());
        let before = files();
        let line = refusal(image.path());
        assert!(line.contains(flaw), "{line}");
        assert!(before == files(), "{flaw}");
    }
    let image = killed_after(3);
    change(image.path(), &move_to(Seq(Seq::END.0 - 1)));
    assert!(read(image.path()).is_ok(), "the last position");
}

/// SQLite writes the header again when it begins with the first frame, and the power may fail at that moment. What is behind
/// it is then in the main file, too.
#[test]
fn a_torn_header_over_a_log_that_was_folded_is_no_damage() {
    const COUNT: u64 = 5;
    let image = killed_after(COUNT);
    let log = image.path().join(LOG_NAME);
    let mut torn = fs::read(&log).unwrap();
    torn[8..32].fill(0xa5);
    let unfolded = fs::read(image.path().join(FILE_NAME)).unwrap();
    // The last connection folds the log and takes it away.
    let other = rusqlite::Connection::open(image.path().join(FILE_NAME)).unwrap();
    other
        .query_row("SELECT count(*) FROM users_auth", [], |_| Ok(()))
        .unwrap();
    other.close().unwrap();
    assert!(!log.exists());
    fs::write(&log, &torn).unwrap();
    assert!(read(image.path()).unwrap() == after(COUNT));

    fs::write(image.path().join(FILE_NAME), unfolded).unwrap();
    fs::write(&log, &torn).unwrap();
    assert!(refusal(image.path()).contains("header"));
}

/// The quick check of the file does not compare keys, and a state that is put together in the wrong order is none.
#[test]
fn rows_out_of_order() {
    for (table, column) in [("users_messages", "seq"), ("users_auth", "user_id")] {
        let dir = store_with_sample();
        let db = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
        let sql: String = db
            .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| {
                row.get(0)
            })
            .unwrap();
        let (columns, key) = sql.split_once("PRIMARY KEY").unwrap();
        let falling = format!(
            "{columns}PRIMARY KEY{}",
            key.replace(column, &format!("{column} DESC"))
        );
        db.execute_batch(&format!(
            "ALTER TABLE {table} RENAME TO former; {falling}; INSERT INTO {table} SELECT * FROM former; DROP TABLE former;
             PRAGMA writable_schema = ON"
        ))
        .unwrap();
        db.execute(
            "UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2",
            [sql.as_str(), table],
        )
        .unwrap();
        db.close().unwrap();
        assert_damaged(dir.path());
        assert!(refusal(dir.path()).contains("order of their keys"));
    }
}
