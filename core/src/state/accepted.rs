//! Messages of pages that were accepted lately, by id: a page that did not get the report sends the same message again
//! (protocol-v5.md 3). Bounded in number and in time.

use alloc::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::memory::{Usage, cost};
use crate::id::{DevId, MessageId, OpId};
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
    order: VecDeque<(Mono, MessageId, DevId)>,
}

impl Accepted {
    /// What each of them takes.
    pub(crate) const EACH: Usage = Usage::new(1, cost::SEND);

    /// Remembers a message of a tenant, that is not known at present, until `until`. Of more than `max` the oldest is
    /// forgotten; returns whose it was.
    pub(crate) fn remember(
        &mut self,
        dev: DevId,
        id: MessageId,
        published: Published,
        until: Mono,
        max: usize,
    ) -> Option<DevId> {
        let previous = self.known.insert(id, (until, published));
        assert!(
            previous.is_none_or(|(over, _)| over < until),
            "a message was accepted twice"
        );
        self.order.push_back((until, id, dev));
        if self.order.len() > max {
            self.forget_oldest()
        } else {
            None
        }
    }

    /// What became of a message, if it is still known at `now`.
    pub(crate) fn get(&self, id: MessageId, now: Mono) -> Option<Published> {
        let (until, published) = self.known.get(&id)?;
        (*until > now).then_some(*published)
    }

    /// Forgets the oldest message if its time is over at `now`; returns whose it was.
    pub(crate) fn forget_over(&mut self, now: Mono) -> Option<DevId> {
        let is_over = self.next().is_some_and(|until| until <= now);
        if is_over { self.forget_oldest() } else { None }
    }

    /// Of which tenants there are how many messages, one by one.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = DevId> {
        self.order.iter().map(|&(.., dev)| dev)
    }

    /// When the oldest message is over.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.order.front().map(|&(until, ..)| until)
    }

    fn forget_oldest(&mut self) -> Option<DevId> {
        let (until, id, dev) = self.order.pop_front()?;
        // The same message may have been accepted anew after its time.
        if self.known.get(&id).is_some_and(|&(newest, _)| newest == until) {
            self.known.remove(&id);
        }
        Some(dev)
    }

    /// Asserts that both sides know the same.
    pub(crate) fn check(&self, max: usize) {
        assert!(self.order.len() <= max, "too many accepted messages remembered");
        assert!(
            self.order.iter().is_sorted_by_key(|&(until, ..)| until),
            "accepted messages out of order"
        );
        assert!(
            self.known.len() <= self.order.len()
                && self.order.iter().all(|(_, id, _)| self.known.contains_key(id)),
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

    const DEV: DevId = DevId(3);

    /// As the engine does in one turn.
    fn forget_until(accepted: &mut Accepted, now: Mono, max: usize) {
        for _ in 0..max {
            assert!(matches!(accepted.forget_over(now), None | Some(DEV)));
        }
    }

    #[test]
    fn a_message_is_known_until_its_time_and_not_at_it() {
        let mut accepted = Accepted::default();
        accepted.remember(DEV, MessageId(1), published(1), at(10), 9);
        assert_eq!(accepted.get(MessageId(1), at(9)), Some(published(1)));
        assert_eq!(accepted.get(MessageId(1), at(10)), None);
        assert_eq!(accepted.next(), Some(at(10)));
        forget_until(&mut accepted, at(9), 9);
        assert_eq!(accepted.next(), Some(at(10)));
        forget_until(&mut accepted, at(10), 9);
        assert_eq!(accepted.next(), None);
        accepted.check(9);
    }

    #[test]
    fn so_many_at_once_and_the_others_later() {
        let mut accepted = Accepted::default();
        for id in 1..=3 {
            accepted.remember(DEV, MessageId(id), published(0), at(10), 9);
        }
        forget_until(&mut accepted, at(20), 2);
        assert_eq!(accepted.known.len(), 1);
        forget_until(&mut accepted, at(20), 2);
        assert_eq!(accepted.known.len(), 0);
    }

    #[test]
    fn of_more_than_fit_the_oldest_goes() {
        let mut accepted = Accepted::default();
        for id in 1..=3 {
            let forgotten = accepted.remember(DEV, MessageId(id), published(0), at(10), 2);
            assert_eq!(forgotten, (id > 2).then_some(DEV));
            accepted.check(2);
        }
        assert_eq!(accepted.get(MessageId(1), at(0)), None);
        assert!(accepted.get(MessageId(2), at(0)).is_some());
    }

    #[test]
    fn a_message_accepted_anew_outlives_its_first_time() {
        let mut accepted = Accepted::default();
        accepted.remember(DEV, MessageId(1), published(1), at(10), 9);
        accepted.remember(DEV, MessageId(1), published(2), at(30), 9);
        forget_until(&mut accepted, at(10), 9);
        assert_eq!(accepted.get(MessageId(1), at(20)), Some(published(2)));
    }
}
