//! Only whole checkpoints of this program are read back; what they hold is compared in the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::{CheckpointError, Core};
use harness::World;

fn bytes_of(core: &Core) -> Vec<u8> {
    let mut bytes = Vec::new();
    core.checkpoint(&mut bytes);
    bytes
}

fn written() -> Vec<u8> {
    let mut world = World::new();
    world.private(7, "not yet delivered");
    bytes_of(&world.core)
}

fn refusal(bytes: &[u8]) -> CheckpointError {
    Core::restore(bytes).expect_err("must be refused")
}

#[test]
fn a_checkpoint_is_read_back_whole() {
    let bytes = written();
    let core = Core::restore(&bytes).unwrap();
    core.check();
    assert_eq!(bytes_of(&core), bytes);
}

#[test]
fn another_version_is_refused_by_name() {
    let (version, format) = Core::checkpoint_version();
    let mut bytes = written();
    let at = bytes
        .windows(version.len())
        .position(|part| part == version.as_bytes());
    let at = at.expect("the version is written in clear");
    bytes[at] = b'9';
    let text = refusal(&bytes).to_string();
    assert!(
        text.contains(&format!("9{}", &version[1..])) && text.contains(version),
        "{text}"
    );
    bytes[at] = version.as_bytes()[0];
    bytes[at + version.len()] += 1;
    let other = CheckpointError::OtherVersion {
        version: version.into(),
        format: format + 1,
    };
    assert_eq!(refusal(&bytes), other);
}

#[test]
fn what_is_torn_or_no_checkpoint_is_refused() {
    assert_eq!(refusal(b""), CheckpointError::NoCheckpoint);
    assert_eq!(refusal(b"SQLite format 3"), CheckpointError::NoCheckpoint);
    let bytes = written();
    for end in 8..bytes.len() {
        assert_eq!(refusal(&bytes[..end]), CheckpointError::Damaged, "cut at {end}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(refusal(&longer), CheckpointError::Damaged);
}
