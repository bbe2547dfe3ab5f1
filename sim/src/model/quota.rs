//! How much a tenant may have (protocol.md 8.6), counted anew each time: what there is, and what there would be.

use super::facts::{Facts, Kept, Queued, set};
use super::{Claim, Conn, Model};
use crate::backend::Ask;
use crate::profile::Knob;

/// What a tenant has stored.
#[derive(Default, Debug)]
struct Stock {
    users: u64,
    channels: u64,
    messages: u64,
    bytes: u64,
}

impl Stock {
    fn of(facts: &Facts, dev: u32) -> Self {
        let queue = || facts.queue.iter().filter(|queued| queued.dev == dev);
        let history = || facts.history.iter().filter(|kept| kept.dev == dev);
        let keys = facts.keys.iter().filter(|row| row.0 == dev).map(|row| row.1);
        let data = || facts.data.iter().filter(|row| row.0 == dev);
        let times = facts.times.iter().filter(|row| row.0 == dev).map(|row| row.1);
        let users = keys.chain(data().map(|row| row.1)).chain(times);
        let lengths = facts.lengths.iter().filter(|row| row.0 == dev).map(|row| &row.1);
        let tokens = facts.revoked.iter().filter(|row| row.0 == dev);
        let bytes = queue().map(|queued| queued.body.len()).sum::<usize>()
            + history().map(|kept| kept.body.len()).sum::<usize>()
            + data().map(|row| row.2.len()).sum::<usize>()
            + tokens.map(|row| row.1.len()).sum::<usize>();
        Self {
            users: different(users.chain(queue().map(|queued| queued.user))),
            channels: different(lengths.chain(history().map(|kept| &kept.channel))),
            messages: (queue().count() + history().count()) as u64,
            bytes: bytes as u64,
        }
    }
}

fn different<T: Ord>(all: impl Iterator<Item = T>) -> u64 {
    let mut all: Vec<T> = all.collect();
    all.sort();
    all.dedup();
    all.len() as u64
}

/// More than before, and more than there may be.
const fn exceeds(max: u64, before: u64, after: u64) -> bool {
    max > 0 && after > before && after > max
}

impl Model {
    /// What the store holds now.
    fn present(&self) -> Facts {
        Facts {
            queue: self.written.queue.clone(),
            ..self.told.clone()
        }
    }

    fn limits_store(&self) -> bool {
        let knobs = [
            Knob::QuotaUsers,
            Knob::QuotaChannels,
            Knob::QuotaMessages,
            Knob::QuotaBytes,
        ];
        knobs.iter().any(|knob| self.profile.get(*knob) > 0)
    }

    /// True if a statement would store more than its tenant may have.
    pub(super) fn is_over_quota(&self, dev: u32, ask: &Ask) -> bool {
        if !self.limits_store() {
            return false;
        }
        let before = self.present();
        let after = self.with(before.clone(), dev, ask);
        let (before, after) = (Stock::of(&before, dev), Stock::of(&after, dev));
        let max = |knob| self.profile.get(knob);
        if let Ask::Revoke { token } = ask {
            // For a revocation only others count.
            let own = self.told.revoked.iter().filter(|row| row.0 == dev);
            let is_new = own.clone().all(|row| row.1 != *token);
            let revoked: u64 = own.map(|row| row.1.len() as u64).sum();
            let after = revoked + if is_new { token.len() as u64 } else { 0 };
            return exceeds(max(Knob::QuotaBytes), revoked, after);
        }
        exceeds(max(Knob::QuotaUsers), before.users, after.users)
            || exceeds(max(Knob::QuotaChannels), before.channels, after.channels)
            || exceeds(max(Knob::QuotaMessages), before.messages, after.messages)
            || exceeds(max(Knob::QuotaBytes), before.bytes, after.bytes)
    }

    /// What there would be after an INSERT.
    fn with(&self, mut facts: Facts, dev: u32, ask: &Ask) -> Facts {
        match ask {
            Ask::Private(rows) => facts.queue.extend(rows.iter().map(|row| Queued {
                seq: 0,
                dev,
                user: row.user,
                event: row.event.clone(),
                body: row.body.clone(),
                time: 0,
            })),
            Ask::Publish(rows) => {
                for row in rows {
                    keep(&mut facts, dev, &row.channel, &row.body);
                }
            }
            Ask::SetKey { user, hash } => set(&mut facts.keys, dev, *user, hash.clone()),
            Ask::SetData { user, data } => set(&mut facts.data, dev, *user, data.clone()),
            Ask::SetLength { channel, length } => {
                set(&mut facts.lengths, dev, channel.clone(), *length);
            }
            Ask::Revoke { .. }
            | Ask::DelKey { .. }
            | Ask::DelData { .. }
            | Ask::DelLength { .. }
            | Ask::DelHistory { .. }
            | Ask::DelQueue { .. }
            | Ask::Restore { .. }
            | Ask::Look(_)
            | Ask::Console(_)
            | Ask::Use { .. }
            | Ask::DelMessage { .. }
            | Ask::Delivery { .. }
            | Ask::DeliveryOf { .. }
            | Ask::Begin
            | Ask::End
            | Ask::Wrong { .. } => {}
        }
        facts
    }

    /// True if the history of a channel may not take a message of a page.
    pub(super) fn is_history_over_quota(&self, dev: u32, channel: &str, body: &str) -> bool {
        if !self.limits_store() {
            return false;
        }
        let before = self.present();
        let mut after = before.clone();
        keep(&mut after, dev, channel, body);
        let (before, after) = (Stock::of(&before, dev), Stock::of(&after, dev));
        let max = |knob| self.profile.get(knob);
        exceeds(max(Knob::QuotaChannels), before.channels, after.channels)
            || exceeds(max(Knob::QuotaMessages), before.messages, after.messages)
            || exceeds(max(Knob::QuotaBytes), before.bytes, after.bytes)
    }

    /// True if the tenant has as many connections as it may have.
    pub(super) fn is_over_connections(&self, dev: u32) -> bool {
        let max = self.profile.get(Knob::QuotaConnections);
        max > 0 && self.living().filter(|conn| conn.dev == dev).count() as u64 >= max
    }

    /// True if the user of an authorized page would be one too many online, or one too many to be stored.
    pub(super) fn is_over_users(&self, claim: &Claim) -> bool {
        let (dev, user) = (claim.dev, claim.user);
        let devices = |conn: &&Conn| conn.device && conn.dev == dev;
        let mut online: Vec<u32> = self.living().filter(devices).map(|conn| conn.user).collect();
        online.sort_unstable();
        online.dedup();
        let comes = !online.contains(&user);
        let online = online.len() as u64;
        let (most_online, most) = (
            self.profile.get(Knob::QuotaOnline),
            self.profile.get(Knob::QuotaUsers),
        );
        if most_online > 0 && comes && online + 1 > most_online {
            return true;
        }
        if most == 0 {
            return false;
        }
        let before = self.present();
        let mut after = before.clone();
        set(&mut after.times, dev, user, 0);
        let (before, after) = (Stock::of(&before, dev), Stock::of(&after, dev));
        exceeds(most, before.users, after.users)
    }

    /// True if a tenant has as many sessions as it may have.
    pub(super) fn is_over_sessions(&self, dev: u32) -> bool {
        let max = self.profile.get(Knob::QuotaSessions);
        let open = self
            .sessions
            .iter()
            .filter(|known| known.is_admitted && known.dev == dev);
        max > 0 && open.count() as u64 >= max
    }
}

/// Puts a message into a history, if the channel has one.
fn keep(facts: &mut Facts, dev: u32, channel: &str, body: &str) {
    if facts.length(dev, channel) == 0 {
        return;
    }
    facts.history.push(Kept {
        seq: 0,
        dev,
        channel: channel.to_owned(),
        event: String::new(),
        body: body.to_owned(),
        sender: 0,
        time: 0,
        id: String::new(),
        op: None,
    });
    facts.trim(dev, channel);
}
