//! Rows back to records. Every value is checked as if it came from a stranger: a row that no record could have
//! written means that the file is damaged, and the start is refused.

use std::cmp::Ordering::{self, Equal, Less};

use comet_core::{
    AuthHash, Body, ChannelName, DevId, EventName, HistoryLength, HistoryMessage, MessageId, QueuedMessage,
    Record, Seq, Token, UnixSeconds, UserId,
};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

/// Why a row cannot be used.
#[derive(Debug)]
pub(super) enum RowError {
    Sqlite(rusqlite::Error),
    /// The column whose value is impossible.
    Value(&'static str),
    /// A row that is there twice, or not behind the one before it.
    Order,
}

impl RowError {
    /// What is wrong with the table, unless SQLite itself failed.
    pub(super) fn flaw(self, table: &str) -> Result<String, rusqlite::Error> {
        match self {
            Self::Sqlite(error) => Err(error),
            Self::Value(column) => Ok(format!("a row of {table} has an impossible {column}")),
            Self::Order => Ok(format!("the rows of {table} are not in the order of their keys")),
        }
    }
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

type Read = fn(&Row<'_>) -> Result<Record, RowError>;

/// A table and its rows, in the order of its key. Every table is clustered on that, so nothing is sorted.
struct Table {
    name: &'static str,
    sql: &'static str,
    /// The columns of the key, as positions in the row.
    key: &'static [usize],
}

/// What a row becomes, table by table. Settings come before the history they rule.
const TABLES: [(Table, Read); 6] = [
    (
        Table {
            name: "users_auth",
            sql: "SELECT dev_id, user_id, hash FROM users_auth ORDER BY dev_id, user_id",
            key: &[0, 1],
        },
        key,
    ),
    (
        Table {
            name: "users_data",
            sql: "SELECT dev_id, user_id, data FROM users_data ORDER BY dev_id, user_id",
            key: &[0, 1],
        },
        data,
    ),
    (
        Table {
            name: "users_time",
            sql: "SELECT dev_id, user_id, time FROM users_time ORDER BY dev_id, user_id",
            key: &[0, 1],
        },
        time,
    ),
    (
        Table {
            name: "pipes_settings",
            sql: "SELECT dev_id, name, length FROM pipes_settings ORDER BY dev_id, name",
            key: &[0, 1],
        },
        setting,
    ),
    (
        Table {
            name: "pipe_messages",
            sql: "SELECT dev_id, name, seq, uuid, time, event, message, user_id FROM pipe_messages
                  ORDER BY dev_id, name, seq",
            key: &[0, 1, 2],
        },
        history,
    ),
    (
        Table {
            name: "revoked_tokens",
            sql: "SELECT dev_id, token, time FROM revoked_tokens ORDER BY dev_id, token",
            key: &[0, 1],
        },
        token,
    ),
];

const QUEUES: Table = Table {
    name: "users_messages",
    sql: "SELECT dev_id, user_id, seq, uuid, time, event, message FROM users_messages
          ORDER BY dev_id, seq, user_id",
    key: &[0, 2, 1],
};

/// Queued messages that are sorted by user before they are applied: users who are neighbours in memory then get theirs
/// one after the other, which halves the time of a start. About 30 MiB.
const SORTED_MAX: usize = 1 << 18;

/// Gives `apply` the records that make the stored state, table by table, holding only some of them at a time. The error
/// names the table.
pub(super) fn load(db: &Connection, mut apply: impl FnMut(&Record)) -> Result<(), (&'static str, RowError)> {
    for (table, read) in TABLES {
        each_row(db, &table, |row| {
            apply(&read(row)?);
            Ok(())
        })
        .map_err(|error| (table.name, error))?;
    }
    queues(db, apply).map_err(|error| (QUEUES.name, error))
}

/// SQLite believes the order in a damaged file; whoever puts a queue together must not.
fn each_row(
    db: &Connection,
    table: &Table,
    mut take: impl FnMut(&Row<'_>) -> Result<(), RowError>,
) -> Result<(), RowError> {
    let mut statement = db.prepare(table.sql)?;
    let mut rows = statement.query([])?;
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        take_in_order(&mut last, row, table.key)?;
        take(row)?;
    }
    Ok(())
}

/// `last` is the key of the row before, and then of this one.
fn take_in_order(last: &mut Vec<Value>, row: &Row<'_>, key: &[usize]) -> Result<(), RowError> {
    let mut order = if last.is_empty() { Less } else { Equal };
    for (position, column) in key.iter().enumerate() {
        let value = row.get_ref(*column)?;
        match last.get(position).map(ValueRef::from) {
            Some(before) if order == Equal => order = compare(before, value),
            Some(_) | None => {}
        }
    }
    if order != Less {
        return Err(RowError::Order);
    }
    last.clear();
    for column in key {
        last.push(row.get(*column)?);
    }
    Ok(())
}

/// As SQLite does it for the only kinds of keys there are.
fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    match (a, b) {
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
        (ValueRef::Text(a), ValueRef::Text(b)) => a.cmp(b),
        // A value of another kind: whoever reads the row refuses it.
        _ => Less,
    }
}

/// The queues, each in its order.
fn queues(db: &Connection, mut apply: impl FnMut(&Record)) -> Result<(), RowError> {
    let mut messages = Vec::new();
    let mut latest = None;
    each_row(db, &QUEUES, |row| {
        messages.push((dev(row)?, user(row, 1)?, queued(row, &mut latest)?));
        if messages.len() == SORTED_MAX {
            apply_by_user(&mut messages, &mut apply);
        }
        Ok(())
    })?;
    apply_by_user(&mut messages, &mut apply);
    Ok(())
}

fn apply_by_user(messages: &mut Vec<(DevId, UserId, QueuedMessage)>, apply: &mut impl FnMut(&Record)) {
    // Stable: a user's messages keep their order.
    messages.sort_by_cached_key(|(dev, user, _)| (*dev, *user));
    for (dev, user, message) in messages.drain(..) {
        apply(&Record::MessageQueued { dev, user, message });
    }
}

fn key(row: &Row<'_>) -> Result<Record, RowError> {
    let hash = AuthHash::parse(text(row, 2, "hash")?).map_err(|_| RowError::Value("hash"))?;
    Ok(Record::KeySet {
        dev: dev(row)?,
        user: user(row, 1)?,
        hash,
    })
}

fn data(row: &Row<'_>) -> Result<Record, RowError> {
    let data = Body::new(text(row, 2, "data")?);
    Ok(Record::DataSet {
        dev: dev(row)?,
        user: user(row, 1)?,
        data,
    })
}

fn time(row: &Row<'_>) -> Result<Record, RowError> {
    let (dev, user) = (dev(row)?, user(row, 1)?);
    Ok(match seconds(row, 2)? {
        UnixSeconds(0) => Record::UserOnline { dev, user },
        time => Record::UserOffline { dev, user, time },
    })
}

fn setting(row: &Row<'_>) -> Result<Record, RowError> {
    let stored = number(row, 2, "length")?;
    let length = HistoryLength::clamped(stored);
    if u64::from(length.get()) != stored {
        return Err(RowError::Value("length"));
    }
    Ok(Record::HistoryLengthSet {
        dev: dev(row)?,
        channel: channel(row)?,
        length,
        keep_from: Seq(0),
    })
}

fn history(row: &Row<'_>) -> Result<Record, RowError> {
    let sender = match number(row, 7, "user_id")? {
        0 => None,
        _ => Some(user(row, 7)?),
    };
    let message = HistoryMessage {
        seq: seq(row)?,
        id: id(row)?,
        time: seconds(row, 4)?,
        event: event(row)?,
        body: Body::new(text(row, 6, "message")?),
        sender,
    };
    Ok(Record::HistoryAppended {
        dev: dev(row)?,
        channel: channel(row)?,
        message,
        keep_from: Seq(0),
    })
}

/// `latest` is the event of the message before: few are in use, so they are shared instead of stored again.
fn queued(row: &Row<'_>, latest: &mut Option<EventName>) -> Result<QueuedMessage, RowError> {
    let name = text(row, 5, "event")?;
    let event = match latest.take().filter(|latest| latest.as_str() == name) {
        Some(same) => same,
        None => event(row)?,
    };
    *latest = Some(event.clone());
    Ok(QueuedMessage {
        seq: seq(row)?,
        id: id(row)?,
        time: seconds(row, 4)?,
        event,
        body: Body::new(text(row, 6, "message")?),
    })
}

fn token(row: &Row<'_>) -> Result<Record, RowError> {
    let token = Token::parse(text(row, 1, "token")?).map_err(|_| RowError::Value("token"))?;
    Ok(Record::TokenRevoked {
        dev: dev(row)?,
        token,
        time: seconds(row, 2)?,
    })
}

fn text<'a>(row: &'a Row<'_>, at: usize, column: &'static str) -> Result<&'a str, RowError> {
    row.get_ref(at)?.as_str().map_err(|_| RowError::Value(column))
}

fn number(row: &Row<'_>, at: usize, column: &'static str) -> Result<u64, RowError> {
    let stored = row.get_ref(at)?.as_i64().map_err(|_| RowError::Value(column))?;
    u64::try_from(stored).map_err(|_| RowError::Value(column))
}

fn dev(row: &Row<'_>) -> Result<DevId, RowError> {
    u32::try_from(number(row, 0, "dev_id")?)
        .map(DevId)
        .map_err(|_| RowError::Value("dev_id"))
}

fn user(row: &Row<'_>, at: usize) -> Result<UserId, RowError> {
    let number = number(row, at, "user_id")?;
    u32::try_from(number)
        .ok()
        .and_then(UserId::new)
        .ok_or(RowError::Value("user_id"))
}

fn seconds(row: &Row<'_>, at: usize) -> Result<UnixSeconds, RowError> {
    number(row, at, "time").map(UnixSeconds)
}

fn seq(row: &Row<'_>) -> Result<Seq, RowError> {
    number(row, 2, "seq").map(Seq)
}

fn id(row: &Row<'_>) -> Result<MessageId, RowError> {
    MessageId::parse(text(row, 3, "uuid")?).ok_or(RowError::Value("uuid"))
}

fn event(row: &Row<'_>) -> Result<EventName, RowError> {
    EventName::parse(text(row, 5, "event")?).map_err(|_| RowError::Value("event"))
}

/// Browsers may use names of two characters, CometQL of three; the store holds both.
fn channel(row: &Row<'_>) -> Result<ChannelName, RowError> {
    ChannelName::from_browser(text(row, 1, "name")?).map_err(|_| RowError::Value("name"))
}
