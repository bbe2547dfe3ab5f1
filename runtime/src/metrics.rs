//! Figures for whoever watches the server, in the Prometheus text format (`/metrics`).
//!
//! Everything is counted where it happens, without a lock on the paths that matter. Nothing is sent anywhere (Q52).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use comet_core::wire::BadReason;
use comet_core::{Account, Category, CloseCause, ErrorCode, Refused};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::memory::Memory;

type Count = Counter<u64, AtomicU64>;
type Level = Gauge<i64, AtomicI64>;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Code {
    code: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Part {
    category: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Who {
    who: &'static str,
}

/// All figures of one server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Browsers connected now.
    pub(crate) connections: Level,
    /// Browsers that ever connected.
    pub(crate) connections_opened: Count,
    /// CometQL sessions logged in now.
    pub(crate) sessions: Level,
    /// CometQL sessions that ever logged in.
    pub(crate) sessions_opened: Count,
    /// TCP connections accepted, both ports.
    pub(crate) accepted: Count,
    /// Events the core handled.
    pub(crate) events: Count,
    /// Actions the core asked for.
    pub(crate) actions: Count,
    /// Frames queued to browsers, one per receiver.
    pub(crate) frames: Count,
    /// Bytes written to browsers.
    pub(crate) bytes: Count,
    /// Events per turn of the core.
    pub(crate) batch: Histogram,
    /// Batches of events that wait for the core.
    pub(crate) queue_depth: Level,
    /// 1 while writes reach the disk.
    pub(crate) ready: Level,
    /// Records handed to the store.
    pub(crate) records: Count,
    /// Records not on disk yet.
    pub(crate) records_waiting: Level,
    /// Failed attempts to write.
    pub(crate) store_failures: Count,
    /// 1 while a recording goes on.
    pub(crate) recording: Level,
    /// Bytes written to it.
    pub(crate) recording_bytes: Count,
    /// Times the disk was too slow for it.
    pub(crate) recording_gaps: Count,
    /// Recordings that ended by an error.
    pub(crate) recording_failures: Count,
    /// Refused logins.
    pub(crate) logins_refused: Count,
    /// What the runtime takes of the memory budget.
    pub(crate) memory: Arc<Memory>,
    /// 0: there is room, 1: nothing is stored, 2: full.
    pub(crate) memory_state: Level,
    memory_bytes: Family<Part, Level>,
    memory_limit: Level,
    turned_away: Family<Who, Count>,
    /// Of these, not looked at because too many were wrong.
    pub(crate) logins_throttled: Count,
    /// What limits of the core refused.
    refused: Family<Limit, Count>,
    closed: Family<Cause, Count>,
    bad_requests: Family<Reason, Count>,
    query_errors: Family<Code, Count>,
}

impl Metrics {
    /// Without a memory budget.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self::of(Arc::new(Memory::new(0)))
    }

    pub(crate) fn of(memory: Arc<Memory>) -> Self {
        let limit = memory.limit();
        let mut metrics = Self {
            registry: Registry::with_prefix("comet"),
            connections: Level::default(),
            connections_opened: Count::default(),
            sessions: Level::default(),
            sessions_opened: Count::default(),
            accepted: Count::default(),
            events: Count::default(),
            actions: Count::default(),
            frames: Count::default(),
            bytes: Count::default(),
            batch: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            queue_depth: Level::default(),
            ready: Level::default(),
            records: Count::default(),
            records_waiting: Level::default(),
            store_failures: Count::default(),
            recording: Level::default(),
            recording_bytes: Count::default(),
            recording_gaps: Count::default(),
            recording_failures: Count::default(),
            logins_refused: Count::default(),
            memory,
            memory_state: Level::default(),
            memory_bytes: Family::default(),
            memory_limit: Level::default(),
            turned_away: Family::default(),
            logins_throttled: Count::default(),
            refused: Family::default(),
            closed: Family::default(),
            bad_requests: Family::default(),
            query_errors: Family::default(),
        };
        metrics.register_traffic();
        metrics.register_core();
        metrics.register_recording();
        metrics.register_memory();
        metrics.memory_limit.set(level(limit));
        metrics.register_limits();
        metrics.limits_refused(Refused::default(), Refused::default());
        for cause in CloseCause::ALL {
            // Shown as 0 from the beginning.
            drop(metrics.closed.get_or_create(&Cause { cause: cause.label() }));
        }
        metrics
    }

    fn register_traffic(&mut self) {
        let r = &mut self.registry;
        r.register("connections", "Browsers connected now", self.connections.clone());
        r.register(
            "connections_opened",
            "Browsers that connected",
            self.connections_opened.clone(),
        );
        r.register(
            "connections_closed",
            "Ends of browser connections, by cause",
            self.closed.clone(),
        );
        r.register(
            "sessions",
            "CometQL sessions logged in now",
            self.sessions.clone(),
        );
        r.register(
            "sessions_opened",
            "CometQL sessions that logged in",
            self.sessions_opened.clone(),
        );
        r.register("accepted", "TCP connections accepted", self.accepted.clone());
        r.register("frames", "Frames queued to browsers", self.frames.clone());
        r.register("sent_bytes", "Bytes written to browsers", self.bytes.clone());
        r.register(
            "bad_requests",
            "Refused browser commands, by reason",
            self.bad_requests.clone(),
        );
        r.register(
            "query_errors",
            "Refused CometQL statements, by code",
            self.query_errors.clone(),
        );
        r.register(
            "logins_refused",
            "Refused CometQL logins",
            self.logins_refused.clone(),
        );
        r.register(
            "logins_throttled",
            "Logins refused unseen after too many failures",
            self.logins_throttled.clone(),
        );
    }

    fn register_limits(&mut self) {
        self.registry.register(
            "limits_refused",
            "What limits refused, by limit",
            self.refused.clone(),
        );
    }

    fn register_core(&mut self) {
        let r = &mut self.registry;
        r.register("events", "Events handled by the core", self.events.clone());
        r.register("actions", "Actions of the core", self.actions.clone());
        r.register("batch_events", "Events per turn of the core", self.batch.clone());
        r.register(
            "queue_batches",
            "Batches of events waiting for the core",
            self.queue_depth.clone(),
        );
        r.register(
            "ready",
            "1 while accepted changes reach the disk",
            self.ready.clone(),
        );
        r.register(
            "records",
            "Durable changes handed to the store",
            self.records.clone(),
        );
        r.register(
            "records_waiting",
            "Durable changes not on disk yet",
            self.records_waiting.clone(),
        );
        r.register(
            "store_failures",
            "Failed attempts to write",
            self.store_failures.clone(),
        );
    }

    fn register_recording(&mut self) {
        let r = &mut self.registry;
        r.register("recording", "1 while a recording goes on", self.recording.clone());
        r.register(
            "recording_bytes",
            "Bytes written to the recording",
            self.recording_bytes.clone(),
        );
        r.register(
            "recording_gaps",
            "Times the disk was too slow for the recording",
            self.recording_gaps.clone(),
        );
        r.register(
            "recording_failures",
            "Recordings that ended by an error",
            self.recording_failures.clone(),
        );
    }

    fn register_memory(&mut self) {
        let r = &mut self.registry;
        r.register(
            "memory_bytes",
            "Memory of the budget in use, by category",
            self.memory_bytes.clone(),
        );
        r.register(
            "memory_limit_bytes",
            "The memory budget, 0 without a limit",
            self.memory_limit.clone(),
        );
        r.register(
            "memory_state",
            "0 there is room, 1 nothing is stored, 2 full",
            self.memory_state.clone(),
        );
        r.register(
            "memory_turned_away",
            "Who was refused or cut because the memory budget is used up",
            self.turned_away.clone(),
        );
    }

    /// What the core uses at present.
    pub(crate) fn core_memory(&self, account: &Account) {
        for category in Category::ALL {
            self.memory_part(category.name(), account.get(category).bytes);
        }
    }

    fn memory_part(&self, category: &'static str, bytes: u64) {
        let gauge = self.memory_bytes.get_or_create(&Part { category });
        gauge.set(level(bytes));
    }

    /// Somebody was refused or cut because the memory budget is used up.
    pub(crate) fn turned_away(&self, who: &'static str) {
        self.turned_away.get_or_create(&Who { who }).inc();
    }

    pub(crate) fn closed(&self, cause: CloseCause) {
        self.closed.get_or_create(&Cause { cause: cause.label() }).inc();
    }

    /// The core refused more than before.
    pub(crate) fn limits_refused(&self, before: Refused, now: Refused) {
        for (limit, more) in [
            ("keys", now.keys - before.keys),
            ("rate", now.rate - before.rate),
            ("quota", now.quota - before.quota),
            ("address", now.address - before.address),
            ("handshakes", 0),
            ("accepts", 0),
        ] {
            self.refused.get_or_create(&Limit { limit }).inc_by(more);
        }
    }

    /// A limit of the ports refused something.
    pub(crate) fn limit_refused(&self, limit: &'static str) {
        self.refused.get_or_create(&Limit { limit }).inc();
    }

    pub(crate) fn bad_request(&self, reason: BadReason) {
        let label = Reason {
            reason: reason.text(),
        };
        self.bad_requests.get_or_create(&label).inc();
    }

    pub(crate) fn query_error(&self, code: ErrorCode) {
        let label = Code {
            code: u32::from(code.number()),
        };
        self.query_errors.get_or_create(&label).inc();
    }

    /// Everything, in the Prometheus text format.
    pub(crate) fn text(&self) -> String {
        for (category, bytes) in self.memory.outside().parts() {
            self.memory_part(category, bytes);
        }
        let mut text = String::new();
        // Writing into a String cannot fail; an encoder that does leaves the page shorter, no more.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn level(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_cause_and_what_was_counted() {
        let metrics = Metrics::new();
        metrics.closed(CloseCause::SlowConsumer);
        metrics.query_error(ErrorCode::Syntax);
        metrics.bad_request(BadReason::BadMarker);
        let text = metrics.text();
        assert!(
            text.contains("comet_connections_closed_total{cause=\"slow_consumer\"} 1"),
            "{text}"
        );
        assert!(text.contains("cause=\"kicked\"} 0"));
        assert!(text.contains("comet_query_errors_total{code=\"3\"} 1"));
        assert!(text.contains("reason=\"invalid marker\"} 1"));
        assert!(text.ends_with("# EOF\n"));
    }
}
