//! Messages of pages that were accepted lately, by id: a page that did not get the report sends the same message again
//! (protocol-v5.md 3). Bounded in number and in time, and shared fairly: when it is full, the tenant that remembers most
//! forgets its oldest, so that nobody who keeps to his share forgets anything because of others.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;

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

/// One that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    until: Mono,
    /// Ascending in the order of acceptance.
    serial: u64,
    id: MessageId,
}

/// The memory.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Accepted {
    known: BTreeMap<MessageId, (u64, Mono, Published)>,
    /// Of each tenant, oldest first. Nobody has an empty one.
    of: BTreeMap<DevId, VecDeque<Entry>>,
    /// How many, and the oldest, of each tenant: the last one forgets first.
    by_share: BTreeSet<(usize, Reverse<u64>, DevId)>,
    /// The oldest of each tenant, and whose it is.
    by_age: BTreeSet<(u64, DevId)>,
    count: usize,
    last_serial: u64,
}

impl Accepted {
    /// How many messages are remembered.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What each of them takes.
    pub(crate) const EACH: Usage = Usage::new(1, cost::SEND);

    /// Remembers a message that is not known at present until `until`. Of more than `max` one is forgotten; returns
    /// whose it was.
    pub(crate) fn remember(
        &mut self,
        dev: DevId,
        id: MessageId,
        published: Published,
        until: Mono,
        max: usize,
    ) -> Option<DevId> {
        self.last_serial += 1;
        let serial = self.last_serial;
        let previous = self.known.insert(id, (serial, until, published));
        assert!(
            previous.is_none_or(|(_, over, _)| over < until),
            "a message was accepted twice"
        );
        self.edit(dev, |entries| entries.push_back(Entry { until, serial, id }));
        self.count += 1;
        if self.count <= max {
            return None;
        }
        let &(_, _, forgotten) = self.by_share.last()?;
        self.forget_oldest(forgotten);
        Some(forgotten)
    }

    /// What became of a message, if it is still known at `now`.
    pub(crate) fn get(&self, id: MessageId, now: Mono) -> Option<Published> {
        let (_, until, published) = self.known.get(&id)?;
        (*until > now).then_some(*published)
    }

    /// Forgets what is over at `now`, at most `max` of it; returns whose it was, one by one.
    pub(crate) fn forget_until(&mut self, now: Mono, max: usize) -> Vec<DevId> {
        let mut forgotten = Vec::new();
        while forgotten.len() < max
            && let Some((dev, _)) = self.oldest().filter(|(_, entry)| entry.until <= now)
        {
            self.forget_oldest(dev);
            forgotten.push(dev);
        }
        forgotten
    }

    /// How many messages each tenant has.
    pub(crate) fn count_of(&self, dev: DevId) -> usize {
        self.of.get(&dev).map_or(0, VecDeque::len)
    }

    /// When the oldest message is over.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.oldest().map(|(_, entry)| entry.until)
    }

    fn oldest(&self) -> Option<(DevId, Entry)> {
        let &(_, dev) = self.by_age.first()?;
        Some((dev, *self.of.get(&dev)?.front()?))
    }

    fn forget_oldest(&mut self, dev: DevId) {
        let Some(entry) = self.edit(dev, VecDeque::pop_front) else {
            return;
        };
        self.count -= 1;
        // The same message may have been accepted anew after its time.
        if self
            .known
            .get(&entry.id)
            .is_some_and(|&(newest, ..)| newest == entry.serial)
        {
            self.known.remove(&entry.id);
        }
    }

    /// Changes the messages of a tenant, and its place among the others.
    fn edit<T>(&mut self, dev: DevId, change: impl FnOnce(&mut VecDeque<Entry>) -> T) -> T {
        let entries = self.of.entry(dev).or_default();
        if let Some(oldest) = entries.front() {
            self.by_share
                .remove(&(entries.len(), Reverse(oldest.serial), dev));
            self.by_age.remove(&(oldest.serial, dev));
        }
        let result = change(entries);
        match entries.front() {
            Some(oldest) => {
                self.by_share.insert((entries.len(), Reverse(oldest.serial), dev));
                self.by_age.insert((oldest.serial, dev));
            }
            None => drop(self.of.remove(&dev)),
        }
        result
    }

    /// Asserts that all sides know the same.
    pub(crate) fn check(&self, max: usize) {
        assert!(self.count <= max, "too many accepted messages remembered");
        let all = || self.of.values().flatten();
        assert_eq!(
            all().count(),
            self.count,
            "the count of accepted messages drifted"
        );
        for (dev, entries) in &self.of {
            assert!(
                entries
                    .iter()
                    .is_sorted_by_key(|entry| (entry.until, entry.serial)),
                "accepted messages out of order"
            );
            let oldest = entries.front().map_or(0, |entry| entry.serial);
            assert!(
                self.by_share.contains(&(entries.len(), Reverse(oldest), *dev))
                    && self.by_age.contains(&(oldest, *dev)),
                "a tenant lost its place in the memory of accepted messages"
            );
        }
        assert!(
            self.by_share.len() == self.of.len()
                && self.by_age.len() == self.of.len()
                && self.known.len() <= self.count
                && all().all(|entry| self.known.contains_key(&entry.id)),
            "the memory of accepted messages drifted"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Published = Published {
        receivers: 0,
        op: None,
        id: None,
    };

    fn remember(memory: &mut Accepted, dev: u32, id: u128, max: usize) {
        memory.remember(DevId(dev), MessageId(id), NOTHING, Mono::from_micros(1000), max);
        memory.check(max);
    }

    fn knows(memory: &Accepted, ids: impl IntoIterator<Item = u128>) -> bool {
        let now = Mono::from_micros(999);
        ids.into_iter().all(|id| memory.get(MessageId(id), now).is_some())
    }

    #[test]
    fn a_tenant_that_sends_much_forgets_its_own() {
        let mut memory = Accepted::default();
        for id in 0..4 {
            remember(&mut memory, 1, id, 10);
        }
        for id in 100..200 {
            remember(&mut memory, 2, id, 10);
        }
        assert!(knows(&memory, 0..4) && knows(&memory, 194..200));
        assert!(!knows(&memory, [193]));
    }

    #[test]
    fn of_equals_the_oldest_goes_and_never_the_newest() {
        for devs in [[1, 2], [2, 1]] {
            let mut memory = Accepted::default();
            remember(&mut memory, devs[0], 1, 1);
            remember(&mut memory, devs[1], 2, 1);
            assert!(knows(&memory, [2]) && !knows(&memory, [1]));
        }
    }

    #[test]
    fn what_is_over_goes_oldest_first() {
        let mut memory = Accepted::default();
        for id in 0..6 {
            let until = Mono::from_micros(10 + id as u64);
            memory.remember(DevId(id as u32 % 2), MessageId(id), NOTHING, until, 10);
        }
        memory.forget_until(Mono::from_micros(13), 3);
        memory.check(10);
        assert!(!knows(&memory, [2]) && memory.known.len() == 3);
        assert_eq!(memory.next(), Some(Mono::from_micros(13)));
        memory.forget_until(Mono::from_micros(1000), 100);
        memory.check(10);
        assert_eq!((memory.next(), memory.known.len()), (None, 0));
    }

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
        accepted.remember(DevId(0), MessageId(1), published(1), at(10), 9);
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
            accepted.remember(DevId(0), MessageId(id), published(0), at(10), 9);
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
            accepted.remember(DevId(0), MessageId(id), published(0), at(10), 2);
            accepted.check(2);
        }
        assert_eq!(accepted.get(MessageId(1), at(0)), None);
        assert!(accepted.get(MessageId(2), at(0)).is_some());
    }

    #[test]
    fn a_message_accepted_anew_outlives_its_first_time() {
        let mut accepted = Accepted::default();
        accepted.remember(DevId(0), MessageId(1), published(1), at(10), 9);
        accepted.remember(DevId(0), MessageId(1), published(2), at(30), 9);
        accepted.forget_until(at(10), 9);
        assert_eq!(accepted.get(MessageId(1), at(20)), Some(published(2)));
    }
}
