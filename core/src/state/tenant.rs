//! The part of a tenant that a restart forgets: devices, subscriptions, counters.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Connections, Debts, Subscribers};
use crate::id::{ConnId, DevId, UserId};
use crate::name::ChannelName;
use crate::time::Mono;
use crate::wire::Dialect;

/// All tenants that have connections, sessions or counters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tenants(BTreeMap<DevId, LiveTenant>);

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

    /// Who is owed nothing keeps no room for it. True if nothing is left of the user.
    fn tidy(&mut self) -> bool {
        let owed = self.owed();
        if owed.debts.is_empty() && owed.ttl_deadline.is_none() {
            self.owed = None;
        }
        self.owed.is_none() && self.connections.is_empty()
    }
}

impl Tenants {
    pub(crate) fn get(&self, dev: DevId) -> Option<&LiveTenant> {
        self.0.get(&dev)
    }

    /// The tenant, made if necessary. Counters outlive connections, so a tenant that was used once stays; there are
    /// at most `dev_index_size`.
    pub(crate) fn entry(&mut self, dev: DevId) -> &mut LiveTenant {
        self.0.entry(dev).or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (DevId, &LiveTenant)> {
        self.0.iter().map(|(&dev, tenant)| (dev, tenant))
    }

    pub(crate) fn user(&self, dev: DevId, user: UserId) -> Option<&LiveUser> {
        self.0.get(&dev)?.users.get(&user)
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
        let result = change(entry);
        if entry.tidy() {
            users.remove(&user);
        }
        result
    }

    pub(crate) fn channel(&self, dev: DevId, name: &ChannelName) -> Option<&Subscribers> {
        self.0.get(&dev)?.channels.get(name)
    }

    /// The one shared name of a channel with subscribers.
    pub(crate) fn channel_name(&self, dev: DevId, name: &ChannelName) -> Option<&ChannelName> {
        let (shared, _) = self.0.get(&dev)?.channels.get_key_value(name)?;
        Some(shared)
    }

    pub(crate) fn channel_mut(&mut self, dev: DevId, name: &ChannelName) -> Option<&mut Subscribers> {
        self.0.get_mut(&dev)?.channels.get_mut(name)
    }
}

impl LiveTenant {
    /// Adds a subscriber; recipient lists are cut into pieces of at most `piece_max`. Returns the channel's one shared name, so that a million subscribers keep one text.
    pub(crate) fn subscribe(
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

    /// Removes a subscriber; a channel without subscribers occupies nothing (Q82).
    pub(crate) fn unsubscribe(
        &mut self,
        name: &ChannelName,
        conn: ConnId,
        dialect: Dialect,
        piece_max: usize,
    ) {
        self.subscriptions -= 1;
        let subscribers = self.channels.get_mut(name);
        if subscribers.is_some_and(|subscribers| !subscribers.remove(conn, dialect, piece_max)) {
            self.channels.remove(name);
        }
    }
}
