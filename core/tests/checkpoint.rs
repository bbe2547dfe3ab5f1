//! Only whole checkpoints of this program are read back; what they hold is compared in the simulator.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::wire::Dialect;
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
            dialect: Dialect::V4,
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

/// A checkpoint of another form with the same number would be read as nonsense. Here is one of nearly everything.
#[test]
fn another_form_has_another_number() {
    let mut w = World::new();
    w.key(7, "right");
    w.private(7, "not yet delivered");
    w.history("web_a", 5);
    w.publish("web_a", "kept");
    w.open(1, Some(7), "right", "a");
    w.open(2, Some(7), "wrong", "b");
    w.open_as(3, 0, None, "", "c", Dialect::V5);
    w.subscribe(1, &["web_a", "track_a"]);
    w.writes_at_once = false;
    w.private(7, "waits for the disk");
    for key in ["*", "the-send-key"] {
        w.text(3, &format!("web_pipe2 1\nweb_a\ne\n{key}\nwaits, too"));
    }
    w.text(1, "web_pipe2\nweb_a\ne\n*\nwaits with its body");
    let (version, format) = Core::checkpoint_version();
    let bytes = bytes_of(&w.core);
    let at = bytes
        .windows(version.len())
        .position(|part| part == version.as_bytes());
    let state = &bytes[at.unwrap() + version.len()..];
    // FNV-1a.
    let digest = state.iter().fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    assert_eq!(
        (format, state.len(), digest),
        (9, 1391, 9_752_160_524_957_797_997),
        "if the form has changed, raise FORMAT; if only what is in it, note the new figures"
    );
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
