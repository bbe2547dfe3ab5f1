//! A redacted recording tells nobody's secrets, in whatever part of a statement they stand (docs/testing.md, recordings).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Limits};
use comet_core::recording::redact::Redactor;
use comet_core::recording::{Scribe, Texts, digest};
use comet_core::{Event, Mono, Now, RequestId, SessionId, UnixMillis};
use harness::World;

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The statement as an entry, in clear and redacted.
fn recorded(w: &World, sql: &str) -> [Vec<u8>; 2] {
    let limits = Limits::of(&w.config.clone().check().unwrap());
    let statement =
        cometql::parse(sql.as_bytes(), &limits).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let event = Event::Query {
        session: SessionId(1),
        req: RequestId(1),
        statement: Ok(statement),
    };
    let now = Now {
        mono: Mono::from_micros(1),
        unix: UnixMillis(1),
    };
    let mut clear = Vec::new();
    Scribe::default().event(now, &event, &mut clear);
    let mut redactor = Redactor::new([7; 32]);
    let mut checkpoint = Vec::new();
    w.core.checkpoint(&mut checkpoint);
    redactor.checkpoint(&checkpoint).unwrap();
    let redacted = redactor.entries(&clear).unwrap();
    [clear, redacted]
}

#[test]
fn no_condition_tells_a_secret() {
    let w = World::new();
    for from in [
        "SELECT * FROM revoked_tokens WHERE token",
        "SELECT * FROM users_auth WHERE id = 1 AND hash",
        "SELECT * FROM users_data WHERE id = 1 AND data",
        "DELETE FROM users_messages WHERE id = 1 AND message",
        "DELETE FROM pipes_messages WHERE name = 'abc' AND message",
    ] {
        for condition in [
            "= 'Geheim1'",
            "> 'Geheim1'",
            "IN ('Geheim1', 'other', 'Geheim2')",
            "BETWEEN 'Geheim1' AND 'zzz'",
            "BETWEEN 'aaa' AND 'Geheim2'",
            "LIKE '%Geheim1%'",
            "NOT LIKE 'Geheim2'",
        ] {
            let [clear, redacted] = recorded(&w, &format!("{from} {condition}"));
            assert!(contains(&clear, "Geheim"), "{from} {condition}");
            assert!(!contains(&redacted, "Geheim"), "{from} {condition}");
        }
    }
}

#[test]
fn conditions_inside_of_others_tell_none_either() {
    let w = World::new();
    for filter in [
        "id = 1 AND (hash = 'Geheim' OR id = 2)",
        "id = 1 AND NOT (hash = 'Geheim' AND id = 2)",
        "NOT id = 2 AND id = 1 AND NOT NOT hash = 'Geheim'",
    ] {
        let [clear, redacted] = recorded(&w, &format!("SELECT * FROM users_auth WHERE {filter}"));
        assert!(contains(&clear, "Geheim"), "{filter}");
        assert!(!contains(&redacted, "Geheim"), "{filter}");
    }
}

/// Who, where to and in which channel: that stays, or nobody could follow what happened.
#[test]
fn what_is_no_secret_stays() {
    let w = World::new();
    for condition in [
        "name = 'web_chat'",
        "name IN ('web_chat', 'b')",
        "name BETWEEN 'a' AND 'web_chat'",
        "name LIKE 'web_chat'",
    ] {
        let [_, redacted] = recorded(&w, &format!("SELECT * FROM pipes WHERE {condition}"));
        assert!(contains(&redacted, "web_chat"), "{condition}");
    }
}

/// Every number an action carries changes its digest, whatever its width.
#[test]
fn digests_see_numbers_of_every_width() {
    for texts in [Texts::Whole, Texts::Lengths] {
        assert_ne!(digest(&1u8, texts), digest(&2u8, texts));
        assert_ne!(digest(&1u16, texts), digest(&2u16, texts));
        assert_ne!(digest(&1u32, texts), digest(&2u32, texts));
        assert_ne!(digest(&1u64, texts), digest(&2u64, texts));
        assert_ne!(digest(&1i64, texts), digest(&2i64, texts));
        assert_ne!(digest(&1usize, texts), digest(&2usize, texts));
        assert_ne!(digest(&1isize, texts), digest(&2isize, texts));
        assert_ne!(digest(&1u128, texts), digest(&(1u128 << 64 | 1), texts));
    }
}
