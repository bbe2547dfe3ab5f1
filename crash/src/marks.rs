//! The recording of a real process' file operations, and marks of its clients among them: who had sent and been told what
//! before which operation. The preloaded library (`shim.c`) and this program append to one file, each record with a
//! single write, so their order in the file is one in which things can have happened: a mark is written after its answer
//! came, an operation before the process goes on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Kind (4 bytes), length of what follows (4), number of the file or worker (8), offset or count (8); little endian.
const HEADER: usize = 24;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Opened { file: u64, name: String },
    Written { file: u64, at: usize, bytes: Vec<u8> },
    Truncated { file: u64, len: usize },
    Synced { file: u64 },
    NamesSynced,
    Deleted { name: String },
    Renamed { from: String, to: String },
    Sent { worker: u32, count: usize },
    Acknowledged { worker: u32, count: usize },
}

/// Writes marks.
#[derive(Debug)]
pub(crate) struct Marks(Mutex<File>);

impl Marks {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = File::options().create(true).append(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The worker is about to have sent so many statements.
    pub(crate) fn sent(&self, worker: u32, count: usize) -> Result<(), String> {
        self.mark(b'N', worker, count)
    }

    /// So many of the worker's statements were answered OK.
    pub(crate) fn acknowledged(&self, worker: u32, count: usize) -> Result<(), String> {
        self.mark(b'M', worker, count)
    }

    fn mark(&self, kind: u8, worker: u32, count: usize) -> Result<(), String> {
        let mut record = Vec::with_capacity(HEADER);
        record.extend_from_slice(&u32::from(kind).to_le_bytes());
        record.extend_from_slice(&0_u32.to_le_bytes());
        record.extend_from_slice(&u64::from(worker).to_le_bytes());
        record.extend_from_slice(&(count as u64).to_le_bytes());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record)
            .map_err(|error| format!("the recording cannot be written: {error}"))
    }
}

/// Reads a recording; a torn end is left out.
pub(crate) fn read(mut bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let word = |at: usize| {
            header
                .get(at..at + 4)
                .and_then(|word| word.try_into().ok())
                .map_or(0, u32::from_le_bytes)
        };
        let long = |at: usize| {
            header
                .get(at..at + 8)
                .and_then(|long| long.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        };
        let Some((payload, rest)) = rest.split_at_checked(word(4) as usize) else {
            break;
        };
        let kind = u8::try_from(word(0)).map_err(|_| "the recording is not one".to_owned())?;
        entries.push(entry(kind, long(8), long(16), payload)?);
        bytes = rest;
    }
    Ok(entries)
}

fn entry(kind: u8, number: u64, at: u64, payload: &[u8]) -> Result<Entry, String> {
    let text = || String::from_utf8_lossy(payload).into_owned();
    let count = at as usize;
    Ok(match kind {
        b'O' => Entry::Opened {
            file: number,
            name: text(),
        },
        b'W' => Entry::Written {
            file: number,
            at: count,
            bytes: payload.to_vec(),
        },
        b'T' => Entry::Truncated {
            file: number,
            len: count,
        },
        b'S' => Entry::Synced { file: number },
        b'D' => Entry::NamesSynced,
        b'U' => Entry::Deleted { name: text() },
        b'R' => {
            let names = text();
            let (from, to) = names.split_once('\n').ok_or("a renaming has two names")?;
            Entry::Renamed {
                from: from.to_owned(),
                to: to.to_owned(),
            }
        }
        b'N' => Entry::Sent {
            worker: number as u32,
            count,
        },
        b'M' => Entry::Acknowledged {
            worker: number as u32,
            count,
        },
        other => return Err(format!("a record of kind {other} in the recording")),
    })
}
