//! Rows back to records. Every value is checked as if it came from a stranger: a row that no record could have
//! written means that the file is damaged, and the start is refused.

use comet_core::{
    AuthHash, Body, ChannelName, DevId, EventName, HistoryLength, HistoryMessage, MessageId, QueuedMessage,
    Record, Seq, Token, UnixSeconds, UserId,
};
use rusqlite::{Connection, Row};

/// Why a row cannot be used.
#[derive(Debug)]
pub(super) enum RowError {
    Sqlite(rusqlite::Error),
    /// The column whose value is impossible.
    Value(&'static str),
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

type Read = fn(&Row<'_>) -> Result<Record, RowError>;

/// One table: its name, how it is read, what a row becomes. Settings come before the history they rule.
const TABLES: [(&str, &str, Read); 6] = [
    ("users_auth", "SELECT dev_id, user_id, hash FROM users_auth", key),
    ("users_data", "SELECT dev_id, user_id, data FROM users_data", data),
    ("users_time", "SELECT dev_id, user_id, time FROM users_time", time),
    (
        "pipes_settings",
        "SELECT dev_id, name, length FROM pipes_settings",
        setting,
    ),
    (
        "pipe_messages",
        "SELECT dev_id, name, seq, uuid, time, event, message, user_id FROM pipe_messages
         ORDER BY dev_id, name, seq",
        history,
    ),
    (
        "revoked_tokens",
        "SELECT dev_id, token, time FROM revoked_tokens",
        token,
    ),
];

const QUEUES: (&str, &str) = (
    "users_messages",
    "SELECT dev_id, user_id, seq, uuid, time, event, message FROM users_messages ORDER BY dev_id, seq, user_id",
);

/// Queued messages that are sorted by user before they are applied: users who are neighbours in memory then get theirs
/// one after the other, which halves the time of a start. About 30 MiB.
const SORTED_MAX: usize = 1 << 18;

/// Gives `apply` the records that make the stored state, table by table, holding only some of them at a time. The error
/// names the table.
pub(super) fn load(db: &Connection, mut apply: impl FnMut(&Record)) -> Result<(), (&'static str, RowError)> {
    for (table, sql, read) in TABLES {
        each_row(db, sql, |row| {
            apply(&read(row)?);
            Ok(())
        })
        .map_err(|error| (table, error))?;
    }
    let (table, sql) = QUEUES;
    queues(db, sql, apply).map_err(|error| (table, error))
}

fn each_row(
    db: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), RowError>,
) -> Result<(), RowError> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// The queues, each in its order.
fn queues(db: &Connection, sql: &str, mut apply: impl FnMut(&Record)) -> Result<(), RowError> {
    let mut messages = Vec::new();
    let mut latest = None;
    each_row(db, sql, |row| {
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
