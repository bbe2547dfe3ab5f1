//! `users_auth`, `users_time`, `users_data` (protocol.md 7.6 – 7.8).

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{Core, Outcome, RowId, listed_users};
use crate::action::{Action, Done};
use crate::cometql::{Cell, Keys, NewKey, NewUserData, Row};
use crate::id::{DevId, OpId, UserId};
use crate::record::Record;
use crate::state::{DurableUser, LastSeen};

impl Core {
    /// Registers keys; existing connections stay (Q68).
    pub(super) fn insert_keys(&mut self, dev: DevId, rows: Vec<NewKey>, out: &mut Vec<Action>) -> Outcome {
        let mut done = Done::default();
        let mut last = None;
        for NewKey { user, hash } in rows {
            last = Some(self.commit(Record::KeySet { dev, user, hash }, out));
            done = Done {
                affected: done.affected + 1,
                insert_id: user.get().into(),
                delivered: None,
            };
        }
        Outcome::after(last, done)
    }

    pub(super) fn insert_data(
        &mut self,
        dev: DevId,
        rows: Vec<NewUserData>,
        out: &mut Vec<Action>,
    ) -> Outcome {
        let mut done = Done::default();
        let mut last = None;
        for NewUserData { user, data } in rows {
            last = Some(self.commit(Record::DataSet { dev, user, data }, out));
            done = Done {
                affected: done.affected + 1,
                insert_id: user.get().into(),
                delivered: None,
            };
        }
        Outcome::after(last, done)
    }

    /// Removes keys and disconnects their users (4.3).
    pub(super) fn delete_keys(&mut self, dev: DevId, ids: Vec<RowId>, out: &mut Vec<Action>) -> Option<OpId> {
        let mut last = None;
        for id in ids {
            if let RowId::User(user) = id {
                last = Some(self.commit(Record::KeyDeleted { dev, user }, out));
            }
            if let RowId::User(user) | RowId::Keyless(user) = id {
                self.kick(dev, user, out);
            }
        }
        last
    }

    /// The listed users who are connected by a token and have no key, as rows with an empty one.
    pub(super) fn keyless_users(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let listed = listed_users(keys, core::iter::empty())
            .into_iter()
            .filter_map(UserId::new);
        let is_keyless = |user: &UserId| {
            let has_key = self
                .durable
                .user(dev, *user)
                .is_some_and(|stored| stored.hash.is_some());
            !has_key
                && self
                    .tenants
                    .user(dev, *user)
                    .is_some_and(|live| !live.connections.is_empty())
        };
        let row = |user: UserId| {
            (
                RowId::Keyless(user),
                vec![Cell::Int(user.get().into()), Cell::text("")],
            )
        };
        listed.filter(is_keyless).map(row).collect()
    }

    pub(super) fn delete_data(&mut self, dev: DevId, ids: Vec<RowId>, out: &mut Vec<Action>) -> Option<OpId> {
        let mut last = None;
        for id in ids {
            if let RowId::User(user) = id {
                last = Some(self.commit(Record::DataDeleted { dev, user }, out));
            }
        }
        last
    }

    pub(super) fn rows_of_users_auth(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        self.rows_of_users(dev, keys, |stored| {
            stored.hash.as_ref().map(|hash| Arc::from(hash.reveal()))
        })
    }

    pub(super) fn rows_of_users_data(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        self.rows_of_users(dev, keys, |stored| stored.data.as_ref().map(|data| data.shared()))
    }

    /// A row for each listed user that has a value.
    fn rows_of_users(
        &self,
        dev: DevId,
        keys: &Keys,
        value: impl Fn(&DurableUser) -> Option<Arc<str>>,
    ) -> Vec<(RowId, Row)> {
        let known = self
            .durable
            .tenant(dev)
            .into_iter()
            .flat_map(|tenant| tenant.users.keys().copied());
        let listed = listed_users(keys, known).into_iter().filter_map(UserId::new);
        let row = |user: UserId| {
            let text = value(self.durable.user(dev, user)?)?;
            Some((
                RowId::User(user),
                vec![Cell::Int(user.get().into()), Cell::Text(text)],
            ))
        };
        listed.filter_map(row).collect()
    }

    /// A row for each listed number, always: 0 = online, -1 = nothing known.
    pub(super) fn rows_of_users_time(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let users = self
            .durable
            .tenant(dev)
            .into_iter()
            .flat_map(|tenant| &tenant.users);
        let seen = users
            .filter(|(_, stored)| stored.last_seen.is_some())
            .map(|(&user, _)| user);
        let time = |number: u32| {
            let stored = UserId::new(number).and_then(|user| self.durable.user(dev, user));
            match stored.and_then(|stored| stored.last_seen) {
                Some(LastSeen::Online) => 0,
                Some(LastSeen::Offline(time)) => i64::try_from(time.0).unwrap_or(i64::MAX),
                None => -1,
            }
        };
        let row = |number: u32| {
            (
                RowId::ReadOnly,
                vec![Cell::Int(number.into()), Cell::Int(time(number))],
            )
        };
        listed_users(keys, seen).into_iter().map(row).collect()
    }
}
