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

/// What browsers say of themselves is kept once for all of them, also by the core that was read back.
#[test]
fn what_is_shared_is_shared_again() {
    let mut world = World::new();
    for conn in 1..=3 {
        let client = comet_core::ClientInfo {
            user_agent: "an agent with a long name".into(),
            ..comet_core::ClientInfo::default()
        };
        let hello = comet_core::wire::Hello {
            dev: comet_core::DevId(0),
            user: None,
            key: None,
            dialect: comet_core::wire::Dialect::V4,
            uuid: comet_core::ClientUuid::default(),
        };
        world.event(comet_core::Event::Opened {
            conn: comet_core::ConnId(conn),
            hello: Ok(hello),
            client: std::sync::Arc::new(client),
        });
    }
    let restored = Core::restore(&bytes_of(&world.core)).unwrap();
    assert_eq!(restored.memory(), world.core.memory());
    assert_eq!(restored.held(), world.core.held());
}

/// A checkpoint of another form with the same number would be read as nonsense.
#[test]
fn another_form_has_another_number() {
    let (version, format) = Core::checkpoint_version();
    let state = written().len() - version.len();
    assert_eq!((format, state), (9, 472), "if the form has changed, raise FORMAT");
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
