//! Group commit: records reach the disk in order, failures are told once per attempt and never lose or reorder
//! anything, and everything is reported as persisted in the end.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod support;

use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use comet_core::{OpId, Record};
use comet_server::config::Durability;
use comet_server::store::{self, FILE_NAME, StoreError, StoreEvent, Writer};
use support::{fold, key, message, read};

fn start(dir: &Path, durability: Durability) -> (Writer, Receiver<StoreEvent>) {
    let (store, _) = store::open(dir, durability).unwrap();
    let (events, reported) = mpsc::channel();
    (
        store
            .spawn(move |event| events.send(event).unwrap_or_default())
            .unwrap(),
        reported,
    )
}

fn persisted(upto: u64) -> StoreEvent {
    StoreEvent::Persisted { upto: OpId(upto) }
}

fn failed(upto: u64) -> StoreEvent {
    StoreEvent::PersistFailed { upto: OpId(upto) }
}

/// Somebody else's hand on the file.
fn outside(dir: &Path, sql: &str) -> rusqlite::Connection {
    let db = rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap();
    db.execute_batch(sql).unwrap();
    db
}

#[test]
fn one_transaction_covers_what_arrived_meanwhile() {
    const RECORDS: u64 = 20_000;
    for durability in [Durability::Fsync, Durability::Os] {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reported) = start(dir.path(), durability);
        let records: Vec<_> = (1..=RECORDS).map(|n| message(0, 1, n, "x")).collect();
        for (n, record) in records.iter().enumerate() {
            writer.append(OpId(n as u64 + 1), record.clone());
        }
        let stats = writer.stats();
        writer.stop().unwrap();
        let reports: Vec<u64> = reported
            .iter()
            .map(|event| match event {
                StoreEvent::Persisted { upto } => upto.0,
                StoreEvent::PersistFailed { .. } => panic!("{event:?}"),
            })
            .collect();
        assert!(reports.is_sorted() && reports.last() == Some(&RECORDS));
        let stats = stats.snapshot();
        assert_eq!(
            (stats.records_written, stats.pending_records, stats.pending_bytes),
            (RECORDS, 0, 0)
        );
        assert_eq!(stats.commits, reports.len() as u64);
        assert!(stats.commits < RECORDS / 2, "{} commits", stats.commits);
        assert!(read(dir.path()).unwrap() == fold(&records));
    }
}

#[test]
fn a_failed_write_is_told_kept_and_repeated_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reported) = start(dir.path(), Durability::Fsync);
    let records = [
        message(0, 1, 1, "first"),
        key(0, 1, "second"),
        message(0, 1, 3, "third"),
    ];
    let disk = outside(
        dir.path(),
        "CREATE TRIGGER full BEFORE INSERT ON users_auth BEGIN SELECT RAISE(FAIL, 'no room'); END",
    );
    writer.append(OpId(1), records[0].clone());
    assert_eq!(reported.recv().unwrap(), persisted(1));
    writer.append(OpId(2), records[1].clone());
    assert_eq!(reported.recv().unwrap(), failed(2));
    // A record that arrives during the trouble is told of it too, and does not overtake.
    writer.append(OpId(3), records[2].clone());
    let trouble = reported.iter().find(|event| *event != failed(2)).unwrap();
    assert_eq!(trouble, failed(3));
    assert!(writer.stats().snapshot().failures >= 2);
    assert_eq!(writer.stats().snapshot().pending_records, 2);

    disk.execute_batch("DROP TRIGGER full").unwrap();
    let end = reported.iter().find(|event| *event != failed(3)).unwrap();
    assert_eq!(end, persisted(3));
    writer.stop().unwrap();
    assert_eq!(read(dir.path()).unwrap(), fold(&records));
}

#[test]
fn another_program_that_writes_delays_but_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reported) = start(dir.path(), Durability::Fsync);
    let lock = outside(dir.path(), "BEGIN IMMEDIATE");
    writer.append(OpId(1), key(0, 1, "a"));
    assert_eq!(reported.recv().unwrap(), failed(1));
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(
        reported.iter().find(|event| *event != failed(1)).unwrap(),
        persisted(1)
    );
    writer.stop().unwrap();
    assert_eq!(read(dir.path()).unwrap(), fold(&[key(0, 1, "a")]));
}

#[test]
fn a_stop_with_a_failing_disk_ends_and_says_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _reported) = start(dir.path(), Durability::Os);
    writer.append(OpId(1), message(0, 1, 1, "safe"));
    let disk = outside(
        dir.path(),
        "CREATE TRIGGER full BEFORE INSERT ON users_auth BEGIN SELECT RAISE(FAIL, 'no room'); END",
    );
    writer.append(OpId(2), key(0, 1, "a"));
    writer.append(OpId(3), key(0, 2, "b"));
    let error = writer.stop().unwrap_err();
    assert!(
        matches!(error, StoreError::Unwritten { records: 2 | 3, .. }),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("no room") && text.contains(FILE_NAME) && text.lines().count() == 1,
        "{text}"
    );
    disk.execute_batch("DROP TRIGGER full").unwrap();
}

#[test]
fn a_writer_that_is_dropped_still_writes_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reported) = start(dir.path(), Durability::Os);
    let records: Vec<Record> = (1..=100).map(|n| message(0, 1, n, "x")).collect();
    for (n, record) in records.iter().enumerate() {
        writer.append(OpId(n as u64 + 1), record.clone());
    }
    drop(writer);
    // The channel ends with the commit thread.
    assert_eq!(reported.iter().last(), Some(persisted(100)));
}

#[test]
fn an_idle_store_stops_at_once_and_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reported) = start(dir.path(), Durability::Fsync);
    writer.stop().unwrap();
    assert_eq!(reported.iter().next(), None);
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["comet.db", "comet.lock"]);
}
