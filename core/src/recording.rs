//! A recording: everything the core was told, and a digest of everything it answered (docs/testing.md, "A bug report
//! is a file"). Pure functions between bytes and values; who writes files is the runtime, who reads them the simulator.
//!
//! A recording is a row of *segments*, each of which can be replayed on its own:
//!
//! ```text
//! "cometrec" head block(checkpoint) block(entries) block(entries) …
//! block   = length (u64) check (u32) that many bytes; numbers little-endian
//! entries = { 0 time event | 1 number of actions, a digest (u32) of each }
//! ```
//!
//! The check of a block covers which segment it belongs to, as files are written over. Every event is followed by the
//! digests of its actions, but for the last one of a server that died of it. Times are differences to the event before,
//! the first to 0. A file that ends within a block is readable up to there.

mod digest;
mod read;
pub mod redact;
mod text;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use digest::digest;
pub use digest::{Texts, digests};
pub use read::{Entry, ReadError, Segment};

use crate::engine::Core;
use crate::event::Event;
use crate::time::{Now, UnixMillis};

/// What every segment begins with.
const MAGIC: &[u8; 8] = b"cometrec";
/// Tag of an event.
const EVENT: u8 = 0;
/// Tag of the digests of what an event brought about.
const ANSWER: u8 = 1;
/// Length and check of a block.
const BLOCK_HEAD: usize = 12;

/// What a segment says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Version and form of the state of the program that wrote it.
    version: (String, u32),
    /// When the recording began.
    pub recording: UnixMillis,
    /// Its place in the recording, from 1.
    pub number: u64,
    /// It begins where the one before ends; false for the first one, and after a gap.
    pub follows: bool,
    /// Texts are stand-ins, and digests cover their lengths only.
    pub redacted: bool,
}

/// To which recording a file of this name (without the extension) belongs, and its place in it: names by these are
/// segments in order. `None`: no segment has this name.
pub fn place(file: &str) -> Option<(UnixMillis, u64)> {
    let (recording, number) = file.split_once('-')?;
    let (recording, number) = (UnixMillis(recording.parse().ok()?), number.parse().ok()?);
    (name(recording, number) == file).then_some((recording, number))
}

fn name(recording: UnixMillis, number: u64) -> String {
    format!("{:013}-{number:06}", recording.0)
}

impl Head {
    /// Of a segment this program writes.
    pub fn new(recording: UnixMillis, number: u64, follows: bool, redacted: bool) -> Self {
        let (version, format) = Core::checkpoint_version();
        Self {
            version: (version.into(), format),
            recording,
            number,
            follows,
            redacted,
        }
    }

    /// The name of its file, without the extension; [`place`] in reverse. A file of another name was about to be written
    /// over.
    pub fn name(&self) -> String {
        name(self.recording, self.number)
    }

    /// What digests cover.
    pub const fn texts(&self) -> Texts {
        if self.redacted {
            Texts::Lengths
        } else {
            Texts::Whole
        }
    }

    /// Length and check of a block of this segment, which belong before its bytes.
    pub fn block(&self, bytes: &[u8]) -> [u8; BLOCK_HEAD] {
        let mut head = [0; BLOCK_HEAD];
        let (length, check) = head.split_at_mut(8);
        length.copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let owner = (self.recording, self.number);
        check.copy_from_slice(&digest(&(owner, bytes), Texts::Whole).to_le_bytes());
        head
    }

    /// The beginning of a segment's file, up to the first block.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::from(MAGIC);
        encode(self, &mut out);
        out
    }
}

/// Writes entries, one after the other, each relative to those before it in the segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scribe {
    last: Now,
}

impl Scribe {
    /// Appends an event and the time the core is told.
    pub fn event(&mut self, now: Now, event: &Event, out: &mut Vec<u8>) {
        let time = (
            now.mono.micros_since(self.last.mono),
            now.unix.0.wrapping_sub(self.last.unix.0).cast_signed(),
        );
        self.last = now;
        out.push(EVENT);
        encode(&(time, event), out);
    }
}

/// Appends the digests of what the event before brought about.
pub fn answer(digests: &[u32], out: &mut Vec<u8>) {
    out.push(ANSWER);
    encode(&(digests.len() as u64), out);
    for digest in digests {
        out.extend_from_slice(&digest.to_le_bytes());
    }
}

/// Appends a value of ours.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    postcard::serialize_with_flavor(value, Out(out))
        .expect("our types have a form, and memory does not fail");
}

/// Memory to write into.
struct Out<'a>(&'a mut Vec<u8>);

impl Flavor for Out<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    /// Nearly every number has one byte, for which a call that copies costs too much.
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        match bytes {
            &[byte] => self.0.push(byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_place() {
        for (recording, number) in [
            (0, 1),
            (1_700_000_000_000, 999_999),
            (12_345_678_901_234, 1_000_000),
        ] {
            let head = Head::new(UnixMillis(recording), number, false, false);
            assert_eq!(place(&head.name()), Some((UnixMillis(recording), number)));
        }
    }

    #[test]
    fn no_segment_has_another_name() {
        for file in [
            "",
            "-",
            "2026-11",
            "0-1",
            "1700000000000-1",
            "1700000000000-00001",
            "170000000000-000001",
            "01700000000000-000001",
            "1700000000000-0000001",
            "1700000000000-+00001",
            "1700000000000-000001-2",
            "1700000000000-000001.copy",
            "1700000000000_000001",
            "99999999999999999999999-000001",
        ] {
            assert_eq!(place(file), None, "{file}");
        }
    }
}
