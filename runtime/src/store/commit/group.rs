//! The body of group commit, without a thread: records go in, one attempt brings all of them to the disk or none.
//!
//! Promises: after an attempt that succeeded every record taken before it is in the store, with `durability = fsync` on
//! the disk; after one that failed nothing of it is, and the records are kept in order for the next. (The failed attempt
//! may still turn up after a crash, as a whole and in order.)

use std::path::PathBuf;

use comet_core::{OpId, Record};
use rusqlite::{Connection, TransactionBehavior};

use super::stats::{StatsHandle, record_bytes};
use crate::store::{StoreError, open, write};

/// Most records in one transaction, but for those given together with the last one, and unless a failing disk has kept them waiting: bounds the time until the first of
/// them is acknowledged.
pub(super) const BATCH_RECORDS_MAX: usize = 8192;
/// Most bytes of records in one transaction, as `record_bytes` counts them, but for the last record.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;

/// An open store and the records that the next transaction covers.
#[derive(Debug)]
pub struct Group {
    connection: Connection,
    path: PathBuf,
    stats: StatsHandle,
    /// In order.
    batch: Vec<(OpId, Record)>,
    batch_bytes: usize,
    /// The newest record ever taken.
    pub(super) newest: OpId,
}

impl Group {
    pub(in crate::store) fn new(connection: Connection, path: PathBuf) -> Self {
        Self {
            connection,
            path,
            stats: StatsHandle::default(),
            batch: Vec::new(),
            batch_bytes: 0,
            newest: OpId(0),
        }
    }

    /// Counters for metrics, readable from any thread.
    pub fn stats(&self) -> StatsHandle {
        self.stats.clone()
    }

    /// Takes a record. Numbers must ascend.
    pub fn take(&mut self, op: OpId, record: Record) {
        assert!(op > self.newest, "records are numbered in order");
        self.newest = op;
        self.batch_bytes += record_bytes(&record);
        self.batch.push((op, record));
    }

    /// Whether the next transaction should take more.
    pub fn has_room(&self) -> bool {
        self.batch.len() < BATCH_RECORDS_MAX && self.batch_bytes < BATCH_BYTES_MAX
    }

    /// The newest record that waits.
    pub fn upto(&self) -> Option<OpId> {
        self.batch.last().map(|(op, _)| *op)
    }

    /// How many records wait.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// One transaction; on failure nothing of it stays.
    pub fn attempt(&mut self) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (_, record) in &self.batch {
            write::write(&transaction, record)?;
        }
        transaction.commit()?;
        self.stats.written(self.batch.len(), self.batch_bytes);
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn unwritten(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::Unwritten {
            path: self.path.clone(),
            records: self.stats.snapshot().pending_records,
            cause: error.to_string(),
        }
    }

    /// Everything is on disk already; folding the log only saves the next start the work.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { connection, path, .. } = self;
        if let Err(error) = connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())) {
            tracing::warn!(%error, "the log of the store could not be folded into its main file");
        }
        connection
            .close()
            .map_err(|(_, error)| open::from_sqlite(&path, error))
    }
}
