//! One record to SQL, in one obvious function. Every statement may run twice without harm.

use comet_core::{DevId, HistoryMessage, QueuedMessage, Record, Seq, UserId};
use rusqlite::{Connection, Params, params};

/// Writes one record inside the caller's transaction.
pub(super) fn write(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::KeySet { dev, user, hash } => run(db, SET_KEY, params![dev.0, user.get(), hash.reveal()]),
        Record::KeyDeleted { dev, user } => run(db, DELETE_KEY, params![dev.0, user.get()]),
        Record::DataSet { dev, user, data } => run(db, SET_DATA, params![dev.0, user.get(), data.as_str()]),
        Record::DataDeleted { dev, user } => run(db, DELETE_DATA, params![dev.0, user.get()]),
        Record::UserOnline { dev, user } => run(db, SET_TIME, params![dev.0, user.get(), 0]),
        Record::UserOffline { dev, user, time } => {
            run(db, SET_TIME, params![dev.0, user.get(), integer(time.0)])
        }
        Record::EverybodyOffline { time } => run(db, END_ALL_TIMES, params![integer(time.0)]),
        Record::MessageQueued { dev, user, message } => queue(db, *dev, *user, message),
        Record::MessagesRemoved {
            dev,
            user,
            seqs,
            why: _,
        } => each(db, DELETE_PRIVATE, seqs, |seq| (dev.0, user.get(), seq)),
        Record::HistoryLengthSet {
            dev,
            channel,
            length,
            keep_from,
        } => {
            run(db, SET_LENGTH, params![dev.0, channel.as_str(), length.get()])?;
            trim(db, *dev, channel.as_str(), *keep_from)
        }
        Record::HistorySettingDeleted { dev, channel } => {
            run(db, DELETE_LENGTH, params![dev.0, channel.as_str()])?;
            run(db, DELETE_HISTORY, params![dev.0, channel.as_str()])
        }
        Record::HistoryAppended {
            dev,
            channel,
            message,
            keep_from,
        } => {
            append(db, *dev, channel.as_str(), message)?;
            trim(db, *dev, channel.as_str(), *keep_from)
        }
        Record::HistoryRemoved { dev, channel, seqs } => each(db, DELETE_HISTORY_MESSAGE, seqs, |seq| {
            (dev.0, channel.as_str(), seq)
        }),
        Record::TokenRevoked { dev, token, time } => {
            run(db, REVOKE, params![dev.0, token.reveal(), integer(time.0)])
        }
        Record::TokenRestored { dev, token } => run(db, RESTORE, params![dev.0, token.reveal()]),
    }
}

const SET_KEY: &str = "INSERT INTO users_auth (dev_id, user_id, hash) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET hash = excluded.hash";
const DELETE_KEY: &str = "DELETE FROM users_auth WHERE dev_id = ?1 AND user_id = ?2";
const SET_DATA: &str = "INSERT INTO users_data (dev_id, user_id, data) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET data = excluded.data";
const DELETE_DATA: &str = "DELETE FROM users_data WHERE dev_id = ?1 AND user_id = ?2";
const SET_TIME: &str = "INSERT INTO users_time (dev_id, user_id, time) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET time = excluded.time";
const END_ALL_TIMES: &str = "UPDATE users_time SET time = ?1 WHERE time = 0";
const QUEUE: &str = "INSERT INTO users_messages (dev_id, user_id, seq, uuid, time, event, message)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
const DELETE_PRIVATE: &str = "DELETE FROM users_messages WHERE dev_id = ?1 AND user_id = ?2 AND seq = ?3";
const SET_LENGTH: &str = "INSERT INTO pipes_settings (dev_id, name, length) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET length = excluded.length";
const DELETE_LENGTH: &str = "DELETE FROM pipes_settings WHERE dev_id = ?1 AND name = ?2";
const APPEND: &str = "INSERT INTO pipe_messages (dev_id, name, seq, uuid, time, event, message, user_id)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
const TRIM: &str = "DELETE FROM pipe_messages WHERE dev_id = ?1 AND name = ?2 AND seq < ?3";
const DELETE_HISTORY: &str = "DELETE FROM pipe_messages WHERE dev_id = ?1 AND name = ?2";
const DELETE_HISTORY_MESSAGE: &str = "DELETE FROM pipe_messages WHERE dev_id = ?1 AND name = ?2 AND seq = ?3";
const REVOKE: &str = "INSERT INTO revoked_tokens (dev_id, token, time) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET time = excluded.time";
const RESTORE: &str = "DELETE FROM revoked_tokens WHERE dev_id = ?1 AND token = ?2";

fn run(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute(params).map(|_| ())
}

/// The same statement for every position.
fn each<P: Params>(
    db: &Connection,
    sql: &str,
    seqs: &[Seq],
    params: impl Fn(i64) -> P,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    seqs.iter()
        .try_for_each(|seq| statement.execute(params(integer(seq.0))).map(|_| ()))
}

fn queue(db: &Connection, dev: DevId, user: UserId, message: &QueuedMessage) -> rusqlite::Result<()> {
    let QueuedMessage {
        seq,
        id,
        time,
        event,
        body,
    } = message;
    run(
        db,
        QUEUE,
        params![
            dev.0,
            user.get(),
            integer(seq.0),
            id.to_string(),
            integer(time.0),
            event.as_str(),
            body.as_str(),
        ],
    )
}

fn append(db: &Connection, dev: DevId, channel: &str, message: &HistoryMessage) -> rusqlite::Result<()> {
    let HistoryMessage {
        seq,
        id,
        time,
        event,
        body,
        sender,
    } = message;
    run(
        db,
        APPEND,
        params![
            dev.0,
            channel,
            integer(seq.0),
            id.to_string(),
            integer(time.0),
            event.as_str(),
            body.as_str(),
            sender.map_or(0, UserId::get),
        ],
    )
}

fn trim(db: &Connection, dev: DevId, channel: &str, keep_from: Seq) -> rusqlite::Result<()> {
    run(db, TRIM, params![dev.0, channel, integer(keep_from.0)])
}

/// SQLite's integers have a sign. Positions count from 1 and times are seconds, so neither comes near it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).expect("positions and times stay below 2^63")
}
