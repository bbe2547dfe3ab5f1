//! What is told while the disk is behind, or refuses: a statement that found nothing to do because of another one is not
//! acknowledged before that one (protocol.md appendix B).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Cell, Limits};
use comet_core::wire::Dialect;
use comet_core::{Answer, DevId, ErrorCode, Event, Login, QueryError, RequestId, SessionId};
use harness::sql::run;
use harness::{World, config, user};
use serde_json::Value;

const LIVE: &str = "INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', 'live')";
const END: [&str; 2] = [
    "DELETE FROM pipes_settings WHERE name = 'web_a'",
    "INSERT INTO pipes_settings (name, length) VALUES ('web_a', 0)",
];

fn affected(answer: Option<Result<Answer, QueryError>>) -> u64 {
    match answer {
        Some(Ok(Answer::Done(done))) => done.affected,
        other => panic!("{other:?}"),
    }
}

/// The answer to the newest statement, if there is one.
fn newest(w: &World) -> Option<Result<Answer, QueryError>> {
    w.reply(w.last_request())
}

/// A channel with a history, a page in it, and a disk that is behind from now on.
fn world() -> World {
    let mut w = World::new();
    w.history("web_a", 5);
    w.open(1, None, "", "a");
    w.subscribe(1, &["web_a", "web_live"]);
    w.writes_at_once = false;
    w.take();
    w
}

/// The same, and connection 2, a page of version 5 that sends.
fn with_sender() -> World {
    let mut w = world();
    w.open_as(2, 0, None, "", "b", Dialect::V5);
    w.take();
    w
}

fn send(w: &mut World, number: u64, key: &str) {
    w.text(2, &format!("web_pipe2 {number}\nweb_a\ne\n{key}\n\"live\""));
}

/// What connection 2 was told since the last look, number and code of the error, if it is one.
fn reports(w: &mut World) -> Vec<(u64, String)> {
    let told = |frame: Value| {
        let code = frame["data"]["code"].as_str().unwrap_or_default().to_owned();
        Some((frame["re"].as_u64()?, code))
    };
    let reports = w.frames(2).into_iter().filter_map(told).collect();
    w.take();
    reports
}

/// Back ends delete twice when they are not sure. Once both are told, it is gone for good.
#[test]
fn what_another_deletes_is_gone_when_that_is_stored() {
    let setup = [
        "INSERT INTO users_auth (id, hash) VALUES (5, 'k5')",
        "INSERT INTO users_data (id, data) VALUES (5, 'd')",
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'm')",
        LIVE,
        "INSERT INTO revoked_tokens (token) VALUES ('t')",
        "SELECT 1",
    ];
    let deletes = [
        "DELETE FROM users_auth WHERE id = 5",
        "DELETE FROM users_data WHERE id = 5",
        "DELETE FROM users_messages WHERE id = 5",
        "DELETE FROM pipes_messages WHERE name = 'web_a'",
        "DELETE FROM revoked_tokens WHERE token = 't'",
        "DELETE FROM pipes_settings WHERE name = 'web_a'",
    ];
    for (setup, delete) in setup.into_iter().zip(deletes) {
        let mut w = world();
        run(&mut w, setup);
        w.write();
        assert_eq!(run(&mut w, delete), None, "{delete}");
        let first = w.last_request();
        assert_eq!(run(&mut w, delete), None, "{delete}: nothing is stored yet");
        w.write();
        assert_eq!(affected(w.reply(first)), 1, "{delete}");
        assert_eq!(affected(newest(&w)), 0, "{delete}");
        assert_eq!(
            affected(run(&mut w, delete)),
            0,
            "{delete}: there is nothing to wait for"
        );
    }
}

/// If the server died, the history would be there again and the message would not be in it.
#[test]
fn what_is_not_kept_is_acknowledged_behind_the_end_of_the_history() {
    for end in END {
        let mut w = world();
        assert_eq!(run(&mut w, end), None);
        assert_eq!(run(&mut w, LIVE), None, "{end}");
        assert_eq!(w.frames(1).len(), 1, "{end}: live delivery does not wait");
        w.write();
        assert_eq!(affected(newest(&w)), 1, "{end}");
        assert_eq!(
            affected(run(&mut w, LIVE)),
            1,
            "{end}: there is nothing to wait for"
        );
    }
}

/// 2.6.2: the report to a page is the same promise, also of a message it sent again.
#[test]
fn what_a_page_sends_is_reported_behind_the_end_of_the_history() {
    for end in END {
        let mut w = with_sender();
        assert_eq!(run(&mut w, end), None);
        send(&mut w, 7, "the-first-key");
        send(&mut w, 8, "the-first-key");
        assert_eq!(w.frames(1).len(), 1, "{end}: live delivery does not wait");
        assert_eq!(reports(&mut w), [], "{end}");
        w.write();
        assert_eq!(reports(&mut w), [(7, String::new()), (8, String::new())], "{end}");
        send(&mut w, 9, "another-key");
        assert_eq!(
            reports(&mut w),
            [(9, String::new())],
            "{end}: nothing to wait for"
        );
    }
}

/// Whoever is told that his message could be missing later sends it again, under the same key.
#[test]
fn what_a_page_sends_is_refused_while_the_end_of_the_history_cannot_be_stored() {
    let unavailable = |number| [(number, "store_unavailable".to_owned())];
    let mut w = with_sender();
    run(&mut w, END[0]);
    send(&mut w, 7, "the-first-key");
    let upto = w.unwritten.last().unwrap().0;
    w.take();
    w.event(Event::PersistFailed { upto });
    assert_eq!(reports(&mut w), unavailable(7));
    send(&mut w, 8, "another-key");
    assert_eq!(w.frames(1).len(), 0, "nobody is told what is not accepted");
    assert_eq!(reports(&mut w), unavailable(8));
    send(&mut w, 9, "the-first-key");
    assert_eq!(reports(&mut w), [], "it was accepted, and waits again");
    w.write();
    assert_eq!(reports(&mut w), [(9, String::new())]);
    send(&mut w, 10, "another-key");
    assert_eq!(w.frames(1).len(), 1);
    assert_eq!(reports(&mut w), [(10, String::new())]);
}

/// Other records, other tenants and histories that cannot end hold up nobody.
#[test]
fn only_the_end_of_a_history_holds_up_what_is_not_kept() {
    let live = "INSERT INTO pipes_messages (name, event, message) VALUES ('web_live', 'e', 'live')";
    let mut w = world();
    for other in [
        "INSERT INTO pipes_settings (name, length) VALUES ('web_a', 1)",
        "INSERT INTO pipes_settings (name, length) VALUES ('trust_a', 0)",
        "DELETE FROM pipes_settings WHERE name = 'trust_a'",
        "INSERT INTO users_auth (id, hash) VALUES (5, 'k5')",
        "DELETE FROM users_auth WHERE id = 5",
    ] {
        assert_eq!(run(&mut w, other), None, "{other}");
        assert_eq!(affected(run(&mut w, live)), 1, "{other}");
    }
    run(&mut w, END[0]);
    w.event(Event::SessionOpened {
        session: SessionId(2),
        login: Login::Tenant(DevId(1)),
        database: "".into(),
    });
    let limits = Limits::of(&w.config.clone().check().unwrap());
    let req = RequestId(1000);
    w.event(Event::Query {
        session: SessionId(2),
        req,
        statement: cometql::parse(LIVE.as_bytes(), &limits),
    });
    assert_eq!(affected(w.reply(req)), 1, "another tenant");
}

/// While the store fails, nobody is told of a message that could be missing later.
#[test]
fn what_is_not_kept_is_refused_while_the_end_of_the_history_cannot_be_stored() {
    let refused = |answer: Option<Result<Answer, QueryError>>| answer.unwrap().unwrap_err().code;
    let mut w = world();
    run(&mut w, END[0]);
    assert_eq!(run(&mut w, LIVE), None);
    let upto = w.unwritten.last().unwrap().0;
    w.take();
    w.event(Event::PersistFailed { upto });
    assert_eq!(refused(newest(&w)), ErrorCode::Internal);
    w.take();
    assert_eq!(refused(run(&mut w, LIVE)), ErrorCode::Internal);
    assert_eq!(w.frames(1).len(), 0, "nobody is told what is not accepted");
    w.write();
    assert_eq!(affected(run(&mut w, LIVE)), 1);
    assert!(w.private(5, "goes on").is_none());
    assert_eq!(w.core.durable().user(DevId(0), user(5)).unwrap().queue.len(), 1);
}

/// 7.17: a disk that refuses for a day leaves in the window what happened before.
#[test]
fn a_store_that_goes_on_failing_does_not_fill_the_journal() {
    let mut w = World::new();
    w.history("web_a", 5);
    w.publish("web_a", "before");
    w.writes_at_once = false;
    w.publish("web_a", "while it fails");
    let upto = w.unwritten.last().unwrap().0;
    w.checks = false;
    for _ in 0..200_000 {
        w.event(Event::PersistFailed { upto });
    }
    w.write();
    let answer = run(&mut w, "SELECT what FROM messages_delivery WHERE name = 'web_a'");
    let Some(Ok(Answer::Rows(rows))) = answer else {
        panic!("{answer:?}")
    };
    let what: Vec<_> = rows.rows.into_iter().map(|mut row| row.swap_remove(0)).collect();
    let expected = [
        "accepted",
        "stored",
        "kept",
        "accepted",
        "not stored",
        "stored",
        "kept",
    ];
    assert_eq!(what, expected.map(Cell::text));
}

/// 7.17: nor does it where records of other things are made meanwhile.
#[test]
fn a_failure_is_told_once_of_each_message() {
    const MESSAGES: usize = 20;
    let mut config = config();
    config.queue_ttl_ms = 1_000 * MESSAGES as u64;
    let mut w = World::with(config);
    for _ in 0..MESSAGES {
        w.private(5, "expires");
        w.sleep(1_000);
    }
    w.writes_at_once = false;
    w.private(5, "while it fails");
    let mut facts = Vec::new();
    for _ in 0..MESSAGES {
        let upto = w.unwritten.last().unwrap().0;
        w.event(Event::PersistFailed { upto });
        facts.push(journal(&mut w));
        w.sleep(1_000);
    }
    let grown = facts[MESSAGES - 1] - facts[0];
    // One of them left the queue between each attempt and the next.
    assert_eq!(grown, MESSAGES as u64 - 1);
}

/// How many facts the journal has.
fn journal(w: &mut World) -> u64 {
    let answer = run(w, "SHOW GLOBAL MEMORY");
    let Some(Ok(Answer::Rows(rows))) = answer else {
        panic!("{answer:?}")
    };
    let of_journal = rows.rows.iter().find(|row| row[0] == Cell::text("journal"));
    match of_journal.unwrap()[1] {
        Cell::Int(items) => items.try_into().unwrap(),
        Cell::Text(ref items) => items.parse().unwrap(),
    }
}
