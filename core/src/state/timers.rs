//! Deadlines, in a total order: by time, then by kind, then by id. No two runs can disagree about which is first.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::GoneId;
use crate::id::{ConnId, DevId, UserId};
use crate::time::Mono;

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// A probe was not answered.
    Probe(ConnId),
    /// A vanished device loses its claim.
    Grace(DevId, UserId, GoneId),
    /// The oldest private message of a user expires.
    QueueTtl(DevId, UserId),
    /// The oldest accepted message of a page is forgotten.
    SendMemory,
    /// Old browser connections are dropped.
    WsUptime,
    /// Old CometQL sessions are dropped.
    SqlUptime,
    /// Rates of the browser side are measured.
    WsStatistics,
    /// Rates of the CometQL side are measured.
    SqlStatistics,
}

/// All armed timers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timers(BTreeSet<(Mono, Timer)>);

impl Timers {
    /// Arms a timer. The same timer may be armed for several times.
    pub(crate) fn arm(&mut self, at: Mono, timer: Timer) {
        self.0.insert((at, timer));
    }

    /// Disarms a timer armed for `at`; nothing happens if it is not.
    pub(crate) fn disarm(&mut self, at: Mono, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    /// How many timers there are that are not armed again for ever.
    pub(crate) fn passing(&self) -> usize {
        let periodic = |timer: &Timer| {
            matches!(
                timer,
                Timer::WsUptime | Timer::SqlUptime | Timer::WsStatistics | Timer::SqlStatistics
            )
        };
        self.0.iter().filter(|(_, timer)| !periodic(timer)).count()
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Mono> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes the first timer due at `now`.
    pub(crate) fn pop_due(&mut self, now: Mono) -> Option<(Mono, Timer)> {
        let &(at, _) = self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first()
    }

    /// True if this timer is armed for `at`.
    pub(crate) fn is_armed(&self, at: Mono, timer: Timer) -> bool {
        self.0.contains(&(at, timer))
    }
}
