//! What goes wrong, decided operation by operation by the luck of the disk.

use comet_sim::prng::Prng;

use crate::disk::Error;

/// One file operation, as far as its fate depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Op {
    Open,
    Read,
    Write {
        bytes: usize,
        grows: bool,
    },
    Truncate,
    Sync,
    SyncDir,
    /// Whether a file is there, and how long it is.
    Look,
    /// Deleting and renaming.
    Name,
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Done,
    Fails(Error),
    /// So many bytes are written, then it fails; a sync drops what waited.
    Partly(usize, Error),
    /// It is reported as done, and after the next power cut it never happened.
    NeverReachesTheMedium,
    /// It is reported as done, and went to another place of the file.
    Elsewhere(u64),
}

/// The kinds of faults, and how often each happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) io_errors: u64,
    pub(crate) full: u64,
    pub(crate) short_writes: u64,
    pub(crate) lies: u64,
    pub(crate) lost: u64,
    pub(crate) misdirected: u64,
}

impl Happened {
    pub(crate) fn sum(&self) -> u64 {
        let Self {
            io_errors,
            full,
            short_writes,
            lies,
            lost,
            misdirected,
        } = self;
        io_errors + full + short_writes + lies + lost + misdirected
    }
}

/// The settings of a disk, and what they led to. Rates are per thousand operations of the kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// The operation, counted from the disk's first, at which everything ends.
    pub(crate) crash_at: Option<u64>,
    pub(crate) io_errors: u64,
    /// The operation, counted from the disk's first, that fails.
    pub(crate) fails_at: Option<u64>,
    /// Operations before this one find the disk full when they need room.
    pub(crate) full_until: u64,
    /// Names cannot be synced.
    pub(crate) names_fail: bool,
    /// Syncs fail, and what waited is forgotten.
    pub(crate) syncs_fail: bool,
    /// Syncs that do nothing.
    pub(crate) lies: u64,
    /// Writes that never arrive.
    pub(crate) lost: u64,
    /// Writes that arrive elsewhere.
    pub(crate) misdirected: u64,
    pub(crate) happened: Happened,
    /// The operation was reached.
    pub(crate) crashed: bool,
}

impl Faults {
    pub(crate) fn fate(&mut self, count: u64, op: Op, luck: &mut Prng) -> Fate {
        if self.crash_at.is_some_and(|at| count >= at) {
            self.crashed = true;
            return match op {
                Op::Write { bytes, .. } => Fate::Partly(luck.below(bytes as u64 + 1) as usize, Error::Io),
                Op::Open | Op::Read | Op::Truncate | Op::Sync | Op::SyncDir | Op::Look | Op::Name => {
                    Fate::Fails(Error::Io)
                }
            };
        }
        if self.fails_at == Some(count) {
            self.happened.io_errors += 1;
            return Fate::Fails(Error::Io);
        }
        match op {
            Op::Write { bytes, grows } => self.write(count, bytes, grows, luck),
            Op::Sync => self.sync(luck),
            Op::Open | Op::Read | Op::Truncate | Op::SyncDir | Op::Look | Op::Name => {
                if (self.names_fail && op == Op::SyncDir) || happens(self.io_errors, luck) {
                    self.happened.io_errors += 1;
                    return Fate::Fails(Error::Io);
                }
                Fate::Done
            }
        }
    }

    fn write(&mut self, count: u64, bytes: usize, grows: bool, luck: &mut Prng) -> Fate {
        let part = luck.below(bytes as u64) as usize;
        if grows && count < self.full_until {
            self.happened.full += 1;
            return if luck.percent(50) {
                Fate::Fails(Error::Full)
            } else {
                self.happened.short_writes += 1;
                Fate::Partly(part, Error::Full)
            };
        }
        if happens(self.io_errors, luck) {
            self.happened.io_errors += 1;
            return Fate::Partly(part, Error::Io);
        }
        if happens(self.lost, luck) {
            self.happened.lost += 1;
            return Fate::NeverReachesTheMedium;
        }
        if happens(self.misdirected, luck) {
            self.happened.misdirected += 1;
            return Fate::Elsewhere(luck.next());
        }
        Fate::Done
    }

    fn sync(&mut self, luck: &mut Prng) -> Fate {
        if self.syncs_fail {
            self.happened.io_errors += 1;
            return Fate::Partly(0, Error::Io);
        }
        if happens(self.io_errors, luck) {
            self.happened.io_errors += 1;
            let kept = luck.next() as usize;
            return if luck.percent(50) {
                Fate::Fails(Error::Io)
            } else {
                Fate::Partly(kept, Error::Io)
            };
        }
        if happens(self.lies, luck) {
            self.happened.lies += 1;
            return Fate::NeverReachesTheMedium;
        }
        Fate::Done
    }
}

fn happens(rate: u64, luck: &mut Prng) -> bool {
    rate > 0 && luck.below(1000) < rate
}
