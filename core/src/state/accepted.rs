//! Messages of pages that were accepted lately, by id: a page that did not get the report sends the same message again
//! (protocol-v5.md 3). Bounded in number and in time.

use alloc::collections::{BTreeMap, VecDeque};

use crate::id::{MessageId, OpId};
use crate::time::Mono;

/// What became of a message in a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    /// To how many connections it was sent.
    pub(crate) receivers: u64,
    /// The record that keeps it, if the channel has a history.
    pub(crate) op: Option<OpId>,
    /// Its id, if it has one.
    pub(crate) id: Option<MessageId>,
}

/// The memory, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    known: BTreeMap<MessageId, Published>,
    order: VecDeque<(Mono, MessageId)>,
}

impl Accepted {
    /// Remembers a message that is not known yet until `until`. Of more than `max` the oldest is forgotten.
    pub(crate) fn remember(&mut self, id: MessageId, published: Published, until: Mono, max: usize) {
        let previous = self.known.insert(id, published);
        assert!(previous.is_none(), "a message was accepted twice");
        self.order.push_back((until, id));
        if self.order.len() > max {
            self.forget_oldest();
        }
    }

    /// What became of a message, if it is still known.
    pub(crate) fn get(&self, id: MessageId) -> Option<Published> {
        self.known.get(&id).copied()
    }

    /// Forgets what is over at `now`.
    pub(crate) fn forget_until(&mut self, now: Mono) {
        while self.next().is_some_and(|until| until <= now) {
            self.forget_oldest();
        }
    }

    /// When the oldest message is forgotten.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.order.front().map(|&(until, _)| until)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.known.remove(&id);
        }
    }

    /// Asserts that both sides know the same.
    pub(crate) fn check(&self, max: usize) {
        assert!(self.order.len() <= max, "too many accepted messages remembered");
        assert!(
            self.order.iter().is_sorted_by_key(|&(until, _)| until),
            "accepted messages out of order"
        );
        assert!(
            self.order.len() == self.known.len()
                && self.order.iter().all(|(_, id)| self.known.contains_key(id)),
            "the memory of accepted messages drifted"
        );
    }
}
