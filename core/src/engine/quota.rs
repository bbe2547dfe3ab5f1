//! How much a tenant may have (protocol.md 8.6). Asked before anything is changed, so that a statement is accepted
//! as a whole or not at all, and what was accepted is never dropped to make room.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::Core;
use crate::cometql::Insert;
use crate::error::{ErrorCode, QueryError};
use crate::id::{DevId, UserId};
use crate::name::{Body, ChannelName, Token};
use crate::rules::fits;

const SESSIONS: QueryError = QueryError::new(ErrorCode::TooManySessions, "quota of this dev_id: sessions");

/// What a statement adds to the store; negative where it takes away.
#[derive(Default)]
struct Growth {
    users: u64,
    channels: u64,
    messages: i64,
    bytes: i64,
}

impl Core {
    /// Room for another connection.
    pub(super) fn has_room_for_connection(&self, dev: DevId) -> bool {
        let now = self.tenants.get(dev).map_or(0, |tenant| tenant.connections);
        fits(self.config.rules(dev).quota.connections, now, 1)
    }

    /// Room for a user who comes online, and for his time in `users_time`.
    pub(super) fn has_room_for_user(&self, dev: DevId, user: UserId) -> bool {
        let quota = &self.config.rules(dev).quota;
        if quota.users_online == 0 && quota.users == 0 {
            return true;
        }
        let is_online = self
            .tenants
            .user(dev, user)
            .is_some_and(|live| !live.connections.devices().is_empty());
        let online = self.tenants.get(dev).map_or(0, |tenant| tenant.users_online);
        let is_stored = self.durable.user(dev, user).is_some();
        let stored = self
            .durable
            .tenant(dev)
            .map_or(0, |tenant| tenant.users.len() as u64);
        (is_online || fits(quota.users_online, online, 1)) && (is_stored || fits(quota.users, stored, 1))
    }

    /// Channels this connection may add to what the others of its tenant have.
    pub(super) fn subscriptions_left(&self, dev: DevId) -> usize {
        let now = self.tenants.get(dev).map_or(0, |tenant| tenant.subscriptions);
        match self.config.rules(dev).quota.subscriptions {
            0 => usize::MAX,
            max => usize::try_from(max.saturating_sub(now)).unwrap_or(usize::MAX),
        }
    }

    /// Room for another session.
    pub(super) fn check_sessions(&self, dev: DevId) -> Result<(), QueryError> {
        let now = self.tenants.get(dev).map_or(0, |tenant| tenant.sessions);
        if fits(self.config.rules(dev).quota.sessions, now, 1) {
            return Ok(());
        }
        Err(SESSIONS)
    }

    /// Room for what a statement would store.
    pub(super) fn check_quota(&self, dev: DevId, insert: &Insert) -> Result<(), QueryError> {
        let quota = &self.config.rules(dev).quota;
        if (quota.users, quota.channels, quota.messages, quota.bytes) == (0, 0, 0, 0) {
            return Ok(());
        }
        let growth = self.growth(dev, insert);
        let is_revocation = matches!(insert, Insert::RevokedTokens(_));
        match self.check_growth(dev, &growth) {
            // Asked only now, for it looks at every revoked token.
            Err(_) if is_revocation && self.may_revoke_within(quota.bytes, dev, &growth) => Ok(()),
            checked => checked,
        }
    }

    /// Whoever has a stolen token may fill the quota with it, and must not keep it by that: for a revocation only other
    /// revocations count.
    fn may_revoke_within(&self, max: u64, dev: DevId, growth: &Growth) -> bool {
        let revoked = self.durable.tenant(dev).map(|tenant| tenant.revoked.keys());
        let bytes: usize = revoked
            .into_iter()
            .flatten()
            .map(|token| token.reveal().len())
            .sum();
        fits(max, bytes as u64, u64::try_from(growth.bytes).unwrap_or(0))
    }

    /// Room for a message in the history of a channel.
    pub(super) fn has_room_in_history(&self, dev: DevId, channel: &ChannelName, body: &Body) -> bool {
        let mut growth = Growth::default();
        self.add_history(&mut growth, dev, channel, &[body]);
        self.check_growth(dev, &growth).is_ok()
    }

    fn check_growth(&self, dev: DevId, growth: &Growth) -> Result<(), QueryError> {
        let quota = &self.config.rules(dev).quota;
        let tenant = self.durable.tenant(dev);
        let (users, channels) = tenant.map_or((0, 0), |tenant| {
            (tenant.users.len() as u64, tenant.channels.len() as u64)
        });
        let stored = tenant.map(|tenant| tenant.stored).unwrap_or_default();
        // Whatever does not grow is allowed, also above a quota that was lowered.
        let more = |growth: i64| u64::try_from(growth).unwrap_or(0);
        for (max, now, more, text) in [
            (
                quota.users,
                users,
                growth.users,
                "quota of this dev_id: stored users",
            ),
            (
                quota.channels,
                channels,
                growth.channels,
                "quota of this dev_id: channels",
            ),
            (
                quota.messages,
                stored.messages,
                more(growth.messages),
                "quota of this dev_id: stored messages",
            ),
            (
                quota.bytes,
                stored.bytes,
                more(growth.bytes),
                "quota of this dev_id: stored bytes",
            ),
        ] {
            if more > 0 && !fits(max, now, more) {
                return Err(QueryError::new(ErrorCode::QuotaExceeded, text));
            }
        }
        Ok(())
    }

    fn growth(&self, dev: DevId, insert: &Insert) -> Growth {
        let mut growth = Growth::default();
        let mut users = BTreeMap::new();
        match insert {
            Insert::UsersAuth(rows) => users.extend(rows.iter().map(|row| (row.user, 0))),
            Insert::UsersData(rows) => users.extend(rows.iter().map(|row| (row.user, size(&row.data)))),
            Insert::UsersMessages(rows) => {
                users.extend(rows.iter().map(|row| (row.user, 0)));
                growth.messages = i64::try_from(rows.len()).unwrap_or(i64::MAX);
                growth.bytes = rows.iter().map(|row| size(&row.body)).sum();
            }
            Insert::PipesMessages(rows) => {
                let mut by_channel: BTreeMap<&ChannelName, Vec<&Body>> = BTreeMap::new();
                for row in rows {
                    by_channel.entry(&row.channel).or_default().push(&row.body);
                }
                for (channel, bodies) in by_channel {
                    self.add_history(&mut growth, dev, channel, &bodies);
                }
            }
            Insert::PipesSettings(rows) => {
                let names: BTreeSet<_> = rows.iter().map(|row| &row.channel).collect();
                let new = names
                    .into_iter()
                    .filter(|name| self.durable.channel(dev, name).is_none());
                growth.channels = new.count() as u64;
            }
            Insert::RevokedTokens(tokens) => {
                let revoked = self.durable.tenant(dev).map(|tenant| &tenant.revoked);
                let is_new = |token: &&Token| !revoked.is_some_and(|known| known.contains_key(*token));
                let new: BTreeSet<&Token> = tokens.iter().filter(is_new).collect();
                let bytes = new.into_iter().map(|token| token.reveal().len()).sum::<usize>();
                growth.bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            }
            Insert::Conference => {}
        }
        for (user, new_data) in users {
            let stored = self.durable.user(dev, user);
            growth.users += u64::from(stored.is_none());
            if matches!(insert, Insert::UsersData(_)) {
                let old = stored.and_then(|stored| stored.data.as_ref());
                growth.bytes += new_data - old.map_or(0, size);
            }
        }
        growth
    }

    /// What messages add to a channel's history, and what they push out of it.
    fn add_history(&self, growth: &mut Growth, dev: DevId, channel: &ChannelName, bodies: &[&Body]) {
        let kept = self.history_length(dev, channel);
        if kept == 0 {
            return;
        }
        let stored = self.durable.channel(dev, channel);
        growth.channels += u64::from(stored.is_none());
        let old = stored.into_iter().flat_map(|stored| stored.history.iter());
        let old = old.map(|message| size(&message.body));
        let before = stored.map_or(0, |stored| stored.history.len());
        let pushed_out = (before + bodies.len()).saturating_sub(kept);
        let new = bodies.iter().map(|body| size(body));
        growth.messages += i64::try_from(bodies.len()).unwrap_or(i64::MAX);
        growth.messages -= i64::try_from(pushed_out).unwrap_or(i64::MAX);
        growth.bytes += new.clone().sum::<i64>() - old.chain(new).take(pushed_out).sum::<i64>();
    }
}

fn size(body: &Body) -> i64 {
    i64::try_from(body.as_str().len()).unwrap_or(i64::MAX)
}
