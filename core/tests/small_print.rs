//! Edges of statements and limits that are easily built one step off: which row a LIMIT means, what NULL is, what a store
//! that fails does not touch.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::Statement;
use comet_core::wire::ClientRequest;
use comet_core::{
    Action, Answer, Body, DevId, Durable, ErrorCode, Event, EventName, Login, MessageId, OpId, QueuedMessage,
    Record, RequestId, Seq, SessionId, UnixSeconds,
};
use harness::sql::{affected, code, rows, run};
use harness::{World, channel, config, records, user};

/// A token that lets user 15 in.
fn token_of(w: &mut World) -> &'static str {
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwfQ.\
        cWqXQpSJ6lOvhIO0_NFyj7F-U514WpTFxNmGTiHfqQ4";
    w.open(90, Some(15), TOKEN, "t");
    let users = rows(w, "SELECT * FROM users_time WHERE id = 15 AND time = 0");
    w.close(90);
    assert_eq!(users, 1, "the token is not valid");
    TOKEN
}

/// Q42: a DELETE with LIMIT counts users who have a key or are connected, and nobody else.
#[test]
fn q42_who_has_no_key_and_is_not_there_takes_no_place() {
    let mut w = World::new();
    w.key(2, "k2");
    assert_eq!(
        affected(
            &mut w,
            "DELETE FROM users_auth WHERE id IN (1, 2) ORDER BY hash LIMIT 1"
        ),
        1
    );
    assert_eq!(rows(&mut w, "SELECT * FROM users_auth WHERE id = 2"), 0);
    w.key(2, "k2");
    w.open(1, Some(2), "k2", "a");
    w.key(3, "k3");
    assert_eq!(
        affected(
            &mut w,
            "DELETE FROM users_auth WHERE id IN (2, 3) ORDER BY hash LIMIT 2"
        ),
        2,
        "who is connected with a key is one row"
    );
}

/// LIMIT holds for constants as for tables.
#[test]
fn constants_are_one_row() {
    let mut w = World::new();
    for (limit, expected) in [
        ("", 1),
        ("LIMIT 1", 1),
        ("LIMIT 0", 0),
        ("LIMIT 0, 5", 1),
        ("LIMIT 1, 5", 0),
    ] {
        assert_eq!(rows(&mut w, &format!("SELECT 1, 2 {limit}")), expected, "{limit}");
    }
}

/// Q69: a token that is revoked takes the key of its user along; where there is no key, nothing more is written.
#[test]
fn q69_a_key_that_is_not_there_is_not_deleted() {
    let mut w = World::new();
    // User 15 of tenant 0, signed with the password of `config`.
    let token = token_of(&mut w);
    w.take();
    assert_eq!(
        affected(
            &mut w,
            &format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')")
        ),
        1
    );
    let written = records(&mut w);
    assert!(
        matches!(written[..], [Record::TokenRevoked { .. }]),
        "{written:?}"
    );
    assert_eq!(
        affected(
            &mut w,
            &format!("DELETE FROM revoked_tokens WHERE token = '{token}'")
        ),
        1
    );
    w.key(15, "k15");
    w.take();
    run(
        &mut w,
        &format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
    );
    let written = records(&mut w);
    assert!(
        matches!(
            written[..],
            [Record::TokenRevoked { .. }, Record::KeyDeleted { .. }]
        ),
        "{written:?}"
    );
}

/// protocol.md 7.2: while the store fails, what needs no store goes on.
#[test]
fn a_store_that_fails_stops_only_what_is_stored() {
    let mut w = World::new();
    w.history("web_kept", 5);
    w.open(1, None, "", "a");
    w.subscribe(1, &["web_kept", "web_live"]);
    w.writes_at_once = false;
    w.key(5, "k5");
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    w.take();
    assert_eq!(
        code(
            &mut w,
            "INSERT INTO pipes_messages (name, event, message) VALUES ('web_live', 'e', 'm')"
        ),
        None
    );
    assert_eq!(w.frames(1).len(), 1);
    assert_eq!(
        code(
            &mut w,
            "INSERT INTO pipes_messages (name, event, message) VALUES ('web_kept', 'e', 'm')"
        ),
        Some(ErrorCode::Internal)
    );
    assert_eq!(w.frames(1).len(), 1, "nobody is told what is not accepted");
}

/// protocol.md 7.10: a message is deleted by its id wherever it is, and no other.
#[test]
fn a_message_is_deleted_by_its_id() {
    let mut w = World::new();
    for name in ["web_a", "web_b"] {
        w.history(name, 5);
        w.publish(name, "one");
        w.publish(name, "two");
    }
    let stored = w.core.durable().channel(DevId(0), &channel("web_b")).unwrap();
    let id = stored.history[0].id;
    assert_eq!(
        affected(&mut w, &format!("DELETE FROM pipes_messages WHERE id = '{id}'")),
        1
    );
    assert_eq!(
        rows(&mut w, "SELECT * FROM pipes_messages WHERE name = 'web_a'"),
        2
    );
    assert_eq!(
        rows(&mut w, "SELECT * FROM pipes_messages WHERE name = 'web_b'"),
        1
    );
}

/// 8.6: a quota of bytes counts revoked tokens with their texts.
#[test]
fn tokens_fill_the_quota_of_bytes() {
    let mut config = config();
    config.rules.quota.bytes = 100;
    let mut w = World::with(config);
    let revoke = |w: &mut World, n: usize, letter: &str| {
        let token = letter.repeat(n);
        code(
            w,
            &format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
        )
    };
    assert_eq!(revoke(&mut w, 101, "a"), Some(ErrorCode::QuotaExceeded));
    assert_eq!(revoke(&mut w, 60, "b"), None);
    assert_eq!(revoke(&mut w, 41, "c"), Some(ErrorCode::QuotaExceeded));
    assert_eq!(revoke(&mut w, 40, "d"), None);
    // What stores nothing new is taken at the limit.
    assert_eq!(revoke(&mut w, 60, "b"), None);
    assert_eq!(revoke(&mut w, 1, "e"), Some(ErrorCode::QuotaExceeded));
}

/// 8.6: a statement may list a token twice, or one that is revoked already.
#[test]
fn a_token_counts_once_in_the_quota_of_bytes() {
    let mut config = config();
    config.rules.quota.bytes = 5;
    let mut w = World::with(config);
    for tokens in ["('abc'), ('abc')", "('abc'), ('de')"] {
        let revoke = format!("INSERT INTO revoked_tokens (token) VALUES {tokens}");
        assert_eq!(code(&mut w, &revoke), None, "{tokens}");
    }
    let more = "INSERT INTO revoked_tokens (token) VALUES ('de'), ('f')";
    assert_eq!(code(&mut w, more), Some(ErrorCode::QuotaExceeded));
}

/// protocol.md 2.2: what browsers say of themselves is cut between characters.
#[test]
fn headers_are_cut_between_characters() {
    let told = |agent: &str| {
        let headers = comet_core::wire::RequestHeaders {
            user_agent: agent.as_bytes(),
            language: b"",
            origin: None,
        };
        headers
            .client_info(std::net::Ipv4Addr::LOCALHOST.into())
            .user_agent
    };
    assert_eq!(*told(&"a".repeat(251)), *"a".repeat(250));
    assert_eq!(*told(&("a".repeat(249) + "é")), *"a".repeat(249));
    assert_eq!(*told(&("a".repeat(248) + "😀")), *"a".repeat(248));
}

/// 4.7: the one password there is.
#[test]
fn a_secret_is_itself_and_nothing_else() {
    let secret = comet_core::Secret::new("secret");
    assert!(secret.is(b"secret"));
    for other in [&b""[..], b"Secret", b"secre", b"secret0", b"\xff"] {
        assert!(!secret.is(other), "{other:?}");
    }
}

/// 8.6: a session over the quota is told so at its first statement, and ends; the refusal is counted.
#[test]
fn a_session_over_the_quota_ends_with_its_reason() {
    let mut config = config();
    config.rules.quota.sessions = 1;
    let mut w = World::with(config);
    let session = SessionId(2);
    w.event(Event::SessionOpened {
        session,
        login: Login::Tenant(DevId(0)),
        database: "".into(),
    });
    w.take();
    let req = RequestId(900);
    let before = w.core.refused().quota;
    w.event(Event::Query {
        session,
        req,
        statement: Ok(Statement::Begin),
    });
    assert_eq!(
        w.reply(req).unwrap().unwrap_err().code,
        ErrorCode::TooManySessions
    );
    assert_eq!(w.core.refused().quota, before + 1);
    let closed = |action: &Action| {
        matches!(
            action,
            Action::CloseSession {
                session: SessionId(2)
            }
        )
    };
    assert!(w.actions.iter().any(closed), "{:?}", w.actions);
}

/// 7.3: NULL is no value: whatever is compared with it is neither true nor false, behind any number of NOTs.
#[test]
fn null_is_neither_true_nor_false() {
    let mut w = World::new();
    w.open(1, None, "", "a");
    w.subscribe(1, &["web_a"]);
    for (condition, expected) in [
        ("users = NULL", 0),
        ("NOT users = NULL", 0),
        ("NOT NOT users = NULL", 0),
        ("users IN (1, NULL)", 1),
        ("users IN (5, NULL)", 0),
        ("NOT users IN (5, NULL)", 0),
        ("users NOT IN (5, NULL)", 0),
        ("NOT users NOT IN (1, NULL)", 1),
        ("NOT users NOT IN (5, NULL)", 0),
        ("users BETWEEN NULL AND 0", 0),
        ("NOT users BETWEEN NULL AND 0", 1),
        ("users NOT BETWEEN NULL AND 0", 1),
        ("NOT users NOT BETWEEN NULL AND 0", 0),
        ("users BETWEEN NULL AND 5", 0),
        ("NOT users BETWEEN NULL AND 5", 0),
        ("users NOT BETWEEN NULL AND 5", 0),
        ("NOT users NOT BETWEEN NULL AND 5", 0),
        ("NOT users NOT BETWEEN 5 AND NULL", 0),
        ("NOT users BETWEEN 5 AND NULL", 1),
    ] {
        assert_eq!(
            rows(&mut w, &format!("SELECT * FROM pipes WHERE {condition}")),
            expected,
            "{condition}"
        );
    }
}

/// 7.10: `@@last_message_id` is the id of what this session sent last, into a queue or into a history.
#[test]
fn the_last_message_of_a_session_is_known() {
    let mut w = World::new();
    w.history("web_a", 5);
    let last = |w: &mut World| match run(w, "SELECT @@last_message_id") {
        Some(Ok(Answer::Rows(rows))) => format!("{:?}", rows.rows[0][0]),
        other => panic!("{other:?}"),
    };
    run(
        &mut w,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', 'm')",
    );
    let id = w
        .core
        .durable()
        .channel(DevId(0), &channel("web_a"))
        .unwrap()
        .history[0]
        .id;
    assert!(last(&mut w).contains(&id.to_string()), "{}", last(&mut w));
    w.private(5, "hi");
    let id = w.core.durable().user(DevId(0), user(5)).unwrap().queue[0].id;
    assert!(last(&mut w).contains(&id.to_string()), "{}", last(&mut w));
}

/// Ids are texts for people and numbers for machines.
#[test]
fn ids_are_written_as_texts_where_people_read_them() {
    let id = MessageId(0x0190_b3a0_0000_7000_8000_0000_0000_0005);
    assert_eq!(
        serde_json::to_string(&id).unwrap(),
        "\"0190b3a0-0000-7000-8000-000000000005\""
    );
}

/// Whoever has nothing stored any more takes no place among the stored.
#[test]
fn what_is_empty_is_not_kept() {
    let mut w = World::new();
    for (insert, delete) in [
        ("users_auth (id, hash) VALUES (5, 'a')", "users_auth WHERE id = 5"),
        ("users_data (id, data) VALUES (5, 'a')", "users_data WHERE id = 5"),
        (
            "pipes_settings (name, length) VALUES ('web_a', 5)",
            "pipes_settings WHERE name = 'web_a'",
        ),
        (
            "revoked_tokens (token) VALUES ('abc')",
            "revoked_tokens WHERE token = 'abc'",
        ),
    ] {
        run(&mut w, &format!("INSERT INTO {insert}"));
        assert_ne!(w.core.durable(), &Durable::default(), "{insert}");
        assert_eq!(affected(&mut w, &format!("DELETE FROM {delete}")), 1);
        assert_eq!(w.core.durable().tenants().count(), 0, "{delete}");
    }
}

/// A state without a position for the next message is no state of ours.
#[test]
fn a_state_at_its_end_is_refused() {
    let stored = |seq: Seq| {
        let mut durable = Durable::default();
        durable.apply(&Record::MessageQueued {
            dev: DevId(0),
            user: user(5),
            message: QueuedMessage {
                seq,
                id: MessageId(1),
                time: UnixSeconds(1),
                event: EventName::parse("e").unwrap(),
                body: Body::new("m"),
            },
        });
        durable.flaw()
    };
    assert_eq!(stored(Seq(Seq::END.0 - 1)), None);
    assert!(stored(Seq::END).is_some());
}

/// protocol.md 2.6.1: of a list that is far too long the first names count, and the rest is reported as one number.
#[test]
fn names_beyond_the_most_are_counted() {
    use comet_core::wire::{NAMES_MAX, decode};
    let names = |n: usize| {
        let text: String = (0..n).map(|n| format!("web_{n}\n")).collect();
        match decode(&format!("subscription\n{text}"), 1 << 22).request {
            Ok(ClientRequest::Subscribe(asked)) => (asked.names.len(), asked.refused_more),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names(NAMES_MAX), (NAMES_MAX, 0));
    assert_eq!(names(NAMES_MAX + 2), (NAMES_MAX, 2));
}

/// Whoever is told that the store fails is told so once.
#[test]
fn a_store_that_goes_on_failing_is_told_once() {
    let mut w = World::new();
    w.writes_at_once = false;
    w.key(5, "k5");
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    w.event(Event::PersistFailed { upto });
    let told = w
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Ready(false)));
    assert_eq!(told.count(), 1);
    w.write();
    assert!(
        w.actions
            .iter()
            .any(|action| matches!(action, Action::Ready(true)))
    );
}

/// A failure of what is on disk already is none.
#[test]
fn a_late_failure_of_what_was_written_stops_nothing() {
    let mut w = World::new();
    w.key(5, "k5");
    w.take();
    let upto = w.core.newest_record();
    assert!(upto > OpId(0));
    w.event(Event::PersistFailed { upto });
    assert!(w.take().is_empty());
    assert_eq!(w.private(5, "goes on").unwrap().unwrap().affected, 1);
}

/// An orderly end closes every connection and leaves none.
#[test]
fn an_orderly_end_leaves_no_connection() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.open(2, None, "", "b");
    w.take();
    w.event(Event::Shutdown);
    assert_eq!(w.core.connections().count(), 0);
    assert!(w.was_closed(1).is_some() && w.was_closed(2).is_some());
    w.open(3, None, "", "c");
    assert!(w.was_closed(3).is_some(), "nobody comes in any more");
}

/// 7.17: who reads a history that was stored before the server remembers anything is found by his number.
#[test]
fn readers_of_old_messages_are_found_by_their_number() {
    let mut w = World::new();
    w.key(5, "k5");
    w.history("web_a", 5);
    w.publish("web_a", "one");
    w.crash_and_restart(1_000);
    w.open(1, Some(5), "k5", "a");
    w.text(1, "pipe_log\nweb_a\nmark\n");
    let found = |w: &mut World, user: u32| {
        rows(
            w,
            &format!("SELECT * FROM messages_delivery WHERE user_id = {user}"),
        )
    };
    assert!(found(&mut w, 5) > 0);
    assert_eq!(found(&mut w, 6), 0);
}
