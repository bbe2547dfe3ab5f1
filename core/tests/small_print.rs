//! Edges of rules that are easily built one step off: who may send, which row a LIMIT means, what is written though
//! nothing happened, and what a store that fails does not touch.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Limits, Statement};
use comet_core::wire::{ClientRequest, Dialect, SendRequest};
use comet_core::{
    Action, Answer, Body, Category, Config, ConnId, DevId, Durable, ErrorCode, Event, EventName, Login,
    MessageId, OpId, QueryError, QueuedMessage, Record, RequestId, SendKey, Seq, SessionId, UnixSeconds,
};
use harness::{World, channel, config, user};

fn run(w: &mut World, sql: &str) -> Option<Result<Answer, QueryError>> {
    let limits = Limits::of(&w.config.clone().check().unwrap());
    w.statement(cometql::parse(sql.as_bytes(), &limits).unwrap())
}

fn rows(w: &mut World, sql: &str) -> usize {
    match run(w, sql) {
        Some(Ok(Answer::Rows(rows))) => rows.rows.len(),
        other => panic!("{other:?}"),
    }
}

fn affected(w: &mut World, sql: &str) -> u64 {
    match run(w, sql) {
        Some(Ok(Answer::Done(done))) => done.affected,
        other => panic!("{other:?}"),
    }
}

fn code(w: &mut World, sql: &str) -> Option<ErrorCode> {
    run(w, sql).unwrap().err().map(|error| error.code)
}

/// What is to be written since the last `take`.
fn records(w: &mut World) -> Vec<Record> {
    let record = |action: Action| match action {
        Action::Persist { record, .. } => Some(record),
        _ => None,
    };
    w.take().into_iter().filter_map(record).collect()
}

fn says(w: &mut World, conn: u64, name: &str, anonymous: bool) {
    w.request(
        conn,
        ClientRequest::Send(SendRequest {
            channel: channel(name),
            anonymous,
            event: EventName::parse("say").unwrap(),
            body: Body::new("hi"),
            key: None,
        }),
    );
}

/// S43: into `webauth_*` everybody sends under his own name, also who has one.
#[test]
fn s43_nobody_is_anonymous_where_names_are_asked_for() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.open(2, Some(5), "k5", "b");
    w.subscribe(2, &["webauth_a", "web_a"]);
    w.take();
    says(&mut w, 1, "webauth_a", true);
    assert!(w.frames(2).is_empty(), "{:?}", w.frames(2));
    says(&mut w, 1, "webauth_a", false);
    says(&mut w, 1, "web_a", true);
    assert_eq!(w.frames(2).len(), 2);
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

/// S11: whoever vanishes without having claimed anything, or has nothing claimed at the end of his time, writes nothing.
#[test]
fn s11_a_claim_that_ends_writes_only_what_it_pays() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.private(5, "waits");
    w.close(1);
    w.take();
    w.sleep(w.config.reload_grace_ms + 1);
    let written = records(&mut w);
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(w.queue_len(5), 1);
}

fn untimed() -> Config {
    Config {
        ws_statistics_ms: 0,
        cometql_statistics_ms: 0,
        ws_uptime_max_ms: 0,
        cometql_uptime_max_ms: 0,
        ..config()
    }
}

/// 5.1: who came back is not waited for any longer.
#[test]
fn a_claim_that_is_taken_over_or_paid_is_not_timed() {
    let mut w = World::with(untimed());
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.private(5, "one");
    w.close(1);
    assert!(w.core.poll_timeout().is_some());
    w.open(2, Some(5), "k5", "a");
    w.pong(2);
    assert_eq!(w.queue_len(5), 0);
    assert_eq!(w.core.poll_timeout(), None, "it returned");
    w.take();
    w.private(5, "two");
    w.close(2);
    assert_eq!(affected(&mut w, "DELETE FROM users_messages WHERE id = 5"), 1);
    assert_eq!(w.core.poll_timeout(), None, "the message is gone");
}

/// 5.1: of too many vanished devices the oldest is waited for no longer.
#[test]
fn a_claim_that_gives_way_is_not_timed() {
    let mut w = World::with(Config {
        devices_per_user_max: 2,
        ..untimed()
    });
    w.key(5, "k5");
    for (conn, uuid) in [(1, "a"), (2, "b"), (3, "c")] {
        w.open(conn, Some(5), "k5", uuid);
        w.private(5, uuid);
        w.sleep(1_000);
        w.close(conn);
    }
    let grace = w.config.reload_grace_ms;
    let until = |w: &World| w.core.poll_timeout().map(|at| at.micros() / 1000);
    assert_eq!(
        until(&w),
        Some(2_000 + grace),
        "the one that vanished first is forgotten"
    );
    w.sleep(grace);
    assert_eq!(until(&w), None);
    assert_eq!(w.queue_len(5), 3, "nobody has acknowledged");
}

/// protocol-v5.md 4: a page that vanishes when its browser has handled everything leaves nothing to wait for.
#[test]
fn who_claims_nothing_is_not_timed() {
    let mut w = World::with(untimed());
    w.key(5, "k5");
    for conn in [1, 2] {
        w.open_as(conn, 0, Some(5), "k5", "a", Dialect::V5);
    }
    w.open(3, Some(5), "k5", "b");
    w.private(5, "one");
    let id = w.core.durable().user(DevId(0), user(5)).unwrap().queue[0].id;
    w.text(1, &format!("ack 1\n{id}"));
    assert_eq!(w.queue_len(5), 1);
    w.close(2);
    w.close(1);
    w.pong(3);
    assert_eq!(w.queue_len(5), 0);
    assert_eq!(w.core.poll_timeout(), None);
}

/// Q30: a start after an end with nobody online, or an orderly one, has nothing to write.
#[test]
fn q30_nobody_online_is_not_written_again() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.close(1);
    w.take();
    w.crash_and_restart(1_000);
    let written = records(&mut w);
    assert!(written.is_empty(), "{written:?}");
    w.open(1, Some(5), "k5", "a");
    w.take();
    w.crash_and_restart(1_000);
    let written = records(&mut w);
    assert!(
        matches!(written[..], [Record::EverybodyOffline { .. }]),
        "{written:?}"
    );
}

/// `save_users_last_online_time` off: whoever the store shows as online, from a time when it was on, is offline from the
/// start on, and no record is made of it.
#[test]
fn q30_without_stored_times_nobody_stays_online() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.config.save_last_online = false;
    w.crash_and_restart(1_000);
    let written = records(&mut w);
    assert!(written.is_empty(), "{written:?}");
    assert_eq!(
        rows(&mut w, "SELECT * FROM users_time WHERE id = 5 AND time > 0"),
        1
    );
}

/// Q30: who came while the store failed and is there at the orderly end, is in `users_time` after it.
#[test]
fn q30_who_came_while_the_store_failed_was_there() {
    let mut w = World::new();
    w.key(5, "k5");
    w.writes_at_once = false;
    w.history("web_a", 1);
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    w.open(1, Some(5), "k5", "a");
    w.event(Event::Shutdown);
    w.write();
    w.crash_and_restart(1_000);
    assert_eq!(
        rows(&mut w, "SELECT * FROM users_time WHERE id = 5 AND time > 0"),
        1
    );
}

fn reads(w: &mut World, conn: u64, name: &str) -> Vec<String> {
    let of = |frame: serde_json::Value| {
        (frame["pipe"] == name).then(|| frame["data"].as_str().unwrap_or_default().to_owned())
    };
    w.frames(conn).into_iter().filter_map(of).collect()
}

/// S55: a history leaves in windows. One that a message fills to its last byte is full.
#[test]
fn s55_a_window_that_is_full_is_full() {
    let mut w = World::new();
    w.history("web_a", 5);
    for text in ["one", "two", "thr"] {
        w.publish("web_a", text);
    }
    w.open(1, None, "", "a");
    w.take();
    w.text(1, "pipe_log\nweb_a\nmark\n");
    let frames: Vec<usize> = w
        .take()
        .iter()
        .filter_map(|action| match action {
            Action::Send { frame, .. } => Some(frame.as_str().len()),
            _ => None,
        })
        .collect();
    assert_eq!(frames.len(), 3, "all fit by default");
    w.config.private_window_bytes = frames[0];
    w.crash_and_restart(10);
    w.open(2, None, "", "a");
    w.take();
    w.text(2, "pipe_log\nweb_a\nmark\n");
    assert_eq!(reads(&mut w, 2, "web_a"), ["one"]);
    w.event(Event::ProbeAnswered {
        conn: ConnId(2),
        probe: *w.probes(2).last().unwrap(),
    });
    assert_eq!(reads(&mut w, 2, "web_a"), ["one", "two"]);
}

/// S55: what is deleted while a page reads does not come, and the reading ends all the same.
#[test]
fn s55_a_history_that_is_deleted_while_it_is_read_ends() {
    let mut w = World::new();
    w.history("web_a", 5);
    for text in ["one", "two", "three"] {
        w.publish("web_a", text);
    }
    w.config.private_window_bytes = 1;
    w.crash_and_restart(10);
    w.open_as(1, 0, None, "", "a", Dialect::V5);
    w.take();
    w.text(1, "pipe_log 7\nweb_a\nmark\n");
    assert_eq!(reads(&mut w, 1, "web_a"), ["one"], "{:?}", w.frames(1));
    assert_eq!(
        affected(&mut w, "DELETE FROM pipes_messages WHERE name = 'web_a'"),
        3
    );
    w.pong(1);
    let frames = w.frames(1);
    assert_eq!(frames.len(), 2, "{frames:?}");
    w.text(1, "pipe_log 8\nweb_a\nmark\n");
    assert_eq!(w.frames(1).len(), 3, "the next one is answered at once");
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

/// Every order that can be seen is written down: a user's connections are closed in the order of their ids, and told in it.
#[test]
fn connections_come_in_the_order_of_their_ids() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(3, Some(5), "k5", "c");
    w.open_as(2, 0, Some(5), "k5", "b", Dialect::V5);
    w.open(1, Some(5), "k5", "a");
    for conn in 1..=3 {
        w.subscribe(conn, &["web_a"]);
    }
    let Some(Ok(Answer::Rows(present))) = run(
        &mut w,
        "SELECT user_uuid FROM users_in_pipes WHERE name = 'web_a'",
    ) else {
        panic!("no rows")
    };
    let uuids: Vec<_> = present.rows.iter().map(|row| format!("{:?}", row[0])).collect();
    assert!(uuids.is_sorted(), "{uuids:?}");
    w.take();
    run(&mut w, "DELETE FROM users_auth WHERE id = 5");
    let closed = |action: &Action| match action {
        Action::Close { conn, .. } => Some(conn.0),
        _ => None,
    };
    let closed: Vec<u64> = w.actions.iter().filter_map(closed).collect();
    assert_eq!(closed, [1, 2, 3]);
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

/// 7.17: of a message that was read very often the newest hundred readers are told one by one, the others counted.
#[test]
fn a_hundred_readers_are_told_one_by_one() {
    let mut w = World::new();
    w.history("web_a", 5);
    w.publish("web_a", "one");
    let id = w
        .core
        .durable()
        .channel(DevId(0), &channel("web_a"))
        .unwrap()
        .history[0]
        .id;
    let told = |w: &mut World| {
        let Some(Ok(Answer::Rows(rows))) = run(w, &format!("EXPLAIN DELIVERY FOR '{id}'")) else {
            panic!("not answered")
        };
        let texts = rows.rows.iter().map(|row| format!("{row:?}"));
        let (times, single): (Vec<String>, Vec<String>) = texts
            .filter(|row| row.contains("as history"))
            .partition(|row| row.contains(" times until then"));
        (times, single.len())
    };
    for conn in 1..=103 {
        w.open(conn, None, "", "");
        w.text(conn, "pipe_log\nweb_a\n");
        w.close(conn);
        if conn == 100 {
            assert_eq!(told(&mut w), (vec![], 100));
        }
    }
    let (times, single) = told(&mut w);
    assert_eq!((times.len(), single), (1, 100));
    assert!(times[0].contains("as history, 3 times until then"), "{times:?}");
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

/// Q71: the timer of a message that left early looks at the one behind it.
#[test]
fn q71_a_message_behind_one_that_left_expires_all_the_same() {
    let mut w = World::with(Config {
        queue_ttl_ms: 10_000,
        ..config()
    });
    w.private(5, "first");
    w.sleep(4_000);
    w.private(5, "second");
    assert_eq!(
        affected(
            &mut w,
            "DELETE FROM users_messages WHERE id = 5 ORDER BY index LIMIT 1"
        ),
        1
    );
    w.sleep(10_999);
    assert_eq!(w.queue_len(5), 1);
    w.sleep(1);
    assert_eq!(w.queue_len(5), 0);
}

/// 5.1: a message that was deleted while a page acknowledged it is not paid as well.
#[test]
fn what_was_deleted_is_not_paid() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.private(5, "one");
    assert_eq!(affected(&mut w, "DELETE FROM users_messages WHERE id = 5"), 1);
    w.private(5, "two");
    let probe = w.probes(1)[0];
    w.take();
    w.event(Event::ProbeAnswered {
        conn: ConnId(1),
        probe,
    });
    let probe = w.probes(1)[0];
    let written = records(&mut w);
    assert!(written.is_empty(), "{written:?}");
    w.event(Event::ProbeAnswered {
        conn: ConnId(1),
        probe,
    });
    let written = records(&mut w);
    assert!(
        matches!(&written[..], [Record::MessagesRemoved { seqs, .. }] if seqs.len() == 1),
        "{written:?}"
    );
}

/// 5.1: a window that a message fills to its last byte has room for it.
#[test]
fn a_message_that_fills_the_window_is_sent() {
    let sent = |window: usize| {
        let mut w = World::with(Config {
            private_window_bytes: window,
            ..config()
        });
        w.key(5, "k5");
        w.open(1, Some(5), "k5", "a");
        w.private(5, "one");
        w.private(5, "two");
        let frame = |action: &Action| match action {
            Action::Send { frame, .. } if frame.as_str().contains("\"msg\"") => Some(frame.as_str().len()),
            _ => None,
        };
        w.actions.iter().filter_map(frame).collect::<Vec<_>>()
    };
    let first = sent(65_536)[0];
    assert_eq!(sent(first + 3).len(), 2);
    assert_eq!(sent(first + 2).len(), 1);
}

/// S55: behind a history that came whole there is nothing to wait for.
#[test]
fn s55_no_ping_behind_a_whole_history() {
    let mut w = World::new();
    w.history("web_a", 5);
    w.publish("web_a", "one");
    w.open(1, None, "", "a");
    w.text(1, "pipe_log\nweb_a\nmark\n");
    assert_eq!(reads(&mut w, 1, "web_a").len(), 1);
    assert!(w.probes(1).is_empty());
}

/// protocol-v5.md 3: every send key is forgotten in its own time.
#[test]
fn send_keys_are_forgotten_one_after_the_other() {
    let mut w = World::new();
    w.open_as(1, 0, None, "", "a", Dialect::V5);
    let say = |w: &mut World, n: u32| {
        w.request(
            1,
            ClientRequest::Send(SendRequest {
                channel: channel("web_a"),
                anonymous: false,
                event: EventName::parse("say").unwrap(),
                body: Body::new("hi"),
                key: SendKey::parse(&format!("sendkey{n}")).ok(),
            }),
        );
    };
    say(&mut w, 1);
    w.sleep(5_000);
    say(&mut w, 2);
    let remembered = |w: &World| w.core.memory().get(Category::Sends).items;
    let held = |w: &World, what: &str| w.core.held().iter().find(|(name, _)| *name == what).unwrap().1;
    assert_eq!(remembered(&w), 2);
    assert_eq!(held(&w, "messages that may be sent again"), 2);
    assert_eq!(held(&w, "timers"), 1);
    let memory = w.config.send_memory_ms;
    w.sleep(memory - 4_999);
    assert_eq!(remembered(&w), 1);
    w.sleep(5_000);
    assert_eq!(remembered(&w), 0);
    assert_eq!(
        (held(&w, "messages that may be sent again"), held(&w, "timers")),
        (0, 0)
    );
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

fn explained(w: &mut World, id: MessageId) -> Vec<String> {
    match run(w, &format!("EXPLAIN DELIVERY FOR '{id}'")) {
        Some(Ok(Answer::Rows(rows))) => rows.rows.iter().map(|row| format!("{row:?}")).collect(),
        other => panic!("{other:?}"),
    }
}

/// 7.17: a history that goes with its setting was deleted, by this session.
#[test]
fn deleting_a_setting_deletes_its_messages() {
    let mut w = World::new();
    w.history("web_a", 5);
    w.publish("web_a", "one");
    let id = w
        .core
        .durable()
        .channel(DevId(0), &channel("web_a"))
        .unwrap()
        .history[0]
        .id;
    run(&mut w, "DELETE FROM pipes_settings WHERE name = 'web_a'");
    let told = explained(&mut w, id);
    let deleted = told.iter().find(|row| row.contains("deleted"));
    assert!(deleted.is_some_and(|row| row.contains("session 1")), "{told:?}");
}

/// 7.17: who asks for what never was is told whether anything is remembered at all.
#[test]
fn nothing_known_is_said_with_its_reason() {
    for (window, expected) in [(0, "is not remembered"), (1 << 20, "since")] {
        let mut w = World::with(Config {
            delivery_window_bytes: window,
            ..config()
        });
        let told = explained(&mut w, MessageId(7 << 76 | 8 << 60));
        assert!(
            told[0].contains("unknown") && told[0].contains(expected),
            "{told:?}"
        );
    }
}

/// 7.17: what another tenant's pages read in a channel of the same name is nobody's business.
#[test]
fn readers_of_another_tenant_are_not_told() {
    let mut w = World::with(Config {
        dev_index_size: 2,
        ..config()
    });
    let publish = |w: &mut World, dev: u32| {
        run(w, &format!("USE db_{dev}"));
        w.history("web_a", 5);
        w.publish("web_a", "one");
    };
    for dev in [1, 0, 1] {
        publish(&mut w, dev);
    }
    w.open_as(1, 1, None, "", "reader", Dialect::V4);
    w.text(1, "pipe_log\nweb_a\nmark\n");
    run(&mut w, "USE db_0");
    let id = w
        .core
        .durable()
        .channel(DevId(0), &channel("web_a"))
        .unwrap()
        .history[0]
        .id;
    let told = explained(&mut w, id);
    assert!(!told.iter().any(|row| row.contains("as history")), "{told:?}");
    run(&mut w, "USE db_1");
    let id = w
        .core
        .durable()
        .channel(DevId(1), &channel("web_a"))
        .unwrap()
        .history[0]
        .id;
    let told = explained(&mut w, id);
    assert!(told.iter().any(|row| row.contains("as history")), "{told:?}");
}

/// 7.17: a message waits for a user who is there, or who was there, or who never was.
#[test]
fn why_nobody_gets_a_message() {
    let mut w = World::new();
    w.key(5, "k5");
    w.private(5, "hi");
    let id = w.core.durable().user(DevId(0), user(5)).unwrap().queue[0].id;
    let waits = |w: &mut World, why: &str| {
        let told = explained(w, id);
        assert!(told.iter().any(|row| row.contains(why)), "{why}: {told:?}");
    };
    waits(&mut w, "has never had an authorized connection");
    w.open(1, Some(5), "k5", "");
    assert!(
        explained(&mut w, id)
            .iter()
            .any(|row| row.contains("connection 1\""))
    );
    w.close(1);
    w.sleep(w.config.reload_grace_ms + 1);
    waits(&mut w, "has had no authorized connection since");
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
