//! A redacted recording tells nobody's secrets, in whatever part of a statement they stand (docs/testing.md, recordings).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Limits, Statement};
use comet_core::recording::redact::Redactor;
use comet_core::recording::{Head, Scribe, Segment};
use comet_core::wire::Dialect;
use comet_core::{Action, Answer, DevId, Event, Login, Mono, Now, RequestId, SessionId, UnixMillis};
use harness::World;

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn parsed(w: &World, sql: &str) -> Statement {
    let limits = Limits::of(&w.config.clone().check().unwrap());
    cometql::parse(sql.as_bytes(), &limits).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

fn query(statement: Statement) -> Event {
    Event::Query {
        session: SessionId(1),
        req: RequestId(1),
        statement: Ok(statement),
    }
}

const NOW: Now = Now {
    mono: Mono::from_micros(1),
    unix: UnixMillis(1),
};

/// A recording that begins with this world: its redacted checkpoint, and the entries in clear and redacted.
fn recording(w: &World, events: &[Event]) -> [Vec<u8>; 3] {
    let mut scribe = Scribe::default();
    let mut clear = Vec::new();
    for event in events {
        scribe.event(NOW, event, &mut clear);
    }
    let mut redactor = Redactor::new([7; 32]);
    let mut checkpoint = Vec::new();
    w.core.checkpoint(&mut checkpoint);
    let checkpoint = redactor.checkpoint(&checkpoint).unwrap();
    let redacted = redactor.entries(&clear).unwrap();
    [checkpoint, clear, redacted]
}

/// The statement as an entry, in clear and redacted.
fn recorded(w: &World, sql: &str) -> [Vec<u8>; 2] {
    let [_, clear, redacted] = recording(w, &[query(parsed(w, sql))]);
    [clear, redacted]
}

/// What became of a text that is redacted into one of the same length.
fn redacted_text(text: &str, [clear, redacted]: [&[u8]; 2]) -> String {
    assert_eq!(clear.len(), redacted.len(), "{text}");
    let mut parts = clear.windows(text.len());
    let at = parts.position(|part| part == text.as_bytes()).unwrap();
    String::from_utf8(redacted[at..at + text.len()].to_vec()).unwrap()
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

/// Everything somebody says, or proves himself with, as it comes in.
#[test]
fn no_event_tells_a_secret() {
    let w = World::new();
    for sql in [
        "INSERT INTO users_auth (id, hash) VALUES (1, 'Geheim')",
        "INSERT INTO users_data (id, data) VALUES (1, 'Geheim')",
        "INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'Geheim')",
        "INSERT INTO pipes_messages (name, event, message) VALUES ('abc', 'e', 'Geheim')",
        "INSERT INTO revoked_tokens (token) VALUES ('Geheim')",
    ] {
        let [clear, redacted] = recorded(&w, sql);
        assert!(
            contains(&clear, "Geheim") && !contains(&redacted, "Geheim"),
            "{sql}"
        );
    }
}

/// What a server knows when a recording begins: keys, data, queues, histories, tokens, and reports that wait for the disk.
#[test]
fn no_checkpoint_tells_a_secret() {
    let mut w = World::new();
    w.key(1, "GeheimKey");
    w.private(1, "Geheim queue");
    w.history("web_a", 5);
    w.publish("web_a", "Geheim history");
    let limits = Limits::of(&w.config.clone().check().unwrap());
    for sql in [
        "INSERT INTO users_data (id, data) VALUES (1, 'Geheim data')",
        "INSERT INTO revoked_tokens (token) VALUES ('GeheimToken')",
    ] {
        w.statement(cometql::parse(sql.as_bytes(), &limits).unwrap());
    }
    w.writes_at_once = false;
    w.open(1, None, "", "a");
    w.text(1, "web_pipe2\nweb_a\ne\n*\nGeheim report");
    let mut clear = Vec::new();
    w.core.checkpoint(&mut clear);
    let redacted = Redactor::new([7; 32]).checkpoint(&clear).unwrap();
    for secret in ["Geheim", "secret"] {
        assert!(
            contains(&clear, secret) && !contains(&redacted, secret),
            "{secret}"
        );
    }
    let core = comet_core::Core::restore(&redacted).unwrap();
    core.check();
    assert_eq!(core.held(), w.core.held());
    assert_eq!(core.config().password.reveal(), "redacted");
}

/// Two keys are two keys afterwards, as long, of the same letters, and the same key is the same one.
#[test]
fn keys_become_other_keys_one_by_one() {
    let w = World::new();
    let stand_in = |key: &str| {
        let sql = format!("INSERT INTO revoked_tokens (token) VALUES ('{key}')");
        let [clear, redacted] = recorded(&w, &sql);
        redacted_text(key, [&clear, &redacted])
    };
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    assert_eq!(stand_in(&a), stand_in(&a));
    assert_ne!(stand_in(&a), stand_in(&b));
    let all = stand_in(&a);
    assert!(all.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(all[..32], all[32..], "it does not begin again");
    let letters: std::collections::BTreeSet<u8> = all.bytes().chain(stand_in(&b).bytes()).collect();
    assert!(letters.len() > 20, "{letters:?}");
}

/// Tokens that prove user 15 of tenant 0 until the year 2286, signed with the password of `config`: with the shortest
/// header and claims, with every remainder of their lengths by three, and two that say different things besides.
const TOKENS: [&str; 6] = [
    "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwfQ.u59k3ZcCb6AtXw5gM8m_NVVvPSFHd0wtdU4f6weyHEk",
    "eyJhbGciOiJIUzI1NiIgfQ.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwfQ.gJSy9I8LHXxjDKQ-Bdzq8YvQ2sjRtNjOx20GHvf0qRg",
    "eyJhbGciOiJIUzI1NiIgfQ.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwIH0.-7tjRSN5dZhoN052PDidcnbE8_FKixGdzhKSwjhSOrE",
    "eyJhbGciOiJIUzI1NiIgfQ.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwICB9.8KRT0QP7Wb969Fx5jTnPh9BXbd1bnBGRA6jK7bC3NCU",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwLCJ4Ijoib25lIn0.6c6B_Dvgeb6oHyMGSwjVxKQ3N83-9aZak2hYL_WTABQ",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwLCJ4IjoidHdvIn0.YLYVyx8t9lypA28vGN4saNgdkJq3JvGgOPmKv-c6hU0",
];

/// Among those who know the password of redacted recordings.
fn proves_user_15(token: &str, dev: u32) -> bool {
    let mut there = World::with(comet_core::Config {
        password: comet_core::Secret::new("redacted"),
        ..harness::config()
    });
    there.open_as(1, dev, Some(15), token, "a", Dialect::V4);
    there.frames(1)[0]["authorized"] == true
}

/// A token that is right stays right, is as long, and is another one than any other token.
#[test]
fn tokens_go_on_proving_the_same() {
    let w = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for token in TOKENS {
        let sql = format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')");
        let [clear, redacted] = recorded(&w, &sql);
        let other = redacted_text(token, [&clear, &redacted]);
        assert_ne!(other, token);
        assert!(proves_user_15(&other, 0), "{token}: {other}");
        seen.insert(other);
    }
    let [.., one, two] = TOKENS;
    assert_eq!(one.len(), two.len());
    assert_eq!(seen.len(), TOKENS.len(), "{seen:?}");
}

/// Like those above, of tenant 3.
const TOKEN_OF_3: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwfQ.2QErARzVUCz2MOkhMyZxqhdEmzO9WeJA3OjrMUM-HdY";

/// Which tenant's tokens a statement names, its session said: when it was opened, before the recording or in it, or
/// with USE.
#[test]
fn a_token_stays_one_of_its_tenant() {
    let opened = |dev| Event::SessionOpened {
        session: SessionId(1),
        login: Login::Tenant(DevId(dev)),
        database: "".into(),
    };
    let used = query(Statement::Use {
        dev: Some(DevId(3)),
        database: "db_3".into(),
    });
    let closed = Event::SessionClosed {
        session: SessionId(1),
    };
    let of_0 = World::new();
    let mut of_3 = World::new();
    of_3.event(closed.clone());
    of_3.event(opened(3));
    let sql = format!("INSERT INTO revoked_tokens (token) VALUES ('{TOKEN_OF_3}')");
    let revoked = query(parsed(&of_0, &sql));
    for (world, before, is_of_3) in [
        (&of_0, vec![], false),
        (&of_0, vec![closed.clone(), opened(3)], true),
        (&of_0, vec![used], true),
        (&of_3, vec![], true),
        (&of_3, vec![closed, opened(0)], false),
    ] {
        let events = [before, vec![revoked.clone()]].concat();
        let [_, clear, redacted] = recording(world, &events);
        let other = redacted_text(TOKEN_OF_3, [&clear, &redacted]);
        assert_ne!(other, TOKEN_OF_3);
        assert_eq!(proves_user_15(&other, 3), is_of_3, "{events:?}");
    }
}

/// Stand-ins have another order than the texts, and may be fewer; a list is searched all the same.
#[test]
fn a_list_of_secrets_names_the_same_rows() {
    let keys: Vec<String> = (1..=9).map(|n| format!("key{n}")).collect();
    let list = keys.join("', '");
    for key in &keys {
        let mut w = World::new();
        w.key(1, key);
        let sql = format!("SELECT id FROM users_auth WHERE id = 1 AND hash IN ('{list}')");
        let [checkpoint, _, entries] = recording(&w, &[query(parsed(&w, &sql))]);
        let head = Head::new(UnixMillis(1), 1, false, true);
        let mut file = head.bytes();
        for block in [checkpoint, entries] {
            file.extend(head.block(&block));
            file.extend(block);
        }
        let segment = Segment::read(&file).unwrap();
        let mut actions = Vec::new();
        let event = segment.entries[0].event.clone();
        segment.core().unwrap().handle(NOW, event, &mut actions);
        let [Action::Reply { reply, .. }] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        let Ok(Answer::Rows(rows)) = &reply.result else {
            panic!("{reply:?}")
        };
        assert_eq!(rows.rows.len(), 1, "{key}");
    }
    let w = World::new();
    let [several, one] = ["'abc', 'abd', 'x'", "'abc', 'x'"]
        .map(|list| format!("DELETE FROM users_messages WHERE id = 1 AND message IN ({list})"))
        .map(|sql| recorded(&w, &sql)[1].clone());
    assert_eq!(several, one, "a list has no text twice");
}
