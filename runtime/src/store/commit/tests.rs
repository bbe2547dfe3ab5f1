//! A disk that is really full: SQLite is told the size it may have, which only the connection itself can lift.

use comet_core::{AuthHash, Body, DevId, Durable, UserId};

use super::group::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use super::stats::record_bytes;
use super::*;
use crate::config::Durability;
use crate::store::open;

fn data(user: u32) -> Record {
    Record::DataSet {
        dev: DevId(0),
        user: UserId::new(user).unwrap(),
        data: Body::new(&"x".repeat(10_000)),
    }
}

fn committer(dir: &std::path::Path) -> Committer<impl FnMut(StoreEvent)> {
    let (store, _) = open(dir, Durability::Fsync).unwrap();
    // The other end is dropped, so that a pause between attempts ends at once.
    let (_, commands) = mpsc::unbounded_channel();
    Committer {
        store,
        commands,
        events: |_| {},
        stopping: false,
    }
}

fn connection(store: &Store) -> &rusqlite::Connection {
    store.group.connection()
}

fn limit_pages(store: &Store, pages: u32) {
    connection(store)
        .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        .unwrap();
}

fn pages(store: &Store) -> u32 {
    connection(store)
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap()
}

#[test]
fn a_full_disk_keeps_everything_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(dir.path());
    let pages = pages(&committer.store);
    let records: Vec<Record> = (1..=20).map(data).collect();
    for (n, record) in records.iter().enumerate() {
        committer.take(Command::Append(vec![(OpId(n as u64 + 1), record.clone())]));
    }
    limit_pages(&committer.store, pages + 5);
    for _ in 0..2 {
        let error = committer.store.group.attempt().unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
        // Nothing of the failed transaction stays.
        let rows = "SELECT count(*) FROM users_data";
        let rows: u32 = connection(&committer.store)
            .query_row(rows, [], |row| row.get(0))
            .unwrap();
        assert_eq!((rows, committer.store.group.len()), (0, 20));
    }
    limit_pages(&committer.store, 1 << 30);
    rt::finish(committer.commit()).unwrap();
    assert!(committer.store.group.is_empty());
    committer.store.close().unwrap();

    let mut expected = Durable::default();
    records.iter().for_each(|record| expected.apply(record));
    let (_, durable) = open(dir.path(), Durability::Fsync).unwrap();
    assert!(durable == expected);
}

#[test]
fn a_batch_is_bounded_in_records_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(dir.path());
    let small = || Record::KeySet {
        dev: DevId(0),
        user: UserId::new(1).unwrap(),
        hash: AuthHash::parse("h").unwrap(),
    };
    for n in 1..=BATCH_RECORDS_MAX as u64 {
        assert!(committer.store.group.has_room());
        committer.take(Command::Append(vec![(OpId(n), small())]));
    }
    assert!(!committer.store.group.has_room());
    rt::finish(committer.commit()).unwrap();
    assert!(committer.store.group.has_room());

    let first = committer.store.group.newest.0 + 1;
    let large = data(1);
    let fit = BATCH_BYTES_MAX.div_ceil(record_bytes(&large)) as u64;
    for n in first..first + fit {
        assert!(committer.store.group.has_room());
        committer.take(Command::Append(vec![(OpId(n), large.clone())]));
    }
    assert!(!committer.store.group.has_room());
}

/// protocol.md 7.3: several VALUES groups are all or nothing, also through a crash.
#[test]
fn what_is_given_together_is_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut committer = committer(dir.path());
    let fit = BATCH_BYTES_MAX.div_ceil(record_bytes(&data(1))) as u64;
    let together: Vec<(OpId, Record)> = (1..=2 * fit).map(|n| (OpId(n), data(1))).collect();
    committer.take(Command::Append(together));
    let group = &mut committer.store.group;
    assert!(!group.has_room());
    assert_eq!(group.len() as u64, 2 * fit);
    group.attempt().unwrap();
    assert_eq!(group.len(), 0, "all of them in the one attempt");
}

/// More records than a batch may have are told of the failure, too, and the command to stop behind them is heard.
#[test]
fn a_failing_disk_is_reported_to_everything_that_waits() {
    const RECORDS: u64 = BATCH_RECORDS_MAX as u64 + 1;
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), Durability::Fsync).unwrap();
    limit_pages(&store, pages(&store));
    let (events, reported) = std::sync::mpsc::channel();
    let writer = store.spawn(move |event| events.send(event).unwrap()).unwrap();
    for n in 1..=RECORDS {
        writer.append(OpId(n), data(1));
    }
    let all = StoreEvent::PersistFailed { upto: OpId(RECORDS) };
    assert!(reported.iter().any(|event| event == all));
    let Err(StoreError::Unwritten { records, .. }) = writer.stop() else {
        panic!("nothing can have been written")
    };
    assert_eq!(records, RECORDS);
}
