//! A disk in memory, with a page cache above it and faults in it. Everything the store does to files is an operation
//! here; the operations are numbered, and each of them may be the last one before the power fails.
//!
//! A file has two contents: what processes see (the page cache) and what is on the medium. A write changes the first
//! and waits; `sync` brings what waits to the medium. Names of files wait for `sync_dir` in the same way. A power cut
//! (`cut.rs`) leaves the medium and an arbitrary part of what waited; the death of the process alone leaves everything.
//! The rules of a real file system are hardly ever as bad as these.

mod cut;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use comet_sim::prng::Prng;

use crate::faults::{Fate, Faults, Op};

/// No file is larger; a number of pages that bits fell out of would have SQLite write far behind its end.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Why an operation failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Error {
    /// EIO; also everything after the crash.
    Io,
    /// ENOSPC.
    Full,
    /// ENOENT.
    Missing,
}

/// A file, whatever its name is by now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Inode(usize);

/// A change that the medium does not have yet.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

/// A change of the directory that the medium does not have yet.
#[derive(Clone, Debug)]
enum Naming {
    Create(String, Inode),
    Delete(String),
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// What processes see.
    cache: Vec<u8>,
    /// What survives.
    medium: Vec<u8>,
    waiting: Vec<Change>,
}

#[derive(Clone, Debug)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, Inode>,
    safe_names: BTreeMap<String, Inode>,
    naming: Vec<Naming>,
    faults: Faults,
    luck: Prng,
    /// Operations so far.
    count: u64,
    /// The process or the machine is dead: nothing works until the next start.
    dead: bool,
    /// A planted mistake: nobody syncs names.
    names_get_lost: bool,
}

/// The disk of one machine.
#[derive(Debug)]
pub(crate) struct Disk(Mutex<State>);

impl Disk {
    /// An empty disk.
    pub(crate) fn new(luck: Prng) -> Self {
        Self(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            naming: Vec::new(),
            faults: Faults::default(),
            luck,
            count: 0,
            dead: false,
            names_get_lost: false,
        }))
    }

    /// Another disk with the same content and other luck.
    pub(crate) fn copy(&self, luck: Prng) -> Self {
        let state = State {
            luck,
            ..self.state().clone()
        };
        Self(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong from now on.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Makes the planted mistake that nobody syncs names.
    pub(crate) fn forget_names(&self) {
        self.state().names_get_lost = true;
    }

    /// The faults that happened.
    pub(crate) fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// Operations so far.
    pub(crate) fn count(&self) -> u64 {
        self.state().count
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Nothing works from now on.
    pub(crate) fn die(&self) {
        self.state().dead = true;
    }

    /// The process died and a new one begins: it sees all that the old one wrote.
    pub(crate) fn restart(&self) {
        self.state().dead = false;
    }

    /// Opens a file, or makes it.
    pub(crate) fn open(&self, name: &str, create: bool) -> Result<Inode, Error> {
        let mut state = self.state();
        state.simple(Op::Open)?;
        if let Some(found) = state.names.get(name) {
            return Ok(*found);
        }
        if !create {
            return Err(Error::Missing);
        }
        let inode = state.add();
        state.names.insert(name.to_owned(), inode);
        state.naming.push(Naming::Create(name.to_owned(), inode));
        Ok(inode)
    }

    /// How many bytes were read; fewer at the end of the file.
    pub(crate) fn read(&self, inode: Inode, at: usize, into: &mut [u8]) -> Result<usize, Error> {
        let mut state = self.state();
        state.simple(Op::Read)?;
        let cache = &state.file(inode).cache;
        let from = cache.get(at..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    /// The whole content.
    pub(crate) fn read_all(&self, inode: Inode) -> Result<Vec<u8>, Error> {
        let mut state = self.state();
        state.simple(Op::Read)?;
        Ok(state.file(inode).cache.clone())
    }

    pub(crate) fn write(&self, inode: Inode, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let end = at.saturating_add(bytes.len());
        if end > FILE_BYTES_MAX {
            return Err(Error::Full);
        }
        let grows = end > state.file(inode).cache.len();
        let fate = state.fate(Op::Write {
            bytes: bytes.len(),
            grows,
        });
        match fate {
            Fate::Done => state.write(inode, at, bytes),
            Fate::Fails(error) => return Err(error),
            Fate::Partly(count, error) => {
                state.write(inode, at, bytes.get(..count).unwrap_or(bytes));
                return Err(error);
            }
            Fate::NeverReachesTheMedium => put(&mut state.file(inode).cache, at, bytes),
            Fate::Elsewhere(place) => {
                put(&mut state.file(inode).cache, at, bytes);
                let len = state.file(inode).cache.len().max(1);
                // Disks miss by whole sectors.
                let at = place as usize % len / SECTOR * SECTOR;
                let bytes = bytes.to_vec();
                state.file(inode).waiting.push(Change::Write { at, bytes });
            }
        }
        Ok(())
    }

    pub(crate) fn truncate(&self, inode: Inode, len: usize) -> Result<(), Error> {
        let mut state = self.state();
        state.simple(Op::Truncate)?;
        if len > FILE_BYTES_MAX {
            return Err(Error::Full);
        }
        let file = state.file(inode);
        file.cache.resize(len, 0);
        file.waiting.push(Change::Truncate { len });
        Ok(())
    }

    pub(crate) fn sync(&self, inode: Inode) -> Result<(), Error> {
        let mut state = self.state();
        match state.fate(Op::Sync) {
            Fate::Done => {
                let file = state.file(inode);
                for change in file.waiting.drain(..) {
                    change.apply(&mut file.medium);
                }
                Ok(())
            }
            // The lie.
            Fate::NeverReachesTheMedium | Fate::Elsewhere(_) => Ok(()),
            Fate::Fails(error) => Err(error),
            // As Linux does: the failure is told once, and what waited is never written unless it is written again.
            Fate::Partly(count, error) => {
                let file = state.file(inode);
                let kept = count % (file.waiting.len() + 1);
                for change in file.waiting.drain(..).take(kept) {
                    change.apply(&mut file.medium);
                }
                Err(error)
            }
        }
    }

    /// Nothing is remembered of the file: what processes see is what the disk has, or was asked to write.
    pub(crate) fn reread(&self, inode: Inode) -> Result<(), Error> {
        let mut state = self.state();
        state.simple(Op::Read)?;
        let file = state.file(inode);
        file.cache.clone_from(&file.medium);
        for change in &file.waiting {
            change.apply(&mut file.cache);
        }
        Ok(())
    }

    /// The length of the file.
    pub(crate) fn len(&self, inode: Inode) -> Result<usize, Error> {
        let mut state = self.state();
        state.simple(Op::Look)?;
        Ok(state.file(inode).cache.len())
    }

    pub(crate) fn find(&self, name: &str) -> Result<Option<Inode>, Error> {
        let mut state = self.state();
        state.simple(Op::Look)?;
        Ok(state.names.get(name).copied())
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.simple(Op::Name)?;
        state.names.remove(name).ok_or(Error::Missing)?;
        state.naming.push(Naming::Delete(name.to_owned()));
        Ok(())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.simple(Op::Name)?;
        let naming = Naming::Rename(from.to_owned(), to.to_owned());
        naming.apply(&mut state.names);
        state.naming.push(naming);
        Ok(())
    }

    pub(crate) fn sync_dir(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.simple(Op::SyncDir)?;
        if state.names_get_lost {
            return Ok(());
        }
        for naming in std::mem::take(&mut state.naming) {
            naming.apply(&mut state.safe_names);
        }
        Ok(())
    }

    /// Every file that has a name: what processes see.
    pub(crate) fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        let content = |(name, inode): (&String, &Inode)| (name.clone(), state.files[inode.0].cache.clone());
        state.names.iter().map(content).collect()
    }
}

/// What a disk writes at once.
const SECTOR: usize = 512;

impl State {
    fn add(&mut self) -> Inode {
        self.files.push(Content::default());
        Inode(self.files.len() - 1)
    }

    fn file(&mut self, inode: Inode) -> &mut Content {
        &mut self.files[inode.0]
    }

    fn fate(&mut self, op: Op) -> Fate {
        if self.dead {
            return Fate::Fails(Error::Io);
        }
        self.count += 1;
        let fate = self.faults.fate(self.count, op, &mut self.luck);
        self.dead = self.faults.crashed;
        fate
    }

    /// An operation that either works or does not.
    fn simple(&mut self, op: Op) -> Result<(), Error> {
        match self.fate(op) {
            Fate::Done | Fate::NeverReachesTheMedium | Fate::Elsewhere(_) => Ok(()),
            Fate::Fails(error) | Fate::Partly(_, error) => Err(error),
        }
    }

    fn write(&mut self, inode: Inode, at: usize, bytes: &[u8]) {
        let file = self.file(inode);
        put(&mut file.cache, at, bytes);
        let bytes = bytes.to_vec();
        file.waiting.push(Change::Write { at, bytes });
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Truncate { len } => content.resize(*len, 0),
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Delete(name) => {
                names.remove(name);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

/// Writes over and behind the end; a hole is zeros.
fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}
