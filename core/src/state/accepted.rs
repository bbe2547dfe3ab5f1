//! Messages of pages that were accepted lately, by id: a page that did not get the report sends the same message again
//! (protocol-v5.md 3). Bounded in number and in time.

use alloc::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::id::{MessageId, OpId};
use crate::time::Mono;

/// What became of a message in a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    /// To how many connections it was sent.
    pub(crate) receivers: u64,
    /// The record that keeps it, if the channel has a history.
    pub(crate) op: Option<OpId>,
    /// Its id, if it has one.
    pub(crate) id: Option<MessageId>,
}

/// The memory, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Accepted {
    known: BTreeMap<MessageId, (Mono, Published)>,
    order: VecDeque<(Mono, MessageId)>,
}

impl Accepted {
    /// How many messages are remembered.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Remembers a message that is not known at present until `until`. Of more than `max` the oldest is forgotten.
    pub(crate) fn remember(&mut self, id: MessageId, published: Published, until: Mono, max: usize) {
        let previous = self.known.insert(id, (until, published));
        assert!(
            previous.is_none_or(|(over, _)| over < until),
            "a message was accepted twice"
        );
        self.order.push_back((until, id));
        if self.order.len() > max {
            self.forget_oldest();
        }
    }

    /// What became of a message, if it is still known at `now`.
    pub(crate) fn get(&self, id: MessageId, now: Mono) -> Option<Published> {
        let (until, published) = self.known.get(&id)?;
        (*until > now).then_some(*published)
    }

    /// Forgets what is over at `now`, at most `max` of it.
    pub(crate) fn forget_until(&mut self, now: Mono, max: usize) {
        let over = self.order.iter().take(max);
        let count = over.take_while(|(until, _)| *until <= now).count();
        for _ in 0..count {
            self.forget_oldest();
        }
    }

    /// When the oldest message is over.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.order.front().map(|&(until, _)| until)
    }

    fn forget_oldest(&mut self) {
        let Some((until, id)) = self.order.pop_front() else {
            return;
        };
        // The same message may have been accepted anew after its time.
        if self.known.get(&id).is_some_and(|&(newest, _)| newest == until) {
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
            self.known.len() <= self.order.len()
                && self.order.iter().all(|(_, id)| self.known.contains_key(id)),
            "the memory of accepted messages drifted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(receivers: u64) -> Published {
        Published {
            receivers,
            op: None,
            id: None,
        }
    }

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1000)
    }

    #[test]
    fn a_message_is_known_until_its_time_and_not_at_it() {
        let mut accepted = Accepted::default();
        accepted.remember(MessageId(1), published(1), at(10), 9);
        assert_eq!(accepted.get(MessageId(1), at(9)), Some(published(1)));
        assert_eq!(accepted.get(MessageId(1), at(10)), None);
        assert_eq!(accepted.next(), Some(at(10)));
        accepted.forget_until(at(9), 9);
        assert_eq!(accepted.next(), Some(at(10)));
        accepted.forget_until(at(10), 9);
        assert_eq!(accepted.next(), None);
        accepted.check(9);
    }

    #[test]
    fn so_many_at_once_and_the_others_later() {
        let mut accepted = Accepted::default();
        for id in 1..=3 {
            accepted.remember(MessageId(id), published(0), at(10), 9);
        }
        accepted.forget_until(at(20), 2);
        assert_eq!(accepted.known.len(), 1);
        accepted.forget_until(at(20), 2);
        assert_eq!(accepted.known.len(), 0);
    }

    #[test]
    fn of_more_than_fit_the_oldest_goes() {
        let mut accepted = Accepted::default();
        for id in 1..=3 {
            accepted.remember(MessageId(id), published(0), at(10), 2);
            accepted.check(2);
        }
        assert_eq!(accepted.get(MessageId(1), at(0)), None);
        assert!(accepted.get(MessageId(2), at(0)).is_some());
    }

    #[test]
    fn a_message_accepted_anew_outlives_its_first_time() {
        let mut accepted = Accepted::default();
        accepted.remember(MessageId(1), published(1), at(10), 9);
        accepted.remember(MessageId(1), published(2), at(30), 9);
        accepted.forget_until(at(10), 9);
        assert_eq!(accepted.get(MessageId(1), at(20)), Some(published(2)));
    }
}
