//! What survives a restart (protocol.md, appendix B): the fold of the records.
//!
//! `apply` is the only way to change it and looks at nothing but the record and the state itself: no connection, no
//! clock, no configuration. So a store that has every record has the state, and several servers that apply the same
//! records in the same order will have the same state. An empty user, channel or tenant occupies nothing (Q82).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::memory::{Account, Category, Usage, shrink};
use super::stored::{Accounts, Stored, Tally, token_usage};
use crate::id::{DevId, Seq, UserId};
use crate::name::{AuthHash, Body, ChannelKind, ChannelName, Token};
use crate::record::{HistoryLength, HistoryMessage, QueuedMessage, Record};
use crate::recording::redact::Redactor;
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
    /// How much of it there is.
    pub stored: Stored,
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

impl Durable {
    /// Replaces every text and secret, for a recording that must not show them. Never in a server that serves.
    pub(crate) fn replace_texts(&mut self, with: &Redactor) {
        for (&dev, tenant) in &mut self.tenants {
            for user in tenant.users.values_mut() {
                user.hash.iter_mut().for_each(|hash| with.hash(hash));
                user.data.iter_mut().for_each(|data| with.body(data));
                user.queue
                    .iter_mut()
                    .for_each(|message| with.body(&mut message.body));
            }
            for channel in tenant.channels.values_mut() {
                channel
                    .history
                    .iter_mut()
                    .for_each(|message| with.body(&mut message.body));
            }
            let revoked = core::mem::take(&mut tenant.revoked).into_iter();
            tenant.revoked = revoked
                .map(|(mut token, time)| {
                    with.token(dev, &mut token);
                    (token, time)
                })
                .collect();
        }
    }
}

impl DurableUser {
    pub(super) fn is_empty(&self) -> bool {
        self.hash.is_none() && self.data.is_none() && self.last_seen.is_none() && self.queue.is_empty()
    }

    fn push(&mut self, message: QueuedMessage, tally: &mut Tally<'_>) {
        tally.add(&message.event, &message.body);
        assert!(
            self.queue.back().is_none_or(|last| last.seq < message.seq),
            "queue out of order"
        );
        self.queue.push_back(message);
    }

    /// Removes messages from the queue: usually its first ones, then in constant time each.
    fn remove_queued(&mut self, seqs: &[Seq], tally: &mut Tally<'_>) {
        assert!(seqs.is_sorted(), "removals out of order");
        let mut left = seqs;
        while let (Some(front), Some((first, rest))) = (self.queue.front(), left.split_first()) {
            if front.seq < *first {
                break;
            }
            if front.seq == *first {
                tally.remove(&front.event, &front.body);
                self.queue.pop_front();
            }
            left = rest;
        }
        if !left.is_empty() {
            self.queue.retain(|message| {
                let stays = left.binary_search(&message.seq).is_err();
                if !stays {
                    tally.remove(&message.event, &message.body);
                }
                stays
            });
        }
        shrink(&mut self.queue);
    }

    fn set_data(&mut self, data: Option<Body>, tally: &mut Tally<'_>) {
        let size = |data: &Option<Body>| data.as_ref().map_or(0, |data| data.as_str().len() as u64);
        tally.stored.bytes += size(&data);
        tally.stored.bytes -= size(&self.data);
        self.data = data;
    }

    /// The queued message with this position.
    pub fn queued(&self, seq: Seq) -> Option<&QueuedMessage> {
        let at = self.queue.binary_search_by_key(&seq, |m| m.seq).ok()?;
        self.queue.get(at)
    }
}

impl DurableChannel {
    pub(super) fn is_empty(&self) -> bool {
        self.setting.is_none() && self.history.is_empty()
    }

    /// The oldest message behind `after`, up to `upto`.
    pub fn next_after(&self, after: Seq, upto: Seq) -> Option<&HistoryMessage> {
        let at = self.history.partition_point(|message| message.seq <= after);
        self.history.get(at).filter(|message| message.seq <= upto)
    }

    /// How many messages are behind this place.
    pub fn newer_than(&self, seq: Seq) -> usize {
        self.history.len() - self.history.partition_point(|message| message.seq <= seq)
    }

    /// How many messages are kept: `trust_*` channels always keep the maximum (Q67).
    pub fn kept(&self, name: &ChannelName) -> usize {
        effective_length(name, self.setting)
    }

    fn append(&mut self, message: HistoryMessage, keep_from: Seq, tally: &mut Tally<'_>) {
        tally.add(&message.event, &message.body);
        assert!(
            self.history.back().is_none_or(|last| last.seq < message.seq),
            "history out of order"
        );
        self.history.push_back(message);
        self.trim_before(keep_from, tally);
    }

    fn trim_before(&mut self, keep_from: Seq, tally: &mut Tally<'_>) {
        while let Some(oldest) = self.history.front().filter(|m| m.seq < keep_from) {
            tally.remove(&oldest.event, &oldest.body);
            self.history.pop_front();
        }
        shrink(&mut self.history);
    }

    fn remove(&mut self, which: impl Fn(Seq) -> bool, tally: &mut Tally<'_>) {
        self.history.retain(|message| {
            let goes = which(message.seq);
            if goes {
                tally.remove(&message.event, &message.body);
            }
            !goes
        });
        shrink(&mut self.history);
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

    /// What all tenants take.
    pub fn memory(&self) -> &Account {
        &self.memory
    }

    /// True if a user is recorded as online.
    pub fn anybody_online(&self) -> bool {
        let mut users = self.tenants.values().flat_map(|t| t.users.values());
        users.any(|u| u.last_seen == Some(LastSeen::Online))
    }

    /// The only way to change durable state. Depends on nothing but the record and the state.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::KeySet { dev, user, hash } => self.edit(*dev, *user, |u, _| u.hash = Some(hash.clone())),
            Record::KeyDeleted { dev, user } => self.edit(*dev, *user, |u, _| u.hash = None),
            Record::DataSet { dev, user, data } => {
                self.edit(*dev, *user, |u, tally| u.set_data(Some(data.clone()), tally))
            }
            Record::DataDeleted { dev, user } => self.edit(*dev, *user, |u, tally| u.set_data(None, tally)),
            Record::UserOnline { dev, user } => {
                self.edit(*dev, *user, |u, _| u.last_seen = Some(LastSeen::Online));
            }
            Record::UserOffline { dev, user, time } => {
                self.edit(*dev, *user, |u, _| u.last_seen = Some(LastSeen::Offline(*time)));
            }
            Record::EverybodyOffline { time } => self.everybody_offline(*time),
            Record::MessageQueued { dev, user, message } => {
                self.edit(*dev, *user, |u, tally| u.push(message.clone(), tally))
            }
            Record::MessagesRemoved {
                dev,
                user,
                seqs,
                why: _,
            } => self.edit(*dev, *user, |u, tally| u.remove_queued(seqs, tally)),
            Record::HistoryLengthSet {
                dev,
                channel,
                length,
                keep_from,
            } => self.edit_channel(*dev, channel, |c, tally| {
                c.setting = Some(*length);
                c.trim_before(*keep_from, tally);
            }),
            Record::HistorySettingDeleted { dev, channel } => self.edit_channel(*dev, channel, |c, tally| {
                c.setting = None;
                c.remove(|_| true, tally);
            }),
            Record::HistoryAppended {
                dev,
                channel,
                message,
                keep_from,
            } => self.edit_channel(*dev, channel, |c, tally| {
                c.append(message.clone(), *keep_from, tally)
            }),
            Record::HistoryRemoved { dev, channel, seqs } => self.edit_channel(*dev, channel, |c, tally| {
                c.remove(|seq| seqs.contains(&seq), tally);
            }),
            Record::TokenRevoked { dev, token, time } => self.revoke(*dev, token, *time),
            Record::TokenRestored { dev, token } => self.restore(*dev, token),
        }
    }

    fn revoke(&mut self, dev: DevId, token: &Token, time: UnixSeconds) {
        let tenant = self.tenants.entry(dev).or_default();
        if tenant.revoked.insert(token.clone(), time).is_none() {
            tenant.stored.bytes += token.reveal().len() as u64;
            let mut accounts = Accounts([&mut tenant.memory, &mut self.memory]);
            accounts.change(Category::Tokens, Usage::NONE, token_usage(token));
        }
    }

    fn restore(&mut self, dev: DevId, token: &Token) {
        if let Some(tenant) = self.tenants.get_mut(&dev)
            && tenant.revoked.remove(token).is_some()
        {
            tenant.stored.bytes -= token.reveal().len() as u64;
            let mut accounts = Accounts([&mut tenant.memory, &mut self.memory]);
            accounts.change(Category::Tokens, token_usage(token), Usage::NONE);
        }
        self.forget_empty(dev);
    }

    fn edit(&mut self, dev: DevId, user: UserId, change: impl FnOnce(&mut DurableUser, &mut Tally<'_>)) {
        let tenant = self.tenants.entry(dev).or_default();
        let users = &mut tenant.users;
        let mut tally = Tally::new(&mut tenant.stored);
        let mut accounts = Accounts([&mut tenant.memory, &mut self.memory]);
        let entry = users.entry(user).or_default();
        let (before, queue_before) = (entry.usage(), entry.queue_usage());
        change(entry, &mut tally);
        let (left, came) = tally.texts();
        accounts.change(Category::Users, before, entry.usage());
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
        change: impl FnOnce(&mut DurableChannel, &mut Tally<'_>),
    ) {
        let tenant = self.tenants.entry(dev).or_default();
        let channels = &mut tenant.channels;
        let mut tally = Tally::new(&mut tenant.stored);
        let mut accounts = Accounts([&mut tenant.memory, &mut self.memory]);
        if !channels.contains_key(name) {
            channels.insert(name.clone(), DurableChannel::default());
        }
        if let Some(channel) = channels.get_mut(name) {
            let before = channel.usage(name);
            change(channel, &mut tally);
            let (left, came) = tally.texts();
            accounts.change(Category::Histories, before + left, channel.usage(name) + came);
            if channel.is_empty() {
                channels.remove(name);
                self.forget_empty(dev);
            }
        }
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

    /// What is wrong with a state that somebody else than [`Durable::apply`] may have written; O(n).
    pub fn flaw(&self) -> Option<&'static str> {
        for tenant in self.tenants.values() {
            for (name, channel) in &tenant.channels {
                if channel.history.len() > channel.kept(name) {
                    return Some("a history longer than its setting");
                }
            }
        }
        // Whatever comes next has a position behind it.
        (self.max_seq() >= Seq::END).then_some("a position behind which there is none")
    }

    /// Asserts the invariants; O(n).
    pub fn check(&self) {
        assert_eq!(self.flaw(), None);
        let mut sum = Account::default();
        for tenant in self.tenants.values() {
            assert_eq!(
                tenant.memory,
                tenant.count_memory(),
                "the memory of a tenant drifted"
            );
            sum = sum.plus(&tenant.memory);
            assert_eq!(
                tenant.stored,
                tenant.count_stored(),
                "the count of what is stored drifted"
            );
            for user in tenant.users.values() {
                assert!(!user.is_empty(), "an empty user occupies memory");
                assert!(
                    user.queue.iter().is_sorted_by(|a, b| a.seq < b.seq),
                    "queue out of order"
                );
            }
            for channel in tenant.channels.values() {
                assert!(!channel.is_empty(), "an empty channel occupies memory");
                assert!(
                    channel.history.iter().is_sorted_by(|a, b| a.seq < b.seq),
                    "history out of order"
                );
            }
        }
        assert_eq!(self.memory, sum, "the memory of stored things drifted");
    }
}
