//! A segment back from its bytes, as far as it is whole.

use alloc::vec::Vec;
use core::fmt;

use serde::de::DeserializeOwned;

use super::{ANSWER, BLOCK_HEAD, EVENT, Head, MAGIC};
use crate::engine::{CheckpointError, Core};
use crate::event::Event;
use crate::time::{Mono, Now, UnixMillis};

/// Why a segment cannot be replayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// It is no segment of a recording.
    NoRecording,
    /// It ends before its checkpoint does, so there is nothing to begin with.
    NoCheckpoint,
    /// Another version wrote it, or its checkpoint is damaged.
    Checkpoint(CheckpointError),
    /// Whole blocks that hold something else than entries.
    Damaged,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecording => f.write_str("this is no recording of comet-server"),
            Self::NoCheckpoint => f.write_str("the recording ends before its checkpoint does"),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Damaged => f.write_str("the recording is damaged"),
        }
    }
}

impl core::error::Error for ReadError {}

/// An event and the digests of what it brought about.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// The time the core was told.
    pub now: Now,
    /// What happened.
    pub event: Event,
    /// One digest per action; `None` if the server ended before it had told.
    pub answer: Option<Vec<u32>>,
}

/// A segment of a recording.
#[derive(Clone, PartialEq, Debug)]
pub struct Segment<'a> {
    /// What it says about itself.
    pub head: Head,
    /// The state it begins with.
    pub checkpoint: &'a [u8],
    /// What happened then.
    pub entries: Vec<Entry>,
    /// The file ends within a block, which is left out: the server or the machine died.
    pub torn: bool,
}

impl<'a> Segment<'a> {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, ReadError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(ReadError::NoRecording)?;
        let (head, rest): (Head, _) = postcard::take_from_bytes(rest).map_err(|_| ReadError::NoCheckpoint)?;
        let (version, format) = Core::checkpoint_version();
        if (head.version.0.as_str(), head.version.1) != (version, format) {
            let (version, format) = head.version;
            return Err(ReadError::Checkpoint(CheckpointError::OtherVersion {
                version,
                format,
            }));
        }
        let (checkpoint, mut rest) = block(&head, rest).ok_or(ReadError::NoCheckpoint)?;
        let mut read = Entries::default();
        let mut entries = Vec::new();
        while let Some((bytes, behind)) = block(&head, rest) {
            append(&mut read, bytes, &mut entries).ok_or(ReadError::Damaged)?;
            rest = behind;
        }
        Ok(Self {
            head,
            checkpoint,
            entries,
            torn: !rest.is_empty(),
        })
    }

    /// The core as it was at the beginning.
    ///
    /// # Errors
    /// The checkpoint is damaged or of another version.
    pub fn core(&self) -> Result<Core, ReadError> {
        Core::restore(self.checkpoint).map_err(ReadError::Checkpoint)
    }
}

/// A whole block and what is behind it.
fn block<'a>(of: &Head, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (head, rest) = bytes.split_at_checked(BLOCK_HEAD)?;
    let length = u64::from_le_bytes(*head.first_chunk()?);
    let (block, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (of.block(block) == head).then_some((block, behind))
}

/// Reads entries one after the other, whose times are relative to each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entries {
    last: Now,
}

/// One of them.
pub(super) enum Part {
    /// What the core was told.
    Event(Now, Event),
    /// The digests of what that brought about.
    Answer(Vec<u32>),
}

impl Entries {
    /// Takes the first one off. `None` if it is none.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Part> {
        let (&tag, behind) = rest.split_first()?;
        *rest = behind;
        if tag == EVENT {
            let ((mono, unix), event) = decode::<((u64, i64), Event)>(rest)?;
            self.last = Now {
                mono: Mono::from_micros(self.last.mono.micros().checked_add(mono)?),
                unix: UnixMillis(self.last.unix.0.wrapping_add_signed(unix)),
            };
            Some(Part::Event(self.last, event))
        } else if tag == ANSWER {
            let count = usize::try_from(decode::<u64>(rest)?).ok()?;
            let (digests, behind) = rest.split_at_checked(count.checked_mul(4)?)?;
            *rest = behind;
            let digests = digests.as_chunks().0.iter();
            Some(Part::Answer(
                digests.map(|&bytes| u32::from_le_bytes(bytes)).collect(),
            ))
        } else {
            None
        }
    }
}

/// Appends the entries of a block. `None` if they are none.
fn append(read: &mut Entries, mut rest: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    while !rest.is_empty() {
        match read.next(&mut rest)? {
            Part::Event(now, event) => entries.push(Entry {
                now,
                event,
                answer: None,
            }),
            Part::Answer(digests) => entries.last_mut()?.answer = Some(digests),
        }
    }
    Some(())
}

fn decode<T: DeserializeOwned>(rest: &mut &[u8]) -> Option<T> {
    let (value, behind) = postcard::take_from_bytes(rest).ok()?;
    *rest = behind;
    Some(value)
}
