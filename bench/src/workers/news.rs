//! What a worker tells the process that started it: one line of JSON, all counters since its start.

use serde::{Deserialize, Serialize};

use crate::sequence::Tally;

/// Counters of one worker, or the sum of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct News {
    /// Commands carried out; of several workers the least.
    pub(crate) done: u64,
    /// Pages that have their F1 and are still connected.
    pub(crate) open: u64,
    /// Connections that ended before their F1, each tried again.
    pub(crate) failed: u64,
    /// Connections that ended although nobody here wanted it.
    pub(crate) ended: u64,
    /// Keep-alive Pings answered.
    pub(crate) pings: u64,
    /// Pages that answered the last question.
    pub(crate) answers: u64,
    /// When the last page opened; the latest of all.
    pub(crate) last_open: u64,
    /// Room messages, and when the last one came.
    pub(crate) live: u64,
    pub(crate) last_live: u64,
    /// Messages of room histories.
    pub(crate) replayed: u64,
    /// Private messages, each once, and those that came again.
    pub(crate) unique: u64,
    pub(crate) redelivered: u64,
    /// Wrong with private messages and with room messages.
    pub(crate) private: Tally,
    pub(crate) rooms: Tally,
    /// Resident memory, bytes.
    pub(crate) memory: u64,
    /// Why a handshake failed, why a connection ended, what was unexpected: the first ones.
    pub(crate) reasons: Vec<String>,
    pub(crate) faults: Vec<String>,
}

impl News {
    pub(super) fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        all.cloned().reduce(Self::plus).unwrap_or_default()
    }

    fn plus(mut self, other: Self) -> Self {
        self.done = self.done.min(other.done);
        self.open += other.open;
        self.failed += other.failed;
        self.ended += other.ended;
        self.pings += other.pings;
        self.answers += other.answers;
        self.last_open = self.last_open.max(other.last_open);
        self.live += other.live;
        self.last_live = self.last_live.max(other.last_live);
        self.replayed += other.replayed;
        self.unique += other.unique;
        self.redelivered += other.redelivered;
        self.private += other.private;
        self.rooms += other.rooms;
        self.memory += other.memory;
        self.reasons.extend(other.reasons);
        self.faults.extend(other.faults);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_workers_add_up() {
        let one = News {
            done: 3,
            open: 10,
            last_open: 70,
            ..News::default()
        };
        let other = News {
            done: 2,
            open: 5,
            last_open: 90,
            ..News::default()
        };
        let sum = News::sum([one, other].iter());
        assert_eq!((sum.done, sum.open, sum.last_open), (2, 15, 90));
    }
}
