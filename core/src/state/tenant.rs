//! The part of a tenant that a restart forgets: devices, subscriptions, counters.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::{Account, Category, Usage, cost, text};
use super::{Connections, Debts, Subscribers};
use crate::id::{ConnId, DevId, OpId, UserId};
use crate::name::ChannelName;
use crate::time::Mono;
use crate::wire::Dialect;

/// All tenants that have connections, sessions or counters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tenants {
    tenants: BTreeMap<DevId, LiveTenant>,
    /// What all of them take.
    memory: Account,
}

/// The live part of one tenant.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LiveTenant {
    /// Users with connections or with messages in flight.
    pub(crate) users: BTreeMap<UserId, LiveUser>,
    /// Channels with subscribers.
    pub(crate) channels: BTreeMap<ChannelName, Subscribers>,
    /// Users with a device.
    pub(crate) users_online: u64,
    /// Subscriptions of all connections.
    pub(crate) subscriptions: u64,
    /// Open browser connections (protocol.md 8.5).
    pub(crate) connections: u64,
    /// Open CometQL sessions.
    pub(crate) sessions: u64,
    /// Incoming commands and frames sent.
    pub(crate) messages: u64,
    /// The newest record by which one of its channels lost its history.
    pub(crate) history_ended: OpId,
    /// What it takes.
    pub(crate) memory: Account,
}

/// The live part of one user.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct LiveUser {
    /// His authorized connections.
    pub(crate) connections: Connections,
    /// What he is owed, if anything.
    owed: Option<Box<Owed>>,
}

/// What a user is owed, as far as a restart may forget it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Owed {
    /// What is in flight to his devices.
    pub(crate) debts: Debts,
    /// When the queue is looked at for expired messages; armed while there is a queue and a `queue_ttl`.
    pub(crate) ttl_deadline: Option<Mono>,
}

static NOTHING: Owed = Owed {
    debts: Debts::new(),
    ttl_deadline: None,
};

impl LiveUser {
    /// What he is owed.
    pub(crate) fn owed(&self) -> &Owed {
        self.owed.as_deref().unwrap_or(&NOTHING)
    }

    /// What he is owed, to be changed inside of `Tenants::edit_user`.
    pub(crate) fn owed_mut(&mut self) -> &mut Owed {
        self.owed.get_or_insert_default()
    }

    /// What he takes as somebody who is connected.
    fn usage(&self) -> Usage {
        if self.is_nothing() {
            return Usage::NONE;
        }
        Usage::new(0, cost::LIVE_USER + self.connections.bytes())
    }

    /// What it takes to know what he is owed.
    fn owed_usage(&self) -> Usage {
        let Some(owed) = &self.owed else {
            return Usage::NONE;
        };
        let timer = if owed.ttl_deadline.is_some() {
            cost::TIMER
        } else {
            0
        };
        Usage::new(0, cost::DEBTS + timer + owed.debts.bytes())
    }

    fn is_nothing(&self) -> bool {
        self.owed.is_none() && self.connections.is_empty()
    }

    /// Who is owed nothing keeps no room for it. True if nothing is left of the user.
    fn tidy(&mut self) -> bool {
        let owed = self.owed();
        if owed.debts.is_empty() && owed.ttl_deadline.is_none() {
            self.owed = None;
        }
        self.is_nothing()
    }
}

impl Tenants {
    pub(crate) fn get(&self, dev: DevId) -> Option<&LiveTenant> {
        self.tenants.get(&dev)
    }

    /// The tenant, made if necessary. Counters outlive connections, so a tenant that was used once stays; there are
    /// at most `dev_index_size`.
    pub(crate) fn entry(&mut self, dev: DevId) -> &mut LiveTenant {
        self.tenants.entry(dev).or_default()
    }

    /// What all of them take, their own structures included.
    pub(crate) fn memory(&self) -> Account {
        let mut sum = self.memory.clone();
        let own = cost::TENANT * self.tenants.len() as u64;
        sum.take(Category::Connections, Usage::new(0, own));
        sum
    }

    /// What took `before` takes `after` now.
    pub(crate) fn charge(&mut self, dev: DevId, category: Category, before: Usage, after: Usage) {
        self.memory.change(category, before, after);
        self.entry(dev).memory.change(category, before, after);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DevId, &LiveTenant)> {
        self.tenants.iter().map(|(&dev, tenant)| (dev, tenant))
    }

    pub(crate) fn user(&self, dev: DevId, user: UserId) -> Option<&LiveUser> {
        self.tenants.get(&dev)?.users.get(&user)
    }

    /// Changes a user and forgets him if nothing is left of him.
    pub(crate) fn edit_user<T>(
        &mut self,
        dev: DevId,
        user: UserId,
        change: impl FnOnce(&mut LiveUser) -> T,
    ) -> T {
        let users = &mut self.entry(dev).users;
        let entry = users.entry(user).or_default();
        let before = (entry.usage(), entry.owed_usage());
        let result = change(entry);
        let is_nothing = entry.tidy();
        let after = (entry.usage(), entry.owed_usage());
        if is_nothing {
            users.remove(&user);
        }
        self.charge(dev, Category::Connections, before.0, after.0);
        self.charge(dev, Category::Deliveries, before.1, after.1);
        result
    }

    pub(crate) fn channel(&self, dev: DevId, name: &ChannelName) -> Option<&Subscribers> {
        self.tenants.get(&dev)?.channels.get(name)
    }

    /// The one shared name of a channel with subscribers.
    pub(crate) fn channel_name(&self, dev: DevId, name: &ChannelName) -> Option<&ChannelName> {
        let (shared, _) = self.tenants.get(&dev)?.channels.get_key_value(name)?;
        Some(shared)
    }

    pub(crate) fn channel_mut(&mut self, dev: DevId, name: &ChannelName) -> Option<&mut Subscribers> {
        self.tenants.get_mut(&dev)?.channels.get_mut(name)
    }

    /// Adds a subscriber; recipient lists are cut into pieces of at most `piece_max`. Returns the channel's one shared
    /// name, so that a million subscribers keep one text.
    pub(crate) fn subscribe(
        &mut self,
        dev: DevId,
        name: &ChannelName,
        conn: ConnId,
        dialect: Dialect,
        piece_max: usize,
    ) -> ChannelName {
        let tenant = self.entry(dev);
        let before = tenant.channel_usage(name);
        let shared = tenant.subscribe(name, conn, dialect, piece_max);
        let after = tenant.channel_usage(name);
        self.charge(dev, Category::Subscriptions, before, after);
        shared
    }

    /// Removes a subscriber; a channel without subscribers occupies nothing (Q82).
    pub(crate) fn unsubscribe(
        &mut self,
        dev: DevId,
        name: &ChannelName,
        conn: ConnId,
        dialect: Dialect,
        piece_max: usize,
    ) {
        let tenant = self.entry(dev);
        let before = tenant.channel_usage(name);
        tenant.unsubscribe(name, conn, dialect, piece_max);
        let after = tenant.channel_usage(name);
        self.charge(dev, Category::Subscriptions, before, after);
    }

    /// Asserts that nothing but these tenants is counted.
    pub(crate) fn check_memory(&self) {
        let tenants = self.tenants.values();
        let sum = tenants.fold(Account::default(), |sum, tenant| sum.plus(&tenant.memory));
        assert_eq!(self.memory, sum, "the memory of living things drifted");
    }
}

impl LiveTenant {
    fn channel_usage(&self, name: &ChannelName) -> Usage {
        let subscribers = self.channels.get(name);
        subscribers.map_or(Usage::NONE, |subscribers| usage_of(name, subscribers))
    }

    /// What users and channels take, counted anew; O(n).
    pub(crate) fn counted(&self) -> Account {
        let mut account = Account::default();
        for user in self.users.values() {
            account.take(Category::Connections, user.usage());
            account.take(Category::Deliveries, user.owed_usage());
            user.owed().debts.check_memory();
        }
        for (name, subscribers) in &self.channels {
            account.take(Category::Subscriptions, usage_of(name, subscribers));
        }
        account
    }

    fn subscribe(
        &mut self,
        name: &ChannelName,
        conn: ConnId,
        dialect: Dialect,
        piece_max: usize,
    ) -> ChannelName {
        self.subscriptions += 1;
        if let Some((shared, _)) = self.channels.get_key_value(name) {
            let shared = shared.clone();
            if let Some(subscribers) = self.channels.get_mut(name) {
                subscribers.insert(conn, dialect, piece_max);
            }
            return shared;
        }
        self.channels
            .insert(name.clone(), Subscribers::new(conn, dialect));
        name.clone()
    }

    fn unsubscribe(&mut self, name: &ChannelName, conn: ConnId, dialect: Dialect, piece_max: usize) {
        self.subscriptions -= 1;
        let subscribers = self.channels.get_mut(name);
        if subscribers.is_some_and(|subscribers| !subscribers.remove(conn, dialect, piece_max)) {
            self.channels.remove(name);
        }
    }
}

fn usage_of(name: &ChannelName, subscribers: &Subscribers) -> Usage {
    let count = subscribers.len();
    let shared = if count > 1 { cost::SHARED_CHANNEL } else { 0 };
    let each = cost::SUBSCRIPTION * count as u64;
    Usage::new(count, cost::CHANNEL + text(name.as_str().len()) + shared + each)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of what a user is owed takes memory, its timer as well.
    #[test]
    fn what_is_owed_is_counted() {
        let mut user = LiveUser::default();
        assert_eq!(user.owed_usage(), Usage::NONE);
        user.owed_mut();
        assert_eq!(user.owed_usage(), Usage::new(0, cost::DEBTS));
        user.owed_mut().ttl_deadline = Some(Mono::default());
        assert_eq!(user.owed_usage(), Usage::new(0, cost::DEBTS + cost::TIMER));
        let uuid = crate::name::ClientUuid::default();
        let conn = ConnId(1);
        user.owed_mut().debts.owe(
            crate::id::Seq(1),
            crate::state::Party {
                conn,
                uuid: &uuid,
                sole: false,
            },
        );
        assert_eq!(
            user.owed_usage(),
            Usage::new(0, cost::DEBTS + cost::TIMER + cost::DEBT)
        );
    }
}
