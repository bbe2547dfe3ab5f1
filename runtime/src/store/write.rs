//! One record to SQL, in one obvious function. Every statement may run twice without harm.

use comet_core::{DevId, HistoryMessage, QueuedMessage, Record, Seq, UserId};
use rusqlite::{Connection, Params, params};

/// Writes one record inside the caller's transaction.
pub(super) fn write(db: &Connection, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::KeySet { dev, user, hash } => run(
            db,
            "INSERT INTO users_auth (dev_id, user_id, hash) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET hash = excluded.hash",
            params![dev.0, user.get(), hash.reveal()],
        ),
        Record::KeyDeleted { dev, user } => run(
            db,
            "DELETE FROM users_auth WHERE dev_id = ?1 AND user_id = ?2",
            params![dev.0, user.get()],
        ),
        Record::DataSet { dev, user, data } => run(
            db,
            "INSERT INTO users_data (dev_id, user_id, data) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET data = excluded.data",
            params![dev.0, user.get(), data.as_str()],
        ),
        Record::DataDeleted { dev, user } => run(
            db,
            "DELETE FROM users_data WHERE dev_id = ?1 AND user_id = ?2",
            params![dev.0, user.get()],
        ),
        Record::UserOnline { dev, user } => set_time(db, *dev, *user, 0),
        Record::UserOffline { dev, user, time } => set_time(db, *dev, *user, integer(time.0)),
        Record::EverybodyOffline { time } => run(
            db,
            "UPDATE users_time SET time = ?1 WHERE time = 0",
            params![integer(time.0)],
        ),
        Record::MessageQueued { dev, user, message } => queue(db, *dev, *user, message),
        Record::MessagesRemoved {
            dev,
            user,
            seqs,
            why: _,
        } => each(
            db,
            "DELETE FROM users_messages WHERE dev_id = ?1 AND seq = ?2 AND user_id = ?3",
            seqs,
            |seq| params_of(dev.0, seq, user.get()),
        ),
        Record::HistoryLengthSet {
            dev,
            channel,
            length,
            keep_from,
        } => {
            run(
                db,
                "INSERT INTO pipes_settings (dev_id, name, length) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET length = excluded.length",
                params![dev.0, channel.as_str(), length.get()],
            )?;
            trim(db, *dev, channel.as_str(), *keep_from)
        }
        Record::HistorySettingDeleted { dev, channel } => {
            run(
                db,
                "DELETE FROM pipes_settings WHERE dev_id = ?1 AND name = ?2",
                params![dev.0, channel.as_str()],
            )?;
            run(
                db,
                "DELETE FROM pipe_messages WHERE dev_id = ?1 AND name = ?2",
                params![dev.0, channel.as_str()],
            )
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
        Record::HistoryRemoved { dev, channel, seqs } => each(
            db,
            "DELETE FROM pipe_messages WHERE dev_id = ?1 AND seq = ?2 AND name = ?3",
            seqs,
            |seq| params_of(dev.0, seq, channel.as_str()),
        ),
        Record::TokenRevoked { dev, token, time } => run(
            db,
            "INSERT INTO revoked_tokens (dev_id, token, time) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET time = excluded.time",
            params![dev.0, token.reveal(), integer(time.0)],
        ),
        Record::TokenRestored { dev, token } => run(
            db,
            "DELETE FROM revoked_tokens WHERE dev_id = ?1 AND token = ?2",
            params![dev.0, token.reveal()],
        ),
    }
}

fn run(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<()> {
    db.prepare_cached(sql)?.execute(params).map(|_| ())
}

fn each<P: Params>(
    db: &Connection,
    sql: &str,
    seqs: &[Seq],
    params: impl Fn(Seq) -> P,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql)?;
    seqs.iter()
        .try_for_each(|&seq| statement.execute(params(seq)).map(|_| ()))
}

fn params_of<T>(dev: u32, seq: Seq, owner: T) -> (u32, i64, T) {
    (dev, integer(seq.0), owner)
}

fn set_time(db: &Connection, dev: DevId, user: UserId, time: i64) -> rusqlite::Result<()> {
    run(
        db,
        "INSERT INTO users_time (dev_id, user_id, time) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET time = excluded.time",
        params![dev.0, user.get(), time],
    )
}

fn queue(db: &Connection, dev: DevId, user: UserId, message: &QueuedMessage) -> rusqlite::Result<()> {
    run(
        db,
        "INSERT INTO users_messages (dev_id, seq, user_id, uuid, time, event, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        params![
            dev.0,
            integer(message.seq.0),
            user.get(),
            message.id.to_string(),
            integer(message.time.0),
            message.event.as_str(),
            message.body.as_str(),
        ],
    )
}

fn append(db: &Connection, dev: DevId, channel: &str, message: &HistoryMessage) -> rusqlite::Result<()> {
    run(
        db,
        "INSERT INTO pipe_messages (dev_id, name, seq, uuid, time, event, message, user_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        params![
            dev.0,
            channel,
            integer(message.seq.0),
            message.id.to_string(),
            integer(message.time.0),
            message.event.as_str(),
            message.body.as_str(),
            message.sender.map_or(0, UserId::get),
        ],
    )
}

fn trim(db: &Connection, dev: DevId, channel: &str, keep_from: Seq) -> rusqlite::Result<()> {
    run(
        db,
        "DELETE FROM pipe_messages WHERE dev_id = ?1 AND name = ?2 AND seq < ?3",
        params![dev.0, channel, integer(keep_from.0)],
    )
}

/// SQLite's integers have a sign. Positions count from 1 and times are seconds, so neither comes near it.
fn integer(number: u64) -> i64 {
    i64::try_from(number).expect("positions and times stay below 2^63")
}
