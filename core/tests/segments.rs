//! A segment of a recording as a file: its name, and what its checks notice (docs/testing.md, "A bug report is a file").

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::recording::{Head, ReadError, Scribe, Segment};
use comet_core::{Event, Mono, Now, UnixMillis};
use harness::World;

const NOW: Now = Now {
    mono: Mono::from_micros(1),
    unix: UnixMillis(1),
};

fn head(number: u64) -> Head {
    Head::new(UnixMillis(1_700_000_000_000), number, number > 1, false)
}

/// Files in the order of their names are segments in their order.
#[test]
fn names_tell_the_recording_and_the_place_in_it() {
    assert_eq!(head(7).name(), "1700000000000-000007");
    assert!(head(9).name() < head(10).name());
    let earlier = Head::new(UnixMillis(999_999_999_999), 11, true, false);
    assert!(earlier.name() < head(10).name());
}

/// A block that is damaged or belongs to another segment is not believed, and nothing behind it.
#[test]
fn a_damaged_block_ends_the_segment() {
    let mut checkpoint = Vec::new();
    World::new().core.checkpoint(&mut checkpoint);
    let mut scribe = Scribe::default();
    let mut entries = Vec::new();
    scribe.event(NOW, &Event::Tick, &mut entries);
    let file = |number: u64, of_entries: u64| {
        let mut file = head(number).bytes();
        file.extend(head(number).block(&checkpoint));
        file.extend(&checkpoint);
        let behind_checkpoint = file.len();
        file.extend(head(of_entries).block(&entries));
        file.extend(&entries);
        (file, behind_checkpoint)
    };
    let read = |file: &[u8]| Segment::read(file).map(|read| (read.entries.len(), read.torn));
    let (whole, behind_checkpoint) = file(2, 2);
    assert_eq!(read(&whole), Ok((1, false)));
    assert_eq!(read(&file(2, 1).0), Ok((0, true)), "a block of another segment");
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(read(&damaged), Ok((0, true)));
    let mut damaged = whole;
    damaged[behind_checkpoint - 1] ^= 1;
    assert_eq!(read(&damaged), Err(ReadError::NoCheckpoint));
}
