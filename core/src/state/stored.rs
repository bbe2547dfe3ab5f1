//! What is stored, in figures: as quotas count it and as the memory limit does. Changed with what is stored, never
//! counted anew.

use serde::{Deserialize, Serialize};

use super::durable::{DurableChannel, DurableTenant, DurableUser};
use super::memory::{Account, Category, Usage, cost, room, text};
use crate::name::{Body, ChannelName, EventName, Token};
use crate::record::{HistoryMessage, QueuedMessage};

/// What a tenant has stored, as quotas count it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stored {
    /// Messages in queues and histories.
    pub messages: u64,
    /// Bytes of these messages, of user data and of revoked tokens.
    pub bytes: u64,
}

impl Stored {
    fn add(&mut self, body: &Body) {
        self.messages += 1;
        self.bytes += body.as_str().len() as u64;
    }

    fn remove(&mut self, body: &Body) {
        self.messages -= 1;
        self.bytes -= body.as_str().len() as u64;
    }
}

/// What a change does to the figures.
pub(super) struct Tally<'a> {
    pub(super) stored: &'a mut Stored,
    /// The texts of messages that left and that came, as the memory limit counts them.
    left: u64,
    came: u64,
}

impl<'a> Tally<'a> {
    pub(super) fn new(stored: &'a mut Stored) -> Self {
        Self {
            stored,
            left: 0,
            came: 0,
        }
    }

    pub(super) fn add(&mut self, event: &EventName, body: &Body) {
        self.stored.add(body);
        self.came += texts(event, body);
    }

    pub(super) fn remove(&mut self, event: &EventName, body: &Body) {
        self.stored.remove(body);
        self.left += texts(event, body);
    }

    /// What left, and what came.
    pub(super) const fn texts(&self) -> (Usage, Usage) {
        (Usage::new(0, self.left), Usage::new(0, self.came))
    }
}

/// An account and the one it is a part of.
pub(super) struct Accounts<'a>(pub(super) [&'a mut Account; 2]);

impl Accounts<'_> {
    pub(super) fn change(&mut self, category: Category, before: Usage, after: Usage) {
        for account in &mut self.0 {
            account.change(category, before, after);
        }
    }
}

fn texts(event: &EventName, body: &Body) -> u64 {
    text(event.as_str().len()) + text(body.as_str().len())
}

pub(super) fn token_usage(token: &Token) -> Usage {
    Usage::new(1, cost::TOKEN + text(token.reveal().len()))
}

impl DurableUser {
    /// What he takes without his queue.
    pub(super) fn usage(&self) -> Usage {
        if self.is_empty() {
            return Usage::NONE;
        }
        let data = self.data.as_ref().map_or(0, |data| text(data.as_str().len()));
        Usage::new(1, cost::USER + data)
    }

    /// What his queue takes without the texts.
    pub(super) fn queue_usage(&self) -> Usage {
        Usage::new(self.queue.len(), room(self.queue.len(), cost::QUEUED))
    }
}

impl DurableChannel {
    /// What it takes without the texts of its messages.
    pub(super) fn usage(&self, name: &ChannelName) -> Usage {
        if self.is_empty() {
            return Usage::NONE;
        }
        let slots = room(self.history.len(), cost::HISTORY);
        let bytes = cost::STORED_CHANNEL + text(name.as_str().len()) + slots;
        Usage::new(1 + self.history.len(), bytes)
    }
}

impl DurableTenant {
    /// What `stored` must be; O(n).
    pub(super) fn count_stored(&self) -> Stored {
        let queues = self.users.values().flat_map(|user| &user.queue);
        let histories = self.channels.values().flat_map(|channel| &channel.history);
        let mut stored = Stored::default();
        queues.for_each(|message| stored.add(&message.body));
        histories.for_each(|message| stored.add(&message.body));
        let data = self.users.values().filter_map(|user| user.data.as_ref());
        stored.bytes += data.map(|data| data.as_str().len() as u64).sum::<u64>();
        let tokens = self.revoked.keys();
        stored.bytes += tokens.map(|token| token.reveal().len() as u64).sum::<u64>();
        stored
    }

    /// What `memory` must be; O(n).
    pub(super) fn count_memory(&self) -> Account {
        let mut account = Account::default();
        let queued = |message: &QueuedMessage| texts(&message.event, &message.body);
        let kept = |message: &HistoryMessage| texts(&message.event, &message.body);
        for user in self.users.values() {
            let texts = user.queue.iter().map(queued).sum();
            account.take(Category::Users, user.usage());
            account.take(Category::Queues, user.queue_usage() + Usage::new(0, texts));
        }
        for (name, channel) in &self.channels {
            let texts = channel.history.iter().map(kept).sum();
            account.take(Category::Histories, channel.usage(name) + Usage::new(0, texts));
        }
        for token in self.revoked.keys() {
            account.take(Category::Tokens, token_usage(token));
        }
        account
    }
}
