//! Memory in bytes: who uses how much, counted as it is taken and given back.
//!
//! Promise: an [`Account`] is a function of the state alone, whatever led to it, so a full count gives the same figures
//! (`Core::check` compares); a change costs the same however much there is. An item counts what it takes from the heap
//! by a fixed formula: its structures with the share of the containers they are in, and its texts. The constants are
//! those of a 64-bit machine with glibc; a test holds them against the structures. docs/operations.md says how far the
//! sum is from what the operating system sees.

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What memory is used for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Category {
    /// Keys, data and last-online times.
    Users,
    /// Revoked tokens.
    Tokens,
    /// Private messages that are owed.
    Queues,
    /// Channels with a setting or a history.
    Histories,
    /// Browser connections and who is behind them.
    Connections,
    /// Channels with subscribers, and what each subscription takes.
    Subscriptions,
    /// What is on its way to pages and not acknowledged: private messages, claims, histories being read.
    Deliveries,
    /// Messages of pages that may be sent again.
    Sends,
    /// CometQL sessions.
    Sessions,
    /// Answers that wait for the disk.
    Waiting,
    /// Who took turns and who gave keys lately, and how many connections each address has; bounded, for all tenants together.
    Limits,
    /// What EXPLAIN DELIVERY remembers; it forgets by itself.
    Journal,
}

/// Number of categories.
const CATEGORIES: usize = Category::ALL.len();

impl Category {
    /// Every category, in the order of SHOW MEMORY.
    pub const ALL: [Self; 12] = [
        Self::Users,
        Self::Tokens,
        Self::Queues,
        Self::Histories,
        Self::Connections,
        Self::Subscriptions,
        Self::Deliveries,
        Self::Sends,
        Self::Sessions,
        Self::Waiting,
        Self::Limits,
        Self::Journal,
    ];

    /// Its name in SHOW MEMORY and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Tokens => "tokens",
            Self::Queues => "queues",
            Self::Histories => "histories",
            Self::Connections => "connections",
            Self::Subscriptions => "subscriptions",
            Self::Deliveries => "deliveries",
            Self::Sends => "sends",
            Self::Sessions => "sessions",
            Self::Waiting => "waiting",
            Self::Limits => "limits",
            Self::Journal => "journal",
        }
    }

    /// It survives a restart.
    pub const fn is_stored(self) -> bool {
        match self {
            Self::Users | Self::Tokens | Self::Queues | Self::Histories => true,
            Self::Connections
            | Self::Subscriptions
            | Self::Deliveries
            | Self::Sends
            | Self::Sessions
            | Self::Waiting
            | Self::Limits
            | Self::Journal => false,
        }
    }
}

/// How many things there are and what they take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Things.
    pub items: u64,
    /// What they take, bytes.
    pub bytes: u64,
}

impl Usage {
    /// Nothing.
    pub(crate) const NONE: Self = Self { items: 0, bytes: 0 };

    /// `items` things that take `bytes` together.
    pub(crate) const fn new(items: usize, bytes: u64) -> Self {
        Self {
            items: items as u64,
            bytes,
        }
    }
}

impl core::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            items: self.items + other.items,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What somebody uses, by category.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    used: [Usage; CATEGORIES],
}

impl Account {
    /// What is used for this.
    pub fn get(&self, category: Category) -> Usage {
        self.used[category as usize]
    }

    /// Bytes of all categories.
    pub fn bytes(&self) -> u64 {
        self.used.iter().map(|usage| usage.bytes).sum()
    }

    /// Bytes of what survives a restart.
    pub fn stored_bytes(&self) -> u64 {
        let stored = Category::ALL.into_iter().filter(|category| category.is_stored());
        stored.map(|category| self.get(category).bytes).sum()
    }

    /// What took `before` takes `after` now.
    pub(crate) fn change(&mut self, category: Category, before: Usage, after: Usage) {
        let usage = &mut self.used[category as usize];
        let grown = *usage + after;
        let left = (
            grown.items.checked_sub(before.items),
            grown.bytes.checked_sub(before.bytes),
        );
        let (Some(items), Some(bytes)) = left else {
            panic!("more memory was given back than taken");
        };
        *usage = Usage { items, bytes };
    }

    pub(crate) fn take(&mut self, category: Category, usage: Usage) {
        self.change(category, Usage::NONE, usage);
    }

    /// What both use together.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for category in Category::ALL {
            sum.take(category, other.get(category));
        }
        sum
    }
}

/// What a block of `bytes` takes from the heap: a header of 8 bytes, rounded up to 16, at least 32.
pub(crate) const fn block(bytes: usize) -> u64 {
    let rounded = (bytes as u64 + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}

/// A text that is shared: two counters before it.
pub(crate) const fn text(bytes: usize) -> u64 {
    block(16 + bytes)
}

/// A growing array or ring of `len` slots: its room doubles, from four on.
pub(crate) const fn room(len: usize, slot: u64) -> u64 {
    if len == 0 {
        return 0;
    }
    let slots = if len < 4 {
        4
    } else {
        len.next_power_of_two() as u64
    };
    block((slots * slot) as usize)
}

/// Gives room back that a ring does not need any more.
pub(crate) fn shrink<T>(ring: &mut VecDeque<T>) {
    if ring.len() < ring.capacity() / 4 {
        ring.shrink_to(ring.len() * 2);
    }
}

/// What things take besides their texts, bytes: structures, and twice the room of an entry in a tree, whose nodes are
/// half empty.
pub(crate) mod cost {
    /// A stored user.
    pub(crate) const USER: u64 = 144;
    /// A revoked token.
    pub(crate) const TOKEN: u64 = 56;
    /// A slot of a queue.
    pub(crate) const QUEUED: u64 = 64;
    /// A channel that is stored.
    pub(crate) const STORED_CHANNEL: u64 = 112;
    /// A slot of a history.
    pub(crate) const HISTORY: u64 = 80;
    /// A browser connection.
    pub(crate) const CONNECTION: u64 = 184;
    /// What many browsers say of themselves in the same words.
    pub(crate) const HEADERS: u64 = 96;
    /// A user who is connected or owed something.
    pub(crate) const LIVE_USER: u64 = 64;
    /// A user with several connections.
    pub(crate) const SEVERAL: u64 = 64;
    /// One of several connections of a user.
    pub(crate) const ONE_OF_SEVERAL: u64 = 24;
    /// A channel that somebody is subscribed to.
    pub(crate) const CHANNEL: u64 = 72;
    /// A channel with several subscribers.
    pub(crate) const SHARED_CHANNEL: u64 = 240;
    /// A subscription: its place in the connection, and twice in the lists of the channel.
    pub(crate) const SUBSCRIPTION: u64 = 32;
    /// What is on its way to a connection.
    pub(crate) const PENDING: u64 = 208;
    /// A private message that a connection is owed: the connection's side and the user's.
    pub(crate) const OWED: u64 = 112;
    /// A history a page is reading.
    pub(crate) const READING: u64 = 96;
    /// A deadline.
    pub(crate) const TIMER: u64 = 72;
    /// What a user is owed, beside the messages.
    pub(crate) const DEBTS: u64 = 112;
    /// A message that somebody was sent.
    pub(crate) const DEBT: u64 = 176;
    /// A browser that has acknowledged a message others have not.
    pub(crate) const WITNESS: u64 = 64;
    /// A device that has vanished.
    pub(crate) const GONE: u64 = 80;
    /// A message it may claim.
    pub(crate) const CLAIM: u64 = 96;
    /// A message that may be sent again.
    pub(crate) const SEND: u64 = 240;
    /// A CometQL session.
    pub(crate) const SESSION: u64 = 128;
    /// An answer that waits for the disk.
    pub(crate) const WAITING: u64 = 160;
    /// Somebody who took a turn, or gave a wrong key.
    pub(crate) const TURNS: u64 = 144;
    /// Somebody who gave a right one.
    pub(crate) const FRIEND: u64 = 128;
    /// An address with connections.
    pub(crate) const ADDRESS: u64 = 48;
    /// A tenant.
    pub(crate) const TENANT: u64 = 512;
    /// A user whose coming and going is written when the disk works again.
    pub(crate) const UNSAVED: u64 = 16;
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;

    use super::super::durable::{DurableChannel, DurableUser};
    use super::super::{Conn, LiveTenant, LiveUser, Published, Subscribers, Timer};
    use super::*;
    use crate::id::{ConnId, DevId, MessageId, UserId};
    use crate::name::{ChannelName, Token};
    use crate::record::{HistoryMessage, QueuedMessage};
    use crate::time::{Mono, UnixSeconds};

    /// An entry of a tree whose nodes are half empty.
    const fn entry<K, V>() -> u64 {
        2 * (size_of::<K>() + size_of::<V>()) as u64
    }

    /// A ring that was long once gives its room back, and one that is in use keeps it.
    #[test]
    fn rings_give_back_what_they_do_not_need() {
        let mut ring: VecDeque<u64> = (0..1000).collect();
        ring.truncate(500);
        let full = ring.capacity();
        shrink(&mut ring);
        assert_eq!(ring.capacity(), full);
        ring.truncate(10);
        shrink(&mut ring);
        assert!((10..=40).contains(&ring.capacity()), "{}", ring.capacity());
    }

    /// The constants stay as they are while structures change a little; a transcript of SHOW MEMORY is the same then.
    #[test]
    fn the_constants_are_about_what_the_structures_take() {
        let user = entry::<UserId, Box<DurableUser>>() + block(size_of::<DurableUser>());
        let conn = entry::<ConnId, Box<Conn>>() + block(size_of::<Conn>());
        let send = entry::<MessageId, (Mono, Published)>() + size_of::<(Mono, MessageId, DevId)>() as u64;
        let all = [
            ("user", cost::USER, user),
            ("token", cost::TOKEN, entry::<Token, UnixSeconds>()),
            ("queued", cost::QUEUED, size_of::<QueuedMessage>() as u64),
            (
                "stored channel",
                cost::STORED_CHANNEL,
                entry::<ChannelName, DurableChannel>(),
            ),
            ("history", cost::HISTORY, size_of::<HistoryMessage>() as u64),
            ("connection", cost::CONNECTION, conn),
            ("live user", cost::LIVE_USER, entry::<UserId, LiveUser>()),
            ("channel", cost::CHANNEL, entry::<ChannelName, Subscribers>()),
            ("timer", cost::TIMER, entry::<(Mono, Timer), ()>()),
            ("send", cost::SEND, send),
            ("tenant", cost::TENANT, entry::<DevId, LiveTenant>()),
        ];
        for (name, told, real) in all {
            assert!(
                told * 5 >= real * 4 && told <= real + real / 2,
                "{name}: {told}, but {real}"
            );
        }
    }
}
