//! What a seed is about: one world of faults. Each kind of fault is switched off in most worlds, since a fault that happens
//! always hides what the others would show.

use comet_server::config::Durability;
use comet_sim::prng::Prng;

use crate::faults::Faults;

/// How a life of the server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The power fails: what was not synced may be lost.
    Power,
    /// The process dies: everything that was written stays.
    Kill,
    /// It is stopped in order.
    Stop,
}

/// Faults that no program can survive, because the disk does not do what it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Betrayal {
    /// Syncs that do nothing.
    LyingSync,
    /// Writes that never reach the medium.
    LostWrite,
    /// Writes that arrive at another place.
    MisdirectedWrite,
    /// Bits that turn over while the machine is off.
    BitRot,
}

impl Betrayal {
    pub(crate) const ALL: [Self; 4] = [
        Self::LyingSync,
        Self::LostWrite,
        Self::MisdirectedWrite,
        Self::BitRot,
    ];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::LyingSync => "lying_sync",
            Self::LostWrite => "lost_write",
            Self::MisdirectedWrite => "misdirected_write",
            Self::BitRot => "bit_rot",
        }
    }
}

/// One world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) durability: Durability,
    /// Crashes of the machine happen, not only of the process.
    pub(crate) power: bool,
    pub(crate) lives: u64,
    /// Commits of a life; drawn for each life if there is no number.
    pub(crate) commits: Option<u64>,
    /// Most records in a commit.
    pub(crate) batch: u64,
    /// Pages in the log before they are folded.
    pub(crate) checkpoint_pages: u32,
    /// Most operations until a crash.
    pub(crate) reach: u64,
    /// Rate of I/O errors, per thousand operations; 0 in most worlds.
    pub(crate) io_errors: u64,
    /// The disk fills up now and then.
    pub(crate) fills: bool,
    pub(crate) betrayal: Option<Betrayal>,
}

impl Plan {
    pub(crate) fn drawn(seed: u64) -> Self {
        let mut luck = Prng::keyed(seed, 1);
        let betrayal = Betrayal::ALL[luck.below(4) as usize];
        Self {
            durability: if luck.percent(75) {
                Durability::Fsync
            } else {
                Durability::Os
            },
            power: luck.percent(80),
            lives: luck.pick(&[2, 5, 10, 20]),
            commits: None,
            batch: luck.pick(&[1, 3, 10, 40]),
            checkpoint_pages: [5, 20, 60, 1000][luck.below(4) as usize],
            reach: luck.pick(&[20, 100, 400, 1500]),
            io_errors: if luck.percent(30) {
                luck.pick(&[2, 20, 150])
            } else {
                0
            },
            fills: luck.percent(30),
            betrayal: luck.percent(15).then_some(betrayal),
        }
    }

    pub(crate) fn end(&self, luck: &mut Prng) -> End {
        match luck.below(10) {
            0 => End::Stop,
            1..=3 => End::Kill,
            _ if self.power => End::Power,
            _ => End::Kill,
        }
    }

    /// What goes wrong in the next life, which begins after `count` operations.
    pub(crate) fn faults(&self, count: u64, end: End, luck: &mut Prng) -> Faults {
        let rate = |kind| {
            if self.betrayal == Some(kind) { 30 } else { 0 }
        };
        Faults {
            crash_at: (end != End::Stop).then(|| count + 1 + luck.below(self.reach)),
            io_errors: self.io_errors,
            full_until: if self.fills && luck.percent(50) {
                count + luck.below(self.reach)
            } else {
                0
            },
            lies: rate(Betrayal::LyingSync) * 10,
            lost: rate(Betrayal::LostWrite),
            misdirected: rate(Betrayal::MisdirectedWrite),
            ..Faults::default()
        }
    }
}
