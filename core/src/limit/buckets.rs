//! Many buckets in bounded memory, for keys that strangers choose.
//!
//! Promise: whoever comes, there is room for him. When the table is full, the bucket that misses least is forgotten: what
//! somebody gains by making the table forget is never more than what he spent to fill it.

use alloc::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::time::Mono;

/// When each bucket is full again. A key that is not here has a full one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>"))]
pub struct Buckets<K> {
    #[serde(with = "pairs")]
    full: BTreeMap<K, Mono>,
    /// The same, in the order of forgetting.
    order: BTreeSet<(Mono, K)>,
    max: usize,
}

/// A map as a list of pairs, since the text form of a state has only texts and numbers for keys. In bytes it is the same.
mod pairs {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Mono;

    pub(super) fn serialize<K: Serialize, S: Serializer>(
        map: &BTreeMap<K, Mono>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Ord + Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, Mono>, D::Error> {
        Vec::deserialize(from).map(|pairs: Vec<(K, Mono)>| pairs.into_iter().collect())
    }
}

impl<K: Ord + Copy> Buckets<K> {
    /// A table of at most `max` buckets, and at least one.
    pub const fn new(max: usize) -> Self {
        let max = if max == 0 { 1 } else { max };
        Self {
            full: BTreeMap::new(),
            order: BTreeSet::new(),
            max,
        }
    }

    /// When the bucket is full.
    pub fn full(&self, key: K) -> Mono {
        self.full.get(&key).copied().unwrap_or_default()
    }

    /// The bucket is full at `full`. Forgets those that are full at `now`, a few at a time.
    pub fn set(&mut self, key: K, full: Mono, now: Mono) {
        if let Some(before) = self.full.insert(key, full) {
            self.order.remove(&(before, key));
        }
        self.order.insert((full, key));
        for _ in 0..2 {
            self.forget_first(|first| first <= now);
        }
        while self.full.len() > self.max {
            self.forget_first(|_| true);
        }
    }

    /// The bucket will not be asked again.
    pub fn remove(&mut self, key: K) {
        if let Some(full) = self.full.remove(&key) {
            self.order.remove(&(full, key));
        }
    }

    fn forget_first(&mut self, which: impl Fn(Mono) -> bool) {
        if let Some(&(full, key)) = self.order.first().filter(|(full, _)| which(*full)) {
            self.order.remove(&(full, key));
            self.full.remove(&key);
        }
    }

    /// Buckets that are kept.
    pub fn len(&self) -> usize {
        self.full.len()
    }

    /// No bucket is kept.
    pub fn is_empty(&self) -> bool {
        self.full.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Mono {
        Mono::from_micros(us)
    }

    #[test]
    fn the_one_that_misses_least_is_forgotten() {
        let mut buckets = Buckets::new(3);
        buckets.set('b', at(90), at(1));
        buckets.set('a', at(50), at(1));
        buckets.set('c', at(70), at(1));
        buckets.set('d', at(60), at(1));
        assert_eq!(
            ['a', 'b', 'c', 'd'].map(|key| buckets.full(key).micros()),
            [0, 90, 70, 60]
        );
        buckets.set('b', at(65), at(1));
        buckets.set('e', at(80), at(1));
        assert_eq!(
            ['b', 'c', 'd', 'e'].map(|key| buckets.full(key).micros()),
            [65, 70, 0, 80]
        );
        assert_eq!(buckets.len(), 3);
    }

    /// Whose bucket is removed begins with a full one, and nothing of the old one is forgotten later in its place.
    #[test]
    fn a_removed_bucket_is_gone() {
        let mut buckets = Buckets::new(2);
        buckets.set('a', at(50), at(1));
        buckets.remove('a');
        assert_eq!((buckets.full('a'), buckets.len()), (at(0), 0));
        buckets.set('a', at(90), at(1));
        buckets.set('b', at(80), at(1));
        buckets.set('c', at(85), at(1));
        assert_eq!(['a', 'b', 'c'].map(|key| buckets.full(key).micros()), [90, 0, 85]);
        assert_eq!(buckets.order.len(), buckets.len());
    }

    #[test]
    fn full_buckets_are_forgotten_as_others_come() {
        let mut buckets = Buckets::new(1000);
        for key in 0..500 {
            buckets.set(key, at(10), at(0));
        }
        assert_eq!(buckets.len(), 500);
        for key in 500..1000 {
            buckets.set(key, at(1000), at(10));
        }
        assert_eq!(buckets.len(), 500, "two go for each that comes");
        assert!(!buckets.is_empty());
    }
}
