//! Edges of delivery that are easily built one step off: windows filled to the last byte, claims and messages that end early,
//! what is written though nothing happened, and what EXPLAIN DELIVERY tells.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::wire::{ClientRequest, Dialect, SendRequest};
use comet_core::{
    Action, Answer, Body, Category, Config, ConnId, DevId, Event, EventName, MessageId, Record, SendKey,
};
use harness::sql::{affected, rows, run};
use harness::{World, channel, config, records, untimed, user};

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

fn reads(w: &mut World, conn: u64, name: &str) -> Vec<String> {
    let of = |frame: serde_json::Value| {
        (frame["pipe"] == name).then(|| frame["data"].as_str().unwrap_or_default().to_owned())
    };
    w.frames(conn).into_iter().filter_map(of).collect()
}

fn explained(w: &mut World, id: MessageId) -> Vec<String> {
    match run(w, &format!("EXPLAIN DELIVERY FOR '{id}'")) {
        Some(Ok(Answer::Rows(rows))) => rows.rows.iter().map(|row| format!("{row:?}")).collect(),
        other => panic!("{other:?}"),
    }
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
    assert_eq!(sent(1).len(), 1, "one is always on its way, however long");
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
