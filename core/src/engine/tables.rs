//! The tables of CometQL (protocol.md 7.6 – 7.15): what INSERT does, which rows there are, what DELETE does.
//!
//! A row leaves with the thing it stands for (`RowId`), so that DELETE can be decided by the same evaluator as
//! SELECT. To add a table: a module here, and a line in each of the three matches below.

mod channels;
mod delivery;
mod history;
mod queue;
mod tokens;
mod users;

use alloc::vec::Vec;

use super::Core;
use super::query::Outcome;
use crate::action::{Action, Done};
use crate::cometql::{self, Delete, Insert, Keys, Row, Table};
use crate::error::{ErrorCode, QueryError};
use crate::id::{DevId, Seq, SessionId, UserId};
use crate::name::{ChannelName, Token};

/// What a row stands for.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum RowId {
    /// A key, a last-online time or the data of a user.
    User(UserId),
    /// A connected user without a key: DELETE FROM users_auth disconnects him, too.
    Keyless(UserId),
    /// A private message.
    Queued(UserId, Seq),
    /// A history setting.
    Setting(ChannelName),
    /// A history message.
    History(ChannelName, Seq),
    /// A revoked token.
    Token(Token),
    /// Nothing that could be deleted.
    ReadOnly,
}

impl Core {
    /// True if the INSERT has to write something.
    pub(super) fn stores_something(&self, dev: DevId, insert: &Insert) -> bool {
        match insert {
            Insert::PipesMessages(rows) => rows.iter().any(|row| self.history_length(dev, &row.channel) > 0),
            Insert::UsersAuth(_)
            | Insert::UsersData(_)
            | Insert::UsersMessages(_)
            | Insert::PipesSettings(_)
            | Insert::RevokedTokens(_) => true,
            Insert::Conference => false,
        }
    }

    /// INSERT: all rows or none.
    pub(super) fn insert(
        &mut self,
        (dev, by): (DevId, SessionId),
        insert: Insert,
        out: &mut Vec<Action>,
    ) -> Result<Outcome, QueryError> {
        match insert {
            Insert::UsersAuth(rows) => Ok(self.insert_keys(dev, rows, out)),
            Insert::UsersData(rows) => Ok(self.insert_data(dev, rows, out)),
            Insert::UsersMessages(rows) => self.insert_private((dev, by), rows, out),
            Insert::PipesMessages(rows) => Ok(self.insert_messages((dev, by), rows, out)),
            Insert::PipesSettings(rows) => Ok(self.insert_settings((dev, by), rows, out)),
            Insert::RevokedTokens(tokens) => Ok(self.insert_tokens(dev, tokens, out)),
            Insert::Conference => Err(QueryError::new(
                ErrorCode::Internal,
                "no video server is configured",
            )),
        }
    }

    /// The rows a statement may look at, in the order of the listed keys, else in key order.
    pub(super) fn rows_of(
        &self,
        dev: DevId,
        table: Table,
        keys: &Keys,
    ) -> Result<Vec<(RowId, Row)>, QueryError> {
        Ok(match table {
            Table::UsersAuth => self.rows_of_users_auth(dev, keys),
            Table::UsersTime => self.rows_of_users_time(dev, keys),
            Table::UsersData => self.rows_of_users_data(dev, keys),
            Table::UsersMessages => self.rows_of_users_messages(dev, keys),
            Table::PipesMessages => self.rows_of_pipes_messages(dev, keys),
            Table::Pipes => self.rows_of_pipes(dev, keys),
            Table::UsersInPipes => self.rows_of_users_in_pipes(dev, keys),
            Table::PipesSettings => self.rows_of_pipes_settings(dev, keys),
            Table::RevokedTokens => self.rows_of_revoked_tokens(dev, keys),
            Table::MessagesDelivery => self.rows_of_messages_delivery(dev, keys)?,
            // Without a video server there is no conference, and nothing is profiled (7.14, 7.15).
            Table::Conference | Table::ConferenceMembers | Table::Dialogs | Table::Profiler => Vec::new(),
        })
    }

    /// DELETE: the rows that the whole WHERE, ORDER BY and LIMIT choose (Q42).
    pub(super) fn delete(
        &mut self,
        (dev, by): (DevId, SessionId),
        delete: &Delete,
        out: &mut Vec<Action>,
    ) -> Result<Outcome, QueryError> {
        let mut candidates = self.rows_of(dev, delete.table, &delete.keys)?;
        if delete.table == Table::UsersAuth {
            candidates.extend(self.keyless_users(dev, &delete.keys));
        }
        let (mut ids, rows): (Vec<RowId>, Vec<Row>) = candidates.into_iter().unzip();
        let chosen = cometql::choose(delete, &rows);
        let mut position = 0;
        ids.retain(|_| {
            position += 1;
            chosen.binary_search(&(position - 1)).is_ok()
        });
        let affected = ids.iter().filter(|id| !matches!(id, RowId::Keyless(_))).count() as u64;
        let last = match delete.table {
            Table::UsersAuth => self.delete_keys(dev, ids, out),
            Table::UsersData => self.delete_data(dev, ids, out),
            Table::UsersMessages => self.delete_private((dev, by), ids, out),
            Table::PipesMessages => self.delete_messages((dev, by), ids, out),
            Table::PipesSettings => self.delete_settings((dev, by), ids, out),
            Table::RevokedTokens => self.delete_tokens(dev, ids, out),
            Table::Conference => None,
            Table::UsersTime
            | Table::Pipes
            | Table::UsersInPipes
            | Table::MessagesDelivery
            | Table::ConferenceMembers => {
                return Err(ErrorCode::ReadOnly.into());
            }
            Table::Dialogs | Table::Profiler => return Err(ErrorCode::DoesNotExist.into()),
        };
        Ok(Outcome::after(
            last,
            Done {
                affected,
                ..Done::default()
            },
        ))
    }
}

/// The users a statement lists, or all that are known.
fn listed_users<'a>(keys: &'a Keys, all: impl Iterator<Item = UserId> + 'a) -> Vec<u32> {
    match keys {
        Keys::Users(users) => users.clone(),
        Keys::All => all.map(UserId::get).collect(),
        Keys::Channels(_) | Keys::Tokens(_) | Keys::Messages(_) => Vec::new(),
    }
}

/// The channels a statement lists, or all that are known.
fn listed_channels<'a>(keys: &Keys, all: impl Iterator<Item = &'a ChannelName>) -> Vec<ChannelName> {
    match keys {
        Keys::Channels(channels) => channels.clone(),
        Keys::All => all.cloned().collect(),
        Keys::Users(_) | Keys::Tokens(_) | Keys::Messages(_) => Vec::new(),
    }
}
