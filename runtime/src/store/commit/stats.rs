//! Counters of the commit thread, for metrics. Relaxed atomics: each number is true, their sum at one instant is not
//! promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use comet_core::Record;

/// What the store has done since the start of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreStats {
    /// Records on disk.
    pub records_written: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Records in the newest transaction.
    pub last_batch: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Records accepted and not on disk yet.
    pub pending_records: u64,
    /// Their size, bytes.
    pub pending_bytes: u64,
}

/// Access to the counters from any thread.
#[derive(Clone, Debug, Default)]
pub struct StatsHandle(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    records_written: AtomicU64,
    commits: AtomicU64,
    last_batch: AtomicU64,
    failures: AtomicU64,
    pending_records: AtomicU64,
    pending_bytes: AtomicU64,
}

impl StatsHandle {
    /// The counters now.
    pub fn snapshot(&self) -> StoreStats {
        let counters = &self.0;
        StoreStats {
            records_written: counters.records_written.load(Relaxed),
            commits: counters.commits.load(Relaxed),
            last_batch: counters.last_batch.load(Relaxed),
            failures: counters.failures.load(Relaxed),
            pending_records: counters.pending_records.load(Relaxed),
            pending_bytes: counters.pending_bytes.load(Relaxed),
        }
    }

    pub(super) fn queued(&self, record: &Record) {
        let bytes = record_bytes(record) as u64;
        self.0.pending_records.fetch_add(1, Relaxed);
        self.0.pending_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.0.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn written(&self, records: usize, bytes: usize) {
        let records = records as u64;
        self.0.records_written.fetch_add(records, Relaxed);
        self.0.commits.fetch_add(1, Relaxed);
        self.0.last_batch.store(records, Relaxed);
        self.0.pending_records.fetch_sub(records, Relaxed);
        self.0.pending_bytes.fetch_sub(bytes as u64, Relaxed);
    }
}

/// What a record weighs in the bounds of a group and in the counters, bytes: its texts, and a flat sum for the rest.
pub(super) fn record_bytes(record: &Record) -> usize {
    const REST: usize = 64;
    const SEQ: usize = 8;
    REST + match record {
        Record::KeySet { hash, .. } => hash.reveal().len(),
        Record::DataSet { data, .. } => data.as_str().len(),
        Record::MessageQueued { message, .. } => message.event.as_str().len() + message.body.as_str().len(),
        Record::MessagesRemoved { seqs, .. } | Record::HistoryRemoved { seqs, .. } => seqs.len() * SEQ,
        Record::HistoryLengthSet { channel, .. } | Record::HistorySettingDeleted { channel, .. } => {
            channel.as_str().len()
        }
        Record::HistoryAppended { channel, message, .. } => {
            channel.as_str().len() + message.event.as_str().len() + message.body.as_str().len()
        }
        Record::TokenRevoked { token, .. } | Record::TokenRestored { token, .. } => token.reveal().len(),
        Record::KeyDeleted { .. }
        | Record::DataDeleted { .. }
        | Record::UserOnline { .. }
        | Record::UserOffline { .. }
        | Record::EverybodyOffline { .. } => 0,
    }
}
