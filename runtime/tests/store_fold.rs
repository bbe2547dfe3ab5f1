//! The law of the store: what a start reads is the fold of the records that were written (protocol.md, appendix B),
//! however the last process ended.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use comet_core::{
    Body, DevId, Durable, HistoryLength, OpId, Record, Removal, Seq, Token, UnixSeconds, UserId,
};
use comet_server::config::Durability;
use comet_server::store::{self, StoreEvent};
use proptest::prelude::*;
use support::{channel, fold, in_history, key, message, read, record, user, write};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_the_fold_of_its_records(dice in prop::collection::vec(any::<u32>(), 0..300)) {
        let records = dice.iter().enumerate().map(|(n, dice)| record(n as u64, *dice));
        let records = without_flaws(records);
        let dir = tempfile::tempdir().unwrap();
        // Two runs of the server: the second one continues on what the first one left.
        let (first, second) = records.split_at(records.len() / 2);
        write(dir.path(), first);
        prop_assert_eq!(read(dir.path()).unwrap(), fold(first));
        write(dir.path(), second);
        prop_assert_eq!(read(dir.path()).unwrap(), fold(&records));
    }
}

/// Leaves out what no core does: a start refuses a history longer than its setting.
fn without_flaws(records: impl Iterator<Item = Record>) -> Vec<Record> {
    let mut state = Durable::default();
    let is_possible = |record: &Record| {
        let mut next = state.clone();
        next.apply(record);
        let is_sound = next.flaw().is_none();
        if is_sound {
            state = next;
        }
        is_sound
    };
    records.filter(is_possible).collect()
}

/// After every step the store equals the fold.
fn assert_each_step_survives(steps: &[Record]) {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..steps.len() {
        write(dir.path(), &steps[n..=n]);
        assert_eq!(
            read(dir.path()).unwrap(),
            fold(&steps[..=n]),
            "after {:?}",
            steps[n]
        );
    }
}

/// The largest tenant number (protocol.md 8.2).
const DEV: DevId = DevId(2_147_483_647);

/// Half of the longest body, in characters of two bytes.
fn long() -> String {
    "ж".repeat(131_072)
}

#[test]
fn every_record_about_users_survives_a_restart() {
    let last = UserId::MAX;
    let token = Token::parse(&"t".repeat(600)).unwrap();
    assert_each_step_survives(&[
        key(DEV.0, last, "abc=+/_"),
        Record::KeyDeleted {
            dev: DEV,
            user: user(last),
        },
        Record::DataSet {
            dev: DEV,
            user: user(1),
            data: Body::new(&long()),
        },
        Record::DataSet {
            dev: DEV,
            user: user(1),
            data: Body::new(""),
        },
        Record::DataDeleted {
            dev: DEV,
            user: user(1),
        },
        Record::UserOnline {
            dev: DEV,
            user: user(1),
        },
        Record::UserOnline {
            dev: DevId(0),
            user: user(9),
        },
        Record::UserOffline {
            dev: DEV,
            user: user(1),
            time: UnixSeconds(1_438_245_468),
        },
        Record::EverybodyOffline {
            time: UnixSeconds(1_438_245_999),
        },
        Record::TokenRevoked {
            dev: DEV,
            token: token.clone(),
            time: UnixSeconds(5),
        },
        Record::TokenRevoked {
            dev: DEV,
            token: token.clone(),
            time: UnixSeconds(6),
        },
        Record::TokenRestored { dev: DEV, token },
    ]);
}

#[test]
fn every_record_about_private_messages_survives_a_restart() {
    assert_each_step_survives(&[
        message(DEV.0, 1, 1, &long()),
        message(DEV.0, 2, 2, "{\"a\":\"it's\"}"),
        message(0, 1, 3, "other tenant"),
        message(DEV.0, 1, 4, ""),
        Record::MessagesRemoved {
            dev: DEV,
            user: user(1),
            seqs: vec![Seq(1), Seq(2)],
            why: Removal::Paid,
        },
        Record::MessagesRemoved {
            dev: DEV,
            user: user(1),
            seqs: vec![Seq(4)],
            why: Removal::Expired,
        },
        Record::MessagesRemoved {
            dev: DEV,
            user: user(2),
            seqs: vec![Seq(2)],
            why: Removal::Deleted,
        },
    ]);
}

#[test]
fn every_record_about_channels_survives_a_restart() {
    let name = channel("web_chat-1");
    let set = |length, keep_from| Record::HistoryLengthSet {
        dev: DEV,
        channel: channel("web_chat-1"),
        length: HistoryLength::clamped(length),
        keep_from: Seq(keep_from),
    };
    assert_each_step_survives(&[
        set(3, 0),
        append(DEV, "web_chat-1", 5, None, 0),
        append(DEV, "web_chat-1", 6, Some(7), 0),
        append(DEV, "web_chat-1", 8, None, 6),
        append(DEV, "trust_me", 9, Some(UserId::MAX), 0),
        Record::HistoryRemoved {
            dev: DEV,
            channel: name.clone(),
            seqs: vec![Seq(6), Seq(9)],
        },
        set(1, 9),
        append(DEV, "web_chat-1", 10, None, 0),
        set(0, 11),
        Record::HistorySettingDeleted {
            dev: DEV,
            channel: name,
        },
    ]);
}

fn append(dev: DevId, name: &str, seq: u64, sender: Option<u32>, keep_from: u64) -> Record {
    let message = in_history(seq, "text", sender);
    Record::HistoryAppended {
        dev,
        channel: channel(name),
        message,
        keep_from: Seq(keep_from),
    }
}

/// Names of two characters are legal in a browser's command (protocol.md 1) and must not make a store unreadable.
#[test]
fn short_channel_names_can_be_stored() {
    let dir = tempfile::tempdir().unwrap();
    let name = comet_core::ChannelName::from_browser("ab").unwrap();
    let records = [
        Record::HistoryLengthSet {
            dev: DevId(0),
            channel: name.clone(),
            length: HistoryLength::clamped(1),
            keep_from: Seq(0),
        },
        Record::HistoryAppended {
            dev: DevId(0),
            channel: name,
            message: in_history(1, "x", None),
            keep_from: Seq(0),
        },
    ];
    write(dir.path(), &records);
    assert_eq!(read(dir.path()).unwrap(), fold(&records));
}

/// The names in the file are those of appendix B, for anybody's tools.
#[test]
fn the_file_is_readable_with_anybodys_tools() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[message(0, 5, 1, "hello")]);
    let db = rusqlite::Connection::open(dir.path().join(store::FILE_NAME)).unwrap();
    let row: (u32, u32, i64, String, i64, String, String) = db
        .query_row(
            "SELECT dev_id, user_id, seq, uuid, time, event, message FROM users_messages",
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                ))
            },
        )
        .unwrap();
    let uuid = "00000000-0000-0001-0000-000000000007".to_owned();
    assert_eq!(
        row,
        (0, 5, 1, uuid, 1_700_000_001, "ev".to_owned(), "hello".to_owned())
    );
}

const CHILD: &str = "COMET_TEST_STORE_CHILD";

/// What `a_killed_process_loses_nothing_it_reported` kills: writes without end and prints what was persisted.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let (store, durable) = store::open(dir.as_ref(), Durability::Os).unwrap();
    let writer = store
        .spawn(move |event| {
            let StoreEvent::Persisted { upto } = event else {
                panic!("{event:?}")
            };
            writeln!(std::io::stdout(), "persisted {}", upto.0).unwrap();
        })
        .unwrap();
    let stats = writer.stats();
    for n in durable.max_seq().0 + 1.. {
        writer.append(OpId(n), message(0, (n % 5) as u32 + 1, n, "a private message"));
        while stats.snapshot().pending_records > 50 {
            std::thread::yield_now();
        }
    }
}

/// S-law of protocol.md 5.1 and appendix B: whatever was reported as persisted survives kill -9, and the rest of
/// the file is a prefix of what was written.
#[test]
fn a_killed_process_loses_nothing_it_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut safe = 0;
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let reports = lines.filter_map(|line| {
            line.split_once("persisted ")
                .map(|(_, n)| n.parse::<u64>().unwrap())
        });
        let mut reports = reports.take(round * 7).collect::<Vec<_>>();
        child.kill().unwrap();
        child.wait().unwrap();
        safe = reports.pop().unwrap().max(safe);

        let durable = read(dir.path()).unwrap();
        let newest = durable.max_seq().0;
        assert!(newest >= safe, "{safe} was reported, {newest} is there");
        let written: Vec<_> = (1..=newest)
            .map(|n| message(0, (n % 5) as u32 + 1, n, "a private message"))
            .collect();
        assert!(durable == fold(&written), "something is missing before {newest}");
    }
}

/// Printed, not asserted: `cargo test --release -p comet-server --test store_fold speed -- --nocapture`.
#[test]
fn loading_speed_is_printed() {
    let rows: u64 = std::env::var("COMET_TEST_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = store::open(dir.path(), Durability::Os).unwrap();
    let writer = store.spawn(|_| {}).unwrap();
    let begin = std::time::Instant::now();
    let text = "x".repeat(128);
    for n in 1..=rows {
        // Users in a scattered order, as they come in life.
        let id = (n.wrapping_mul(2_654_435_761) % 1_000_003) as u32 + 1;
        writer.append(OpId(2 * n), key(0, id, &format!("hash{n}")));
        writer.append(OpId(2 * n + 1), message(0, id, n, &text));
    }
    writer.stop().unwrap();
    let written = begin.elapsed();
    let begin = std::time::Instant::now();
    let durable = read(dir.path()).unwrap();
    let bytes = std::fs::metadata(dir.path().join(store::FILE_NAME))
        .unwrap()
        .len();
    println!(
        "{rows} keys + {rows} messages: written in {written:.2?}, read in {:.2?}, {bytes} bytes",
        begin.elapsed()
    );
    assert_eq!(durable.max_seq(), Seq(rows));
}
