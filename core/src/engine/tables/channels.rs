//! `pipes`, `users_in_pipes`, `pipes_settings` (protocol.md 7.11, 7.12).

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use super::{Core, Outcome, RowId, listed_channels};
use crate::action::{Action, Done};
use crate::cometql::{Cell, Keys, NewSetting, Row};
use crate::id::{ConnId, DevId, OpId, Seq, SessionId, UserId};
use crate::name::ChannelName;
use crate::record::Record;
use crate::state::effective_length;

impl Core {
    /// The number of subscribed connections of any channel (S59); 0 for a listed one without any.
    pub(super) fn rows_of_pipes(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let used = self
            .tenants
            .get(dev)
            .into_iter()
            .flat_map(|tenant| tenant.channels.keys());
        let row = |channel: ChannelName| {
            let users = self
                .tenants
                .channel(dev, &channel)
                .map_or(0, |subscribers| subscribers.len());
            let users = i64::try_from(users).unwrap_or(i64::MAX);
            (
                RowId::ReadOnly,
                vec![Cell::text(channel.as_str()), Cell::Int(users)],
            )
        };
        listed_channels(keys, used).into_iter().map(row).collect()
    }

    /// One row per subscribed connection, anonymous ones with user id 0 (Q72).
    pub(super) fn rows_of_users_in_pipes(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let used = self
            .tenants
            .get(dev)
            .into_iter()
            .flat_map(|tenant| tenant.channels.keys());
        let mut rows = Vec::new();
        for channel in listed_channels(keys, used) {
            let subscribers = self.tenants.channel(dev, &channel);
            let mut present: Vec<ConnId> = subscribers.into_iter().flat_map(|s| s.iter()).collect();
            present.sort_unstable();
            for conn in present.into_iter().filter_map(|id| self.conns.get(id)) {
                let (headers, ip) = (&conn.client.headers, conn.client.ip);
                let row = vec![
                    Cell::text(channel.as_str()),
                    Cell::Int(conn.user.map_or(0, UserId::get).into()),
                    Cell::text(conn.uuid.as_str()),
                    Cell::Text(headers.user_agent.clone()),
                    Cell::text(&ip.map(|ip| ip.to_string()).unwrap_or_default()),
                    Cell::Text(headers.origin.clone().unwrap_or_default()),
                    Cell::Text(headers.language.clone()),
                ];
                rows.push((RowId::ReadOnly, row));
            }
        }
        rows
    }

    pub(super) fn rows_of_pipes_settings(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let stored = self
            .durable
            .tenant(dev)
            .into_iter()
            .flat_map(|tenant| tenant.channels.keys());
        let row = |channel: ChannelName| {
            let length = self.durable.channel(dev, &channel)?.setting?;
            let cells = vec![Cell::text(channel.as_str()), Cell::Int(length.get().into())];
            Some((RowId::Setting(channel), cells))
        };
        listed_channels(keys, stored)
            .into_iter()
            .filter_map(row)
            .collect()
    }

    /// Sets history lengths; a shorter one trims at once (S53, S54, Q32).
    pub(super) fn insert_settings(
        &mut self,
        (dev, by): (DevId, SessionId),
        rows: Vec<NewSetting>,
        out: &mut Vec<Action>,
    ) -> Outcome {
        let mut affected = 0;
        let mut last = None;
        for NewSetting { channel, length } in rows {
            let keep = effective_length(&channel, Some(length));
            let keep_from = self.first_kept(dev, &channel, keep, Seq::END);
            self.note_shortened(dev, &channel, by, keep_from);
            let record = Record::HistoryLengthSet {
                dev,
                channel: channel.clone(),
                length,
                keep_from,
            };
            last = Some(self.commit_setting(dev, &channel, record, out));
            affected += 1;
        }
        Outcome::after(
            last,
            Done {
                affected,
                insert_id: 0,
                delivered: None,
            },
        )
    }

    /// Removes settings together with the histories (7.12).
    pub(super) fn delete_settings(
        &mut self,
        (dev, by): (DevId, SessionId),
        ids: Vec<RowId>,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        let mut last = None;
        for id in ids {
            if let RowId::Setting(channel) = id {
                self.note_deleted(dev, &channel, by, |_| true);
                let record = Record::HistorySettingDeleted {
                    dev,
                    channel: channel.clone(),
                };
                last = Some(self.commit_setting(dev, &channel, record, out));
            }
        }
        last
    }

    fn commit_setting(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        record: Record,
        out: &mut Vec<Action>,
    ) -> OpId {
        let op = self.commit(record, out);
        if self.history_length(dev, channel) == 0 {
            self.tenants.entry(dev).history_ended = op;
        }
        op
    }

    /// The newest record by which a channel of the tenant lost its history, if it is not safe yet. Until it is, what was
    /// not kept because of it is not acknowledged: the server could die, and come back with the history and without the
    /// message.
    pub(in crate::engine) fn unsafe_end_of_history(&self, dev: DevId) -> Option<OpId> {
        let ended = self.tenants.get(dev).map(|tenant| tenant.history_ended);
        ended.filter(|&op| !self.durability.is_safe(op))
    }
}
