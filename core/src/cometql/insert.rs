//! The rows of an INSERT as typed values, with the errors of protocol.md 7.6 – 7.14. The first wrong value of the
//! first wrong row counts; nothing is accepted then.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::template::{InsertTemplate, Source, Value};
use super::{Insert, Limits, NewKey, NewMessage, NewPrivate, NewSetting, NewUserData, Table};
use crate::error::{ErrorCode, QueryError};
use crate::id::UserId;
use crate::name::{AuthHash, Body, ChannelKind, ChannelName, EventName, NameError, Token};
use crate::record::HistoryLength;

type Checked<T> = Result<T, QueryError>;

/// Checks and converts all rows.
pub(super) fn rows(insert: &InsertTemplate, source: Source<'_>, limits: &Limits) -> Checked<Insert> {
    match insert.table {
        Table::UsersAuth => each(insert, source, limits, new_key).map(Insert::UsersAuth),
        Table::UsersData => each(insert, source, limits, new_data).map(Insert::UsersData),
        Table::UsersMessages => each(insert, source, limits, new_private).map(Insert::UsersMessages),
        Table::PipesMessages => each(insert, source, limits, new_message).map(Insert::PipesMessages),
        Table::PipesSettings => each(insert, source, limits, new_setting).map(Insert::PipesSettings),
        Table::RevokedTokens => each(insert, source, limits, new_token).map(Insert::RevokedTokens),
        Table::Conference => {
            each(insert, source, limits, check_conference)?;
            Ok(Insert::Conference)
        }
        Table::UsersTime
        | Table::Pipes
        | Table::UsersInPipes
        | Table::MessagesDelivery
        | Table::ConferenceMembers
        | Table::Dialogs => Err(ErrorCode::ReadOnly.into()),
        Table::Profiler => Err(ErrorCode::DoesNotExist.into()),
    }
}

fn each<T>(
    insert: &InsertTemplate,
    source: Source<'_>,
    limits: &Limits,
    convert: fn(&NewRow<'_>) -> Checked<T>,
) -> Checked<Vec<T>> {
    let rows = insert.values.chunks_exact(insert.width);
    rows.map(|values| {
        convert(&NewRow {
            insert,
            values,
            source,
            limits,
        })
    })
    .collect()
}

/// One row as written.
struct NewRow<'a> {
    insert: &'a InsertTemplate,
    values: &'a [Value],
    source: Source<'a>,
    limits: &'a Limits,
}

const MISSING: QueryError = QueryError::new(ErrorCode::InvalidData, "required column missing");

fn wrong(code: ErrorCode, text: &'static str) -> QueryError {
    QueryError::new(code, text)
}

/// The code of a name that breaks the rules of protocol.md 1.
fn bad_name(error: NameError) -> QueryError {
    match error {
        NameError::TooShort => ErrorCode::TooShort.into(),
        NameError::TooLong => ErrorCode::TooLong.into(),
        NameError::BadCharacter => ErrorCode::InvalidData.into(),
    }
}

impl<'a> NewRow<'a> {
    fn value(&self, name: &str) -> Value {
        let place = self
            .insert
            .table
            .column(name)
            .and_then(|at| self.insert.places[usize::from(at)]);
        place.map_or(Value::Null, |place| self.values[usize::from(place)])
    }

    fn optional(&self, name: &str) -> Option<Cow<'a, str>> {
        self.source.ordinary(self.value(name))
    }

    fn required(&self, name: &str) -> Checked<Cow<'a, str>> {
        self.optional(name).ok_or(MISSING)
    }

    fn user(&self) -> Checked<UserId> {
        let id = self.required("id")?;
        UserId::parse(&id).ok_or_else(|| wrong(ErrorCode::InvalidData, "id is not a positive number"))
    }

    fn channel(&self) -> Checked<ChannelName> {
        ChannelName::from_cometql(&self.required("name")?).map_err(bad_name)
    }

    fn event(&self) -> Checked<EventName> {
        EventName::parse(&self.required("event")?).map_err(bad_name)
    }

    fn body(&self, name: &str) -> Checked<Body> {
        let text = self.source.free(self.value(name)).ok_or(MISSING)?;
        if text.len() > self.limits.body_bytes_max {
            return Err(wrong(ErrorCode::TooLong, "message too long"));
        }
        Ok(Body::new(&text))
    }
}

fn new_key(row: &NewRow<'_>) -> Checked<NewKey> {
    Ok(NewKey {
        user: row.user()?,
        hash: AuthHash::parse(&row.required("hash")?).map_err(bad_name)?,
    })
}

fn new_data(row: &NewRow<'_>) -> Checked<NewUserData> {
    Ok(NewUserData {
        user: row.user()?,
        data: row.body("data")?,
    })
}

fn new_private(row: &NewRow<'_>) -> Checked<NewPrivate> {
    Ok(NewPrivate {
        user: row.user()?,
        event: row.event()?,
        body: row.body("message")?,
    })
}

fn new_message(row: &NewRow<'_>) -> Checked<NewMessage> {
    let channel = row.channel()?;
    match channel.kind() {
        ChannelKind::Msg | ChannelKind::Answer => {
            return Err(wrong(ErrorCode::InvalidData, "channel is reserved"));
        }
        ChannelKind::Plain
        | ChannelKind::Web
        | ChannelKind::WebAuth
        | ChannelKind::Track
        | ChannelKind::Private
        | ChannelKind::Trust => {}
    }
    Ok(NewMessage {
        channel,
        event: row.event()?,
        body: row.body("message")?,
    })
}

fn new_setting(row: &NewRow<'_>) -> Checked<NewSetting> {
    let channel = row.channel()?;
    let length = match row.optional("length") {
        None => HistoryLength::OFF,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // Too many digits for a number are a number above every limit, too.
            HistoryLength::clamped(digits.parse().unwrap_or(u64::MAX))
        }
        Some(_) => return Err(wrong(ErrorCode::InvalidData, "length is not a number")),
    };
    Ok(NewSetting { channel, length })
}

fn new_token(row: &NewRow<'_>) -> Checked<Token> {
    Token::parse(&row.required("token")?).map_err(bad_name)
}

/// protocol.md 7.14: only the presence of the required columns is looked at.
fn check_conference(row: &NewRow<'_>) -> Checked<()> {
    for column in ["name", "user_id", "message"] {
        row.required(column)?;
    }
    Ok(())
}
