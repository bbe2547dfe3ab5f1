//! What survives a restart (protocol.md, appendix B): the fold of the records.
//!
//! `apply` is the only way to change it and looks at nothing but the record and the state itself: no connection, no
//! clock, no configuration. So a store that has every record has the state, and several servers that apply the same
//! records in the same order will have the same state. An empty user, channel or tenant occupies nothing (Q82).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::memory::{Account, Category, Usage, cost, room, shrink, text};
use crate::id::{DevId, Seq, UserId};
use crate::name::{AuthHash, Body, ChannelKind, ChannelName, Token};
use crate::record::{HistoryLength, HistoryMessage, QueuedMessage, Record};
use crate::time::UnixSeconds;

/// All durable state of all tenants.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Durable {
    tenants: BTreeMap<DevId, DurableTenant>,
    /// What all of it takes.
    memory: Account,
}

/// The durable state of one tenant.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DurableTenant {
    /// Users with a key, data, a last-online time or a queue. Boxed: the nodes of a tree are half empty.
    pub users: BTreeMap<UserId, Box<DurableUser>>,
    /// Channels with a setting or a history.
    pub channels: BTreeMap<ChannelName, DurableChannel>,
    /// Revoked tokens and when they were revoked.
    pub revoked: BTreeMap<Token, UnixSeconds>,
    /// What all of it takes.
    pub(crate) memory: Account,
}

/// What is known of a user.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DurableUser {
    /// `users_auth`.
    pub hash: Option<AuthHash>,
    /// `users_data`.
    pub data: Option<Body>,
    /// `users_time`.
    pub last_seen: Option<LastSeen>,
    /// `users_messages`: unpaid private messages, `seq` ascending.
    pub queue: VecDeque<QueuedMessage>,
}

/// A value of `users_time`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum LastSeen {
    /// At least one device is registered.
    Online,
    /// The last device went away then.
    Offline(UnixSeconds),
}

/// What is known of a channel.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct DurableChannel {
    /// `pipes_settings`, if there is a row.
    pub setting: Option<HistoryLength>,
    /// `pipe_messages`, `seq` ascending.
    pub history: VecDeque<HistoryMessage>,
}

/// The texts of messages that left and that came, bytes.
#[derive(Default)]
struct Exchange {
    left: u64,
    came: u64,
}

/// An account and those it is a part of.
struct Accounts<'a>([&'a mut Account; 2]);

impl Accounts<'_> {
    fn change(&mut self, category: Category, before: Usage, after: Usage) {
        for account in &mut self.0 {
            account.change(category, before, after);
        }
    }
}

impl QueuedMessage {
    fn texts(&self) -> u64 {
        text(self.event.as_str().len()) + text(self.body.as_str().len())
    }
}

impl HistoryMessage {
    fn texts(&self) -> u64 {
        text(self.event.as_str().len()) + text(self.body.as_str().len())
    }
}

impl DurableUser {
    /// What he takes without his queue.
    fn usage(&self) -> Usage {
        if self.is_empty() {
            return Usage::NONE;
        }
        let data = self.data.as_ref().map_or(0, |data| text(data.as_str().len()));
        Usage::new(1, cost::USER + data)
    }

    /// What his queue takes without the texts.
    fn queue_usage(&self) -> Usage {
        Usage::new(self.queue.len(), room(self.queue.len(), cost::QUEUED))
    }

    fn is_empty(&self) -> bool {
        self.hash.is_none() && self.data.is_none() && self.last_seen.is_none() && self.queue.is_empty()
    }

    fn push(&mut self, message: QueuedMessage) -> Exchange {
        assert!(
            self.queue.back().is_none_or(|last| last.seq < message.seq),
            "queue out of order"
        );
        let came = message.texts();
        self.queue.push_back(message);
        Exchange { left: 0, came }
    }

    /// Removes messages from the queue: usually its first ones, then in constant time each.
    fn remove_queued(&mut self, seqs: &[Seq]) -> Exchange {
        assert!(seqs.is_sorted(), "removals out of order");
        let mut texts = 0;
        let mut left = seqs;
        while let (Some(front), Some((first, rest))) = (self.queue.front(), left.split_first()) {
            if front.seq < *first {
                break;
            }
            if front.seq == *first {
                texts += front.texts();
                self.queue.pop_front();
            }
            left = rest;
        }
        if !left.is_empty() {
            self.queue.retain(|message| {
                let stays = left.binary_search(&message.seq).is_err();
                texts += if stays { 0 } else { message.texts() };
                stays
            });
        }
        shrink(&mut self.queue);
        Exchange { left: texts, came: 0 }
    }

    /// The queued message with this position.
    pub fn queued(&self, seq: Seq) -> Option<&QueuedMessage> {
        let at = self.queue.binary_search_by_key(&seq, |m| m.seq).ok()?;
        self.queue.get(at)
    }
}

impl DurableChannel {
    /// What it takes without the texts of its messages.
    fn usage(&self, name: &ChannelName) -> Usage {
        if self.is_empty() {
            return Usage::NONE;
        }
        let slots = room(self.history.len(), cost::HISTORY);
        let bytes = cost::STORED_CHANNEL + text(name.as_str().len()) + slots;
        Usage::new(1 + self.history.len(), bytes)
    }

    fn is_empty(&self) -> bool {
        self.setting.is_none() && self.history.is_empty()
    }

    /// The oldest message behind `after`, up to `upto`.
    pub fn next_after(&self, after: Seq, upto: Seq) -> Option<&HistoryMessage> {
        let at = self.history.partition_point(|message| message.seq <= after);
        self.history.get(at).filter(|message| message.seq <= upto)
    }

    /// How many messages are kept: `trust_*` channels always keep the maximum (Q67).
    pub fn kept(&self, name: &ChannelName) -> usize {
        effective_length(name, self.setting)
    }

    fn append(&mut self, message: HistoryMessage, keep_from: Seq) -> Exchange {
        assert!(
            self.history.back().is_none_or(|last| last.seq < message.seq),
            "history out of order"
        );
        let came = message.texts();
        self.history.push_back(message);
        let Exchange { left, .. } = self.trim_before(keep_from);
        Exchange { left, came }
    }

    fn trim_before(&mut self, keep_from: Seq) -> Exchange {
        let mut left = 0;
        while let Some(message) = self.history.pop_front_if(|message| message.seq < keep_from) {
            left += message.texts();
        }
        shrink(&mut self.history);
        Exchange { left, came: 0 }
    }

    fn remove(&mut self, seqs: &[Seq]) -> Exchange {
        let mut left = 0;
        self.history.retain(|message| {
            let stays = !seqs.contains(&message.seq);
            left += if stays { 0 } else { message.texts() };
            stays
        });
        shrink(&mut self.history);
        Exchange { left, came: 0 }
    }
}

/// How many messages a channel with this name and setting keeps.
pub(crate) fn effective_length(name: &ChannelName, setting: Option<HistoryLength>) -> usize {
    match name.kind() {
        ChannelKind::Trust => HistoryLength::MAX.get().into(),
        ChannelKind::Plain
        | ChannelKind::Web
        | ChannelKind::WebAuth
        | ChannelKind::Track
        | ChannelKind::Private
        | ChannelKind::Msg
        | ChannelKind::Answer => setting.unwrap_or(HistoryLength::OFF).get().into(),
    }
}

impl Durable {
    /// A tenant, if anything is stored for it.
    pub fn tenant(&self, dev: DevId) -> Option<&DurableTenant> {
        self.tenants.get(&dev)
    }

    /// All tenants with stored state.
    pub fn tenants(&self) -> impl Iterator<Item = (DevId, &DurableTenant)> {
        self.tenants.iter().map(|(&dev, tenant)| (dev, tenant))
    }

    /// A user, if anything is stored for him.
    pub fn user(&self, dev: DevId, user: UserId) -> Option<&DurableUser> {
        self.tenants.get(&dev)?.users.get(&user).map(|stored| &**stored)
    }

    /// A channel, if anything is stored for it.
    pub fn channel(&self, dev: DevId, name: &ChannelName) -> Option<&DurableChannel> {
        self.tenants.get(&dev)?.channels.get(name)
    }

    /// The largest position in any queue or history; new ones come after it.
    pub fn max_seq(&self) -> Seq {
        let queues = self
            .tenants
            .values()
            .flat_map(|t| t.users.values())
            .filter_map(|u| u.queue.back());
        let histories = self
            .tenants
            .values()
            .flat_map(|t| t.channels.values())
            .filter_map(|c| c.history.back());
        queues
            .map(|m| m.seq)
            .chain(histories.map(|m| m.seq))
            .max()
            .unwrap_or(Seq::START)
    }

    /// True if a user is recorded as online.
    pub fn anybody_online(&self) -> bool {
        let mut users = self.tenants.values().flat_map(|t| t.users.values());
        users.any(|u| u.last_seen == Some(LastSeen::Online))
    }

    /// What all tenants take.
    pub fn memory(&self) -> &Account {
        &self.memory
    }

    /// The only way to change durable state. Depends on nothing but the record and the state.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::KeySet { dev, user, hash } => self.set(*dev, *user, |u| u.hash = Some(hash.clone())),
            Record::KeyDeleted { dev, user } => self.set(*dev, *user, |u| u.hash = None),
            Record::DataSet { dev, user, data } => self.set(*dev, *user, |u| u.data = Some(data.clone())),
            Record::DataDeleted { dev, user } => self.set(*dev, *user, |u| u.data = None),
            Record::UserOnline { dev, user } => {
                self.set(*dev, *user, |u| u.last_seen = Some(LastSeen::Online));
            }
            Record::UserOffline { dev, user, time } => {
                self.set(*dev, *user, |u| u.last_seen = Some(LastSeen::Offline(*time)));
            }
            Record::EverybodyOffline { time } => self.everybody_offline(*time),
            Record::MessageQueued { dev, user, message } => {
                self.edit(*dev, *user, |u| u.push(message.clone()))
            }
            Record::MessagesRemoved {
                dev,
                user,
                seqs,
                why: _,
            } => self.edit(*dev, *user, |u| u.remove_queued(seqs)),
            Record::HistoryLengthSet {
                dev,
                channel,
                length,
                keep_from,
            } => self.edit_channel(*dev, channel, |c| {
                c.setting = Some(*length);
                c.trim_before(*keep_from)
            }),
            Record::HistorySettingDeleted { dev, channel } => self.edit_channel(*dev, channel, |c| {
                c.setting = None;
                c.trim_before(Seq::END)
            }),
            Record::HistoryAppended {
                dev,
                channel,
                message,
                keep_from,
            } => self.edit_channel(*dev, channel, |c| c.append(message.clone(), *keep_from)),
            Record::HistoryRemoved { dev, channel, seqs } => {
                self.edit_channel(*dev, channel, |c| c.remove(seqs));
            }
            Record::TokenRevoked { dev, token, time } => self.revoke(*dev, token, *time),
            Record::TokenRestored { dev, token } => self.restore(*dev, token),
        }
    }

    /// Changes a user without his queue.
    fn set(&mut self, dev: DevId, user: UserId, change: impl FnOnce(&mut DurableUser)) {
        self.edit(dev, user, |entry| {
            change(entry);
            Exchange::default()
        });
    }

    fn edit(&mut self, dev: DevId, user: UserId, change: impl FnOnce(&mut DurableUser) -> Exchange) {
        let DurableTenant { users, memory, .. } = self.tenants.entry(dev).or_default();
        let mut accounts = Accounts([memory, &mut self.memory]);
        let entry = users.entry(user).or_default();
        let (before, queue_before) = (entry.usage(), entry.queue_usage());
        let Exchange { left, came } = change(entry);
        accounts.change(Category::Users, before, entry.usage());
        let (left, came) = (Usage::new(0, left), Usage::new(0, came));
        accounts.change(Category::Queues, queue_before + left, entry.queue_usage() + came);
        if entry.is_empty() {
            users.remove(&user);
            self.forget_empty(dev);
        }
    }

    fn edit_channel(
        &mut self,
        dev: DevId,
        name: &ChannelName,
        change: impl FnOnce(&mut DurableChannel) -> Exchange,
    ) {
        let DurableTenant { channels, memory, .. } = self.tenants.entry(dev).or_default();
        let mut accounts = Accounts([memory, &mut self.memory]);
        if !channels.contains_key(name) {
            channels.insert(name.clone(), DurableChannel::default());
        }
        if let Some(channel) = channels.get_mut(name) {
            let before = channel.usage(name);
            let Exchange { left, came } = change(channel);
            let (left, came) = (Usage::new(0, left), Usage::new(0, came));
            accounts.change(Category::Histories, before + left, channel.usage(name) + came);
            if channel.is_empty() {
                channels.remove(name);
                self.forget_empty(dev);
            }
        }
    }

    fn revoke(&mut self, dev: DevId, token: &Token, time: UnixSeconds) {
        let DurableTenant { revoked, memory, .. } = self.tenants.entry(dev).or_default();
        if revoked.insert(token.clone(), time).is_none() {
            Accounts([memory, &mut self.memory]).change(Category::Tokens, Usage::NONE, token_usage(token));
        }
    }

    fn restore(&mut self, dev: DevId, token: &Token) {
        let Some(DurableTenant { revoked, memory, .. }) = self.tenants.get_mut(&dev) else {
            return;
        };
        if revoked.remove(token).is_some() {
            Accounts([memory, &mut self.memory]).change(Category::Tokens, token_usage(token), Usage::NONE);
        }
        self.forget_empty(dev);
    }

    fn everybody_offline(&mut self, time: UnixSeconds) {
        for user in self.tenants.values_mut().flat_map(|t| t.users.values_mut()) {
            if user.last_seen == Some(LastSeen::Online) {
                user.last_seen = Some(LastSeen::Offline(time));
            }
        }
    }

    fn forget_empty(&mut self, dev: DevId) {
        let empty = |t: &DurableTenant| t.users.is_empty() && t.channels.is_empty() && t.revoked.is_empty();
        if self.tenants.get(&dev).is_some_and(empty) {
            self.tenants.remove(&dev);
        }
    }

    /// What everything takes, counted anew; O(n).
    fn counted(tenant: &DurableTenant) -> Account {
        let mut account = Account::default();
        for user in tenant.users.values() {
            let texts = user.queue.iter().map(QueuedMessage::texts).sum();
            account.take(Category::Users, user.usage());
            account.take(Category::Queues, user.queue_usage() + Usage::new(0, texts));
        }
        for (name, channel) in &tenant.channels {
            let texts = channel.history.iter().map(HistoryMessage::texts).sum();
            account.take(Category::Histories, channel.usage(name) + Usage::new(0, texts));
        }
        for token in tenant.revoked.keys() {
            account.take(Category::Tokens, token_usage(token));
        }
        account
    }

    /// Asserts that the running figures are those of a full count; O(n).
    fn check_memory(&self) {
        let mut sum = Account::default();
        for tenant in self.tenants.values() {
            assert_eq!(
                tenant.memory,
                Self::counted(tenant),
                "the memory of a tenant drifted"
            );
            sum = sum.plus(&tenant.memory);
        }
        assert_eq!(self.memory, sum, "the memory of stored things drifted");
    }

    /// Asserts the invariants; O(n).
    pub fn check(&self) {
        self.check_memory();
        for tenant in self.tenants.values() {
            for user in tenant.users.values() {
                assert!(!user.is_empty(), "an empty user occupies memory");
                assert!(
                    user.queue.iter().is_sorted_by(|a, b| a.seq < b.seq),
                    "queue out of order"
                );
            }
            for (name, channel) in &tenant.channels {
                assert!(!channel.is_empty(), "an empty channel occupies memory");
                assert!(
                    channel.history.iter().is_sorted_by(|a, b| a.seq < b.seq),
                    "history out of order"
                );
                assert!(
                    channel.history.len() <= channel.kept(name),
                    "history longer than its setting"
                );
            }
        }
    }
}

fn token_usage(token: &Token) -> Usage {
    Usage::new(1, cost::TOKEN + text(token.reveal().len()))
}
