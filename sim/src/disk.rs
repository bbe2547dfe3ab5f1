//! The simulated store: keeps records in order, commits them in groups after a while, may fail for a while, and
//! loses at a crash whatever was not committed (durability `fsync`).

use std::collections::VecDeque;

use comet_core::{Durable, OpId, Record};

/// A disk of one server.
#[derive(Debug, Default)]
pub struct Disk {
    /// What survives, in order.
    pub safe: Vec<Record>,
    /// What was handed over but is not committed.
    pub waiting: VecDeque<(OpId, Record)>,
    /// The newest record of the commit under way.
    pub committing: Option<OpId>,
    /// The newest record ever handed over in this life of the server.
    pub newest: OpId,
    /// Until when writing fails, in virtual microseconds.
    pub fails_until: u64,
}

/// What a commit came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Commit {
    /// Everything up to here is safe.
    Done(OpId),
    /// Nothing of the attempt is safe.
    Failed(OpId),
}

impl Disk {
    /// Takes a record over. Numbers must ascend without gaps.
    pub fn take(&mut self, op: OpId, record: Record) -> Result<(), String> {
        if op.0 != self.newest.0 + 1 {
            return Err(format!("record {} follows record {}", op.0, self.newest.0));
        }
        self.newest = op;
        self.waiting.push_back((op, record));
        Ok(())
    }

    /// Begins a commit of everything that waits; false if there is nothing to do or one is under way.
    pub fn begin(&mut self) -> bool {
        if self.committing.is_some() {
            return false;
        }
        self.committing = self.waiting.back().map(|(op, _)| *op);
        self.committing.is_some()
    }

    /// Ends the commit under way.
    pub fn end(&mut self, now: u64) -> Option<Commit> {
        let upto = self.committing.take()?;
        if now < self.fails_until {
            return Some(Commit::Failed(upto));
        }
        self.settle(upto);
        Some(Commit::Done(upto))
    }

    fn settle(&mut self, upto: OpId) {
        while self.waiting.front().is_some_and(|(op, _)| *op <= upto) {
            if let Some((_, record)) = self.waiting.pop_front() {
                self.safe.push(record);
            }
        }
    }

    /// The power fails. `finished`: the commit under way just made it, but nobody was told. `torn`: whatever
    /// the commit came to, everything up to this record is there (planted bug).
    pub fn crash(&mut self, now: u64, finished: bool, torn: Option<OpId>) {
        if let Some(upto) = self.committing.take()
            && finished
            && now >= self.fails_until
        {
            self.settle(upto);
        }
        self.settle(torn.unwrap_or_default());
        self.waiting.clear();
        self.newest = OpId(0);
    }

    /// What a new server finds.
    pub fn fold(&self) -> Durable {
        let mut durable = Durable::default();
        for record in &self.safe {
            durable.apply(record);
        }
        durable
    }

    /// What a store that wrote everything would hold.
    pub fn fold_all(&self) -> Durable {
        let mut durable = self.fold();
        for (_, record) in &self.waiting {
            durable.apply(record);
        }
        durable
    }
}
