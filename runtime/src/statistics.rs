//! `statistics.to_log` (protocol.md 8.2): how much happens, one line of the log per interval. Nothing is sent anywhere
//! (Q52).

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Metrics;
use crate::rt::time;
use crate::shared::Shared;

/// What has happened since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Totals {
    connections: u64,
    sessions: u64,
    frames: u64,
    events: u64,
    records: u64,
}

impl Totals {
    fn of(metrics: &Metrics) -> Self {
        Self {
            connections: metrics.connections_opened.get(),
            sessions: metrics.sessions_opened.get(),
            frames: metrics.frames.get(),
            events: metrics.events.get(),
            records: metrics.records.get(),
        }
    }

    /// Per second, rounded down.
    fn since(self, before: Self, time: Duration) -> Self {
        let micros = u128::max(time.as_micros(), 1);
        let rate = |now: u64, before: u64| {
            let rate = u128::from(now.saturating_sub(before)) * 1_000_000 / micros;
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        Self {
            connections: rate(self.connections, before.connections),
            sessions: rate(self.sessions, before.sessions),
            frames: rate(self.frames, before.frames),
            events: rate(self.events, before.events),
            records: rate(self.records, before.records),
        }
    }
}

/// The shorter of the two intervals that are set; `None`: no line is asked for.
pub(crate) fn interval(to_log: bool, intervals_ms: [u64; 2]) -> Option<Duration> {
    let shortest = intervals_ms.into_iter().filter(|&interval| interval > 0).min();
    shortest.filter(|_| to_log).map(Duration::from_millis)
}

/// Logs until the task is dropped.
pub(crate) async fn log(shared: Arc<Shared>, interval: Duration) {
    let metrics = &shared.metrics;
    let mut before = (Totals::of(metrics), shared.clock.mono());
    loop {
        time::sleep(interval).await;
        let now = (Totals::of(metrics), shared.clock.mono());
        let time = Duration::from_micros(now.1.micros_since(before.1));
        let (total, rate) = (now.0, now.0.since(before.0, time));
        tracing::info!(
            connections = metrics.connections.get(),
            connections_per_second = rate.connections,
            sessions = metrics.sessions.get(),
            sessions_per_second = rate.sessions,
            frames = total.frames,
            frames_per_second = rate.frames,
            events = total.events,
            events_per_second = rate.events,
            records = total.records,
            records_per_second = rate.records,
        );
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_of_the_time_that_passed() {
        let metrics = Metrics::new();
        let before = Totals::of(&metrics);
        metrics.connections_opened.inc_by(4);
        metrics.sessions_opened.inc_by(1);
        metrics.frames.inc_by(2_000_000);
        metrics.events.inc_by(5);
        metrics.records.inc_by(3);
        let rates = Totals::of(&metrics).since(before, Duration::from_millis(2000));
        assert_eq!(
            rates,
            Totals {
                connections: 2,
                sessions: 0,
                frames: 1_000_000,
                events: 2,
                records: 1,
            }
        );
    }

    #[test]
    fn the_shorter_interval_counts_if_lines_are_asked_for() {
        assert_eq!(interval(true, [0, 0]), None);
        assert_eq!(interval(true, [5000, 0]), Some(Duration::from_secs(5)));
        assert_eq!(interval(true, [5000, 2000]), Some(Duration::from_secs(2)));
        assert_eq!(interval(false, [5000, 2000]), None);
    }
}
