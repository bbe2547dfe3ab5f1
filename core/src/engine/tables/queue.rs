//! `users_messages`: private messages (protocol.md 7.9).

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use super::{Core, Outcome, RowId, listed_users};
use crate::action::{Action, Delivered, Done};
use crate::cometql::{Cell, Keys, NewPrivate, Row};
use crate::engine::private::Leaving;
use crate::error::{ErrorCode, QueryError};
use crate::id::{DevId, OpId, Seq, SessionId, UserId};

impl Core {
    /// Accepts private messages; OK when they are stored (5).
    pub(super) fn insert_private(
        &mut self,
        (dev, by): (DevId, SessionId),
        rows: Vec<NewPrivate>,
        out: &mut Vec<Action>,
    ) -> Result<Outcome, QueryError> {
        self.check_queue_room(dev, &rows)?;
        let mut done = Done::default();
        let mut delivered = Delivered::default();
        let mut last = None;
        for NewPrivate { user, event, body } in rows {
            let (op, devices) = self.accept_private((dev, by), user, event, body, out);
            last = Some(op);
            delivered.connections += devices;
            delivered.queued += u64::from(devices == 0);
            done = Done {
                affected: done.affected + 1,
                insert_id: user.get().into(),
                delivered: Some(delivered),
            };
        }
        Ok(Outcome::after(last, done))
    }

    /// Nothing is dropped for room: the whole statement fails instead (`queue_max`).
    fn check_queue_room(&self, dev: DevId, rows: &[NewPrivate]) -> Result<(), QueryError> {
        let max = self.config.queue_len_max;
        if max == 0 {
            return Ok(());
        }
        let mut lengths: BTreeMap<UserId, usize> = BTreeMap::new();
        for row in rows {
            let queued = || {
                self.durable
                    .user(dev, row.user)
                    .map_or(0, |stored| stored.queue.len())
            };
            let length = lengths.entry(row.user).or_insert_with(queued);
            *length += 1;
            if *length > max {
                return Err(QueryError::new(
                    ErrorCode::TooLong,
                    "the queue of this user is full",
                ));
            }
        }
        Ok(())
    }

    /// All unpaid messages of the listed users, in delivery order (Q47).
    pub(super) fn rows_of_users_messages(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let known = self
            .durable
            .tenant(dev)
            .into_iter()
            .flat_map(|tenant| tenant.users.keys().copied());
        let mut rows = Vec::new();
        for user in listed_users(keys, known).into_iter().filter_map(UserId::new) {
            let queue = self.durable.user(dev, user).map(|stored| &stored.queue);
            for (index, message) in (0i64..).zip(queue.into_iter().flatten()) {
                let row = vec![
                    Cell::Int(user.get().into()),
                    Cell::Int(index),
                    Cell::text(message.event.as_str()),
                    Cell::Text(message.body.shared()),
                ];
                rows.push((RowId::Queued(user, message.seq), row));
            }
        }
        rows
    }

    pub(super) fn delete_private(
        &mut self,
        (dev, by): (DevId, SessionId),
        ids: Vec<RowId>,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        let mut by_user: BTreeMap<UserId, Vec<Seq>> = BTreeMap::new();
        for id in ids {
            if let RowId::Queued(user, seq) = id {
                by_user.entry(user).or_default().push(seq);
            }
        }
        let mut last = None;
        for (user, seqs) in by_user {
            last = self
                .remove_private(dev, user, seqs, Leaving::Deleted(by), out)
                .or(last);
        }
        last
    }
}
