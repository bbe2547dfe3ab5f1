//! Records for the store's tests, made from small numbers so that they collide often.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc;

use comet_core::{
    AuthHash, Body, ChannelName, DevId, Durable, EventName, HistoryLength, HistoryMessage, MessageId, OpId,
    QueuedMessage, Record, Removal, Seq, Token, UnixSeconds, UserId,
};
use comet_server::config::Durability;
use comet_server::store::{self, StoreError, StoreEvent};

pub(crate) fn user(n: u32) -> UserId {
    UserId::new(n).unwrap()
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::from_cometql(name).unwrap()
}

pub(crate) fn queued(seq: u64, text: &str) -> QueuedMessage {
    QueuedMessage {
        seq: Seq(seq),
        id: MessageId(u128::from(seq) << 64 | 7),
        time: UnixSeconds(1_700_000_000 + seq),
        event: EventName::parse("ev").unwrap(),
        body: Body::new(text),
    }
}

pub(crate) fn in_history(seq: u64, text: &str, sender: Option<u32>) -> HistoryMessage {
    let QueuedMessage {
        seq,
        id,
        time,
        event,
        body,
    } = queued(seq, text);
    HistoryMessage {
        seq,
        id,
        time,
        event,
        body,
        sender: sender.map(user),
    }
}

pub(crate) fn key(dev: u32, id: u32, hash: &str) -> Record {
    Record::KeySet {
        dev: DevId(dev),
        user: user(id),
        hash: AuthHash::parse(hash).unwrap(),
    }
}

pub(crate) fn message(dev: u32, id: u32, seq: u64, text: &str) -> Record {
    Record::MessageQueued {
        dev: DevId(dev),
        user: user(id),
        message: queued(seq, text),
    }
}

/// The `n`-th record of an endless mixture. Positions ascend with `n`, and everything else repeats.
pub(crate) fn record(n: u64, dice: u32) -> Record {
    let dev = DevId(dice % 3);
    let id = user(dice / 3 % 4 + 1);
    let name = channel(["one", "two", "trust_x", "web_long"][(dice / 12 % 4) as usize]);
    let texts = ["", "plain", "it's \"q\" \\ 😀 Я", "a\0b", "line\nline"];
    let text = texts[(dice / 48 % 5) as usize];
    let token = Token::parse(["t", "token with blanks", "😀"][(dice / 240 % 3) as usize]).unwrap();
    let time = UnixSeconds(u64::from(dice % 1000) + 1);
    // Ascending, none twice.
    let recent: Vec<Seq> =
        BTreeSet::from_iter((0..4).map(|back| (n + 1).saturating_sub(u64::from(dice % 7) + back)))
            .into_iter()
            .map(Seq)
            .collect();
    let newest = recent[recent.len() - 1];
    match dice / 720 % 16 {
        0 => Record::KeySet {
            dev,
            user: id,
            hash: AuthHash::parse(&format!("h{}=", dice % 100)).unwrap(),
        },
        1 => Record::KeyDeleted { dev, user: id },
        2 => Record::DataSet {
            dev,
            user: id,
            data: Body::new(text),
        },
        3 => Record::DataDeleted { dev, user: id },
        4 => Record::UserOnline { dev, user: id },
        5 => Record::UserOffline { dev, user: id, time },
        6 => Record::EverybodyOffline { time },
        7 | 8 => Record::MessageQueued {
            dev,
            user: id,
            message: queued(n + 1, text),
        },
        9 => Record::MessagesRemoved {
            dev,
            user: id,
            seqs: recent,
            why: Removal::Paid,
        },
        10 => {
            let length = HistoryLength::clamped(u64::from(dice % 101));
            Record::HistoryLengthSet {
                dev,
                channel: name,
                length,
                keep_from: newest,
            }
        }
        11 => Record::HistorySettingDeleted { dev, channel: name },
        12 | 13 => {
            let message = in_history(n + 1, text, [None, Some(3)][(dice % 2) as usize]);
            Record::HistoryAppended {
                dev,
                channel: name,
                message,
                keep_from: recent[0],
            }
        }
        14 => Record::HistoryRemoved {
            dev,
            channel: name,
            seqs: recent,
        },
        _ if dice.is_multiple_of(2) => Record::TokenRevoked { dev, token, time },
        _ => Record::TokenRestored { dev, token },
    }
}

pub(crate) fn fold<'a>(records: impl IntoIterator<Item = &'a Record>) -> Durable {
    let mut durable = Durable::default();
    records.into_iter().for_each(|record| durable.apply(record));
    durable
}

/// Writes records to the store of `dir` and stops it in order. True if every one was reported as persisted.
pub(crate) fn write(dir: &Path, records: &[Record]) {
    let (store, _) = store::open(dir, Durability::Os).unwrap();
    let (events, reported) = mpsc::channel();
    let writer = store.spawn(move |event| events.send(event).unwrap()).unwrap();
    for (n, record) in records.iter().enumerate() {
        writer.append(OpId(n as u64 + 1), record.clone());
    }
    writer.stop().unwrap();
    let last = reported.iter().last();
    let expected = (!records.is_empty()).then_some(StoreEvent::Persisted {
        upto: OpId(records.len() as u64),
    });
    assert_eq!(last, expected);
}

pub(crate) fn read(dir: &Path) -> Result<Durable, StoreError> {
    store::open(dir, Durability::Fsync).map(|(_, durable)| durable)
}

/// The text of a refusal. It is one line and names the file.
pub(crate) fn refusal(dir: &Path) -> String {
    let text = match read(dir) {
        Ok(_) => panic!("the store must be refused"),
        Err(error) => error.to_string(),
    };
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(&dir.display().to_string()), "{text}");
    text
}
