//! One machine through many crashes: the shipping store on a simulated disk, given the records of a story, checked after
//! every start.
//!
//! What is promised, and checked here:
//! * `durability = fsync`: whatever was reported as persisted is there after a power cut at any operation, with any part
//!   of what was not synced; what is found is exactly the first records of the story; the start is never refused.
//! * `durability = os`: the same after the death of the process; after a power cut some of the newest records may be
//!   missing, but what is found is still exactly the first records.
//! * Errors and a full disk: nothing is reported that is not there, and when the disk works again so does the store,
//!   without a restart. A start that meets an error may fail; the next one without errors may not.
//! * A disk that does not do what it says (`Betrayal`): counted by what became of it, see [`Harm`].

use comet_core::OpId;
use comet_server::config::Durability;
use comet_server::store::{self, Group, StoreError};
use comet_sim::prng::Prng;

use crate::disk::Disk;
use crate::faults::Faults;
use crate::files::Mounted;
use crate::plan::{Betrayal, End, Plan};
use crate::planted::Bug;
use crate::story::Story;

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: u64,
    pub(crate) commits: u64,
    pub(crate) records: u64,
    pub(crate) power_cuts: u64,
    pub(crate) kills: u64,
    pub(crate) faults: u64,
    /// Records that a start found.
    pub(crate) checked: u64,
    pub(crate) harm: Option<(Betrayal, Harm)>,
}

impl Tally {
    /// Adds all numbers.
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.commits += other.commits;
        self.records += other.records;
        self.power_cuts += other.power_cuts;
        self.kills += other.kills;
        self.faults += other.faults;
        self.checked += other.checked;
    }
}

/// What a disk that does not do what it says led to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Harm {
    /// Everything that was acknowledged was there.
    None,
    /// The start was refused.
    Refused,
    /// An older state, as it once was, without anything that tells.
    Older,
    /// A state that never was.
    Silent,
}

impl Harm {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::None => "harmless",
            Self::Refused => "refused",
            Self::Older => "older",
            Self::Silent => "silent",
        }
    }
}

/// What went wrong.
pub(crate) type Finding = String;

/// A machine between two operations.
pub(crate) struct World<'a> {
    story: &'a Story,
    plan: Plan,
    bug: Option<Bug>,
    mounted: Mounted,
    luck: Prng,
    /// How many records were reported as persisted and must survive.
    safe: usize,
    /// How many records were given to the store.
    given: usize,
    /// The most that ever were. After a power cut the story is told again from where it was cut, and what the log still
    /// holds of the first time may fit behind it.
    reached: usize,
    tally: Tally,
}

/// What came of a start.
enum Start {
    Up(Group),
    /// The crash came first, or an I/O error.
    Down,
    Refused,
}

/// Runs a seed.
pub(crate) fn run(seed: u64) -> Result<Tally, Finding> {
    play(seed, Plan::drawn(seed), None)
}

/// Runs a seed on a disk that does what it says: with a mistake it must fail, and without it must not.
pub(crate) fn run_with(seed: u64, bug: Option<Bug>) -> Result<Tally, Finding> {
    let plan = Plan {
        betrayal: None,
        ..Plan::drawn(seed)
    };
    play(seed, plan, bug)
}

fn play(seed: u64, plan: Plan, bug: Option<Bug>) -> Result<Tally, Finding> {
    let mut luck = Prng::keyed(seed, 2);
    let mut story = Story::of(seed, 30);
    story.grow(&mut luck);
    let lives = plan.lives;
    let mut world = World::new(&story, Disk::new(Prng::keyed(seed, 3)), plan, bug, luck);
    for _ in 0..lives {
        if !world.life()? {
            return Ok(world.finish());
        }
    }
    world.last_look()?;
    Ok(world.finish())
}

impl<'a> World<'a> {
    pub(crate) fn new(story: &'a Story, disk: Disk, plan: Plan, bug: Option<Bug>, luck: Prng) -> Self {
        if bug == Some(Bug::NamesNotSynced) {
            disk.forget_names();
        }
        Self {
            story,
            plan,
            bug,
            mounted: Mounted::new(disk),
            luck,
            safe: 0,
            given: 0,
            reached: 0,
            tally: Tally::default(),
        }
    }

    fn disk(&self) -> &Disk {
        &self.mounted.disk
    }

    fn set_faults(&mut self, faults: Faults) {
        self.tally.faults += self.disk().faults().happened.sum();
        self.disk().set_faults(faults);
    }

    pub(crate) fn finish(mut self) -> Tally {
        self.set_faults(Faults::default());
        self.tally.operations = self.disk().count();
        self.tally
    }

    /// From a start to an end. False if the store refused the start for good, which only a betrayal may lead to.
    fn life(&mut self) -> Result<bool, Finding> {
        let end = self.plan.end(&mut self.luck);
        let faults = self.plan.faults(self.disk().count(), end, &mut self.luck);
        self.set_faults(faults);
        match self.start()? {
            Start::Refused => return Ok(false),
            Start::Up(group) => self.work(group, end)?,
            Start::Down => {}
        }
        self.end(end);
        Ok(true)
    }

    /// The same for a crash at a certain operation, and an orderly end if the life is over before. True if it crashed.
    pub(crate) fn life_until(&mut self, crash_at: Option<u64>, end: End) -> Result<bool, Finding> {
        self.set_faults(Faults {
            crash_at,
            ..Faults::default()
        });
        if let Start::Up(group) = self.start()? {
            self.work(group, End::Stop)?;
        }
        let crashed = self.disk().is_dead();
        if crashed {
            self.end(end);
        }
        Ok(crashed)
    }

    /// A start on a disk that works.
    pub(crate) fn last_look(&mut self) -> Result<(), Finding> {
        self.set_faults(Faults::default());
        match self.start()? {
            Start::Up(_) | Start::Refused => Ok(()),
            Start::Down => Err("the last start failed without a reason".to_owned()),
        }
    }

    /// Opens the store and checks what it holds.
    fn start(&mut self) -> Result<Start, Finding> {
        let betrayal = self.plan.betrayal;
        let errors = self.disk().faults().happened.sum();
        let durability = if self.bug == Some(Bug::SyncForgotten) {
            Durability::Os
        } else {
            self.plan.durability
        };
        let opened = store::open_on(
            &self.mounted,
            &self.mounted.dir(),
            durability,
            self.plan.checkpoint_pages,
        );
        let (group, found) = match opened {
            Ok(opened) => opened,
            Err(_) if self.disk().is_dead() || self.disk().faults().happened.sum() > errors => {
                return Ok(Start::Down);
            }
            Err(error) => return self.refused(&error),
        };
        if let Some(position) = self.story.position(&found, self.safe, self.reached) {
            self.given = position;
            self.tally.checked += position as u64;
            if let Some(kind) = betrayal {
                self.tally.harm.get_or_insert((kind, Harm::None));
            }
            return Ok(Start::Up(group));
        }
        let older = self.story.position(&found, 0, self.reached);
        let Some(kind) = betrayal else {
            return Err(match older {
                Some(position) => format!(
                    "{} records were acknowledged, the first {position} are there",
                    self.safe
                ),
                None => format!(
                    "the store holds a state that never was ({} acknowledged, {} given)",
                    self.safe, self.given
                ),
            });
        };
        let harm = if older.is_some() {
            Harm::Older
        } else {
            Harm::Silent
        };
        self.tally.harm = Some((kind, harm));
        Ok(Start::Refused)
    }

    fn refused(&mut self, error: &StoreError) -> Result<Start, Finding> {
        let text = error.to_string();
        if text.lines().count() != 1 {
            return Err(format!("a refusal is one line: {text}"));
        }
        let Some(kind) = self.plan.betrayal else {
            return Err(format!("the start was refused: {text}"));
        };
        self.tally.harm = Some((kind, Harm::Refused));
        Ok(Start::Refused)
    }

    /// Commits until the crash or the end of the story; then, or before an orderly end, with a disk that works.
    fn work(&mut self, mut group: Group, end: End) -> Result<(), Finding> {
        // The numbers of a life begin with 1.
        let first = self.given;
        let commits = match self.plan.commits {
            Some(commits) => commits,
            None => self.luck.between(1, 30),
        };
        for _ in 0..commits {
            let count = self.luck.between(1, self.plan.batch) as usize;
            self.give(&mut group, first, count);
            self.reached = self.reached.max(self.given);
            self.attempt(&mut group, first);
            if self.disk().is_dead() || (group.is_empty() && self.given == self.story.len()) {
                break;
            }
        }
        if self.disk().is_dead() {
            return Ok(());
        }
        if !group.is_empty() && self.luck.percent(80) {
            let crash_at = self.disk().faults().crash_at;
            self.set_faults(Faults {
                crash_at,
                ..Faults::default()
            });
            self.attempt(&mut group, first);
            if !group.is_empty() && !self.disk().is_dead() {
                return Err("the disk works again, and the store does not".to_owned());
            }
        }
        if end == End::Stop {
            let waits = !group.is_empty();
            let closed = group.close();
            // Nobody was told that what still waits is safe.
            let excused = waits || self.disk().is_dead() || self.disk().faults().happened.sum() > 0;
            if closed.is_err() && !excused {
                return Err(format!("an orderly end failed: {closed:?}"));
            }
        } else {
            // Whatever the process would still do does not happen.
            self.disk().die();
        }
        Ok(())
    }

    fn give(&mut self, group: &mut Group, first: usize, count: usize) {
        if self.bug == Some(Bug::OutsideTheTransaction)
            && group.is_empty()
            && let Some(last) = self.story.get(self.given + count)
        {
            // One record more than asked for, and the last of them goes first.
            group.take(OpId((self.given - first + 1) as u64), last.clone());
            // Whether this works is not the question.
            let _ = group.attempt();
            for at in 0..count {
                if let Some(record) = self.story.get(self.given + at) {
                    group.take(OpId((self.given - first + at + 2) as u64), record.clone());
                }
            }
            self.given += count + 1;
            return;
        }
        for _ in 0..count {
            let Some(record) = self.story.get(self.given) else {
                return;
            };
            self.given += 1;
            group.take(OpId((self.given - first) as u64), record.clone());
        }
    }

    /// One attempt; what it reports must survive.
    fn attempt(&mut self, group: &mut Group, first: usize) {
        let Some(upto) = group.upto() else { return };
        if self.bug == Some(Bug::AcknowledgedEarly) {
            self.safe = first + upto.0 as usize;
        }
        let count = group.len() as u64;
        if group.attempt().is_ok() || self.bug == Some(Bug::FailureAcknowledged) {
            self.safe = first + upto.0 as usize;
            self.tally.commits += 1;
            self.tally.records += count;
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Power => {
                self.disk().cut_power();
                self.tally.power_cuts += 1;
                if self.plan.durability == Durability::Os {
                    self.safe = 0;
                }
                if self.plan.betrayal == Some(Betrayal::BitRot) && self.luck.percent(50) {
                    let file = if self.luck.percent(50) {
                        "comet.db"
                    } else {
                        "comet.db-wal"
                    };
                    self.tally.faults += u64::from(self.disk().rot(file));
                }
            }
            End::Kill => {
                self.disk().restart();
                self.tally.kills += 1;
            }
            End::Stop => {}
        }
    }
}

#[cfg(test)]
mod tests;
