//! Counters of protocol.md 8.5 and their rates. Exact at all times (Q85): every one is changed where the thing it
//! counts happens.

use serde::{Deserialize, Serialize};

use super::Core;
use crate::id::DevId;
use crate::state::Timer;

/// Counters of the two services.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Statistics {
    /// Browsers.
    pub(crate) ws: Service,
    /// CometQL.
    pub(crate) sql: Service,
    /// Events handled since the start that came from a socket.
    pub(crate) network_events: u64,
    /// What limits refused.
    pub(crate) refused: Refused,
}

/// How often limits refused something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Refused {
    /// Connections, after too many wrong keys.
    pub keys: u64,
    /// Commands and statements that came too fast.
    pub rate: u64,
    /// Whatever is over a quota of its tenant.
    pub quota: u64,
    /// Connections of an address that has too many.
    pub address: u64,
}

/// Counters of one listener.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) accepted: u64,
    pub(crate) closed: u64,
    pub(crate) messages: u64,
    at_last_measurement: [u64; 3],
    /// Per second over the last interval: messages, accepted, closed.
    pub(crate) rates: [u64; 3],
}

impl Service {
    /// Open now.
    pub(crate) const fn online(&self) -> u64 {
        self.accepted - self.closed
    }

    fn measure(&mut self, interval_ms: u64) {
        let totals = [self.messages, self.accepted, self.closed];
        for (at, total) in totals.into_iter().enumerate() {
            let grown = total - self.at_last_measurement[at];
            self.rates[at] = grown.saturating_mul(1000) / interval_ms.max(1);
        }
        self.at_last_measurement = totals;
    }
}

impl Core {
    /// `count` frames were sent to browsers of a tenant.
    pub(super) fn count_sent(&mut self, dev: DevId, count: u64) {
        self.tenants.entry(dev).messages += count;
        self.statistics.ws.messages += count;
    }

    /// A browser sent a command.
    pub(super) fn count_command(&mut self, dev: DevId) {
        self.tenants.entry(dev).messages += 1;
        self.statistics.ws.messages += 1;
        self.statistics.network_events += 1;
    }

    pub(super) fn measure_ws(&mut self) {
        let every = self.config.ws_statistics_ms;
        self.statistics.ws.measure(every);
        self.arm_period(every, Timer::WsStatistics);
    }

    pub(super) fn measure_sql(&mut self) {
        let every = self.config.cometql_statistics_ms;
        self.statistics.sql.measure(every);
        self.arm_period(every, Timer::SqlStatistics);
    }
}
