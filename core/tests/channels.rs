//! Channels, presence, tracking, history and counters: protocol.md 2.6, 3, 4.6, 6, 7.11.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{Keys, Output, Select, Statement, Table};
use comet_core::wire::{ClientRequest, Dialect, SendRequest, Subscribe, SubscribeMode};
use comet_core::{Action, Answer, Body, ConnId, Event, EventName, Marker, Recipients};
use harness::{World, channel, config, user};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn say(name: &str, text: &str) -> ClientRequest {
    ClientRequest::Send(SendRequest {
        channel: channel(name),
        anonymous: false,
        event: EventName::parse("say").unwrap(),
        body: Body::new(text),
        key: None,
    })
}

fn events(w: &World, conn: u64, pipe: &str) -> Vec<Value> {
    let mine = w.frames(conn).into_iter().filter(|frame| frame["pipe"] == pipe);
    mine.map(|frame| frame["event"].clone()).collect()
}

#[test]
fn s42_s45_q58_a_message_reaches_the_others_and_the_report_counts_them() {
    let mut w = World::new();
    for conn in 1..=3 {
        w.open(conn, None, "", "u");
        w.subscribe(conn, &["web_chat"]);
    }
    w.open_as(4, 0, None, "", "old", Dialect::V3);
    w.subscribe(4, &["web_chat"]);
    w.open_as(5, 1, None, "", "other tenant", Dialect::V4);
    w.subscribe(5, &["web_chat"]);
    w.take();
    w.request(1, say("web_chat", "hi"));
    assert_eq!(events(&w, 1, "web_chat").len(), 0, "not to the sender");
    for conn in 2..=4 {
        assert_eq!(events(&w, conn, "web_chat"), ["say"], "connection {conn}");
    }
    assert!(w.frames(5).is_empty(), "tenants are separate (Q66)");
    let report = &w.frames(1)[0];
    assert_eq!(report["pipe"], "_answer_to_web_chat");
    assert_eq!(report["data"]["number_messages"], 3);
    assert_eq!(report["data"]["message"], "hi");
}

/// How often each connection was sent this, and in how many actions.
fn receivers(w: &World, text: &str) -> (BTreeMap<u64, usize>, usize) {
    let mut receivers = BTreeMap::new();
    let mut actions = 0;
    for action in &w.actions {
        let Action::Send { to, frame } = action else {
            continue;
        };
        if !frame.as_str().contains(text) || frame.as_str().contains("_answer") {
            continue;
        }
        actions += 1;
        let list: &[ConnId] = match to {
            Recipients::One(conn) => &[*conn],
            Recipients::Many { list, except } => {
                assert!(except.is_none_or(|conn| list.contains(&conn)));
                assert!(list.len() > usize::from(except.is_some()), "a message to nobody");
                list
            }
        };
        let except = match to {
            Recipients::One(_) => None,
            Recipients::Many { except, .. } => *except,
        };
        for conn in list.iter().filter(|&&conn| Some(conn) != except) {
            *receivers.entry(conn.0).or_default() += 1;
        }
    }
    (receivers, actions)
}

/// More subscribers than a piece of a list holds, in two dialects: before and after the pieces are joined, everybody
/// but the sender gets a message once.
#[test]
fn q58_a_sender_in_a_large_channel_does_not_get_his_own_message() {
    const EACH: u64 = 1025;
    let mut w = World::new();
    w.checks = false;
    for conn in 1..=2 * EACH {
        let dialect = if conn <= EACH { Dialect::V4 } else { Dialect::V5 };
        w.open_as(conn, 0, None, "", "u", dialect);
        w.subscribe(conn, &["web_chat"]);
    }
    w.checks = true;
    // The first and the last of each dialect; the last is alone in the second piece.
    for sender in [1, EACH, EACH + 1, 2 * EACH] {
        let mut shapes = Vec::new();
        for n in 0..6 {
            w.take();
            let text = format!("message {n} of {sender}");
            w.request(sender, say("web_chat", &format!("\"{text}\"")));
            let (found, actions) = receivers(&w, &text);
            let expected = (1..=2 * EACH)
                .filter(|&conn| conn != sender)
                .map(|conn| (conn, 1));
            assert!(found.into_iter().eq(expected), "{text}");
            shapes.push(actions);
        }
        assert!(shapes[0] > 2, "in pieces: {shapes:?}");
        assert_eq!(shapes[5], 2, "joined: {shapes:?}");
        // Somebody else goes and comes in both dialects: the lists are in pieces again.
        for conn in [2, 2 * EACH - 1] {
            w.subscribe(conn, &[]);
            w.subscribe(conn, &["web_chat"]);
        }
    }
}

#[test]
fn s43_only_web_channels_can_be_written_and_the_refusal_is_told_twice() {
    let mut w = World::new();
    w.open(1, None, "", "u");
    w.open(2, None, "", "v");
    w.subscribe(2, &["plain", "webauth_x"]);
    w.take();
    for name in ["plain", "webauth_x", "track_x", "private_x", "trust_x"] {
        w.take();
        w.request(1, say(name, "hi"));
        let frames = w.frames(1);
        assert_eq!(frames.len(), 2, "{name}");
        assert_eq!(frames[0]["pipe"], "sys");
        assert_eq!(frames[0]["data"]["number_messages"], -1);
        assert_eq!(frames[1]["pipe"], format!("_answer_to_{name}"), "Q23");
        assert!(w.frames(2).is_empty());
    }
}

#[test]
fn q20_only_the_difference_of_two_subscriptions_is_announced() {
    let mut w = World::new();
    w.open(1, None, "", "watcher");
    w.subscribe(1, &["track_a", "track_b"]);
    w.open(2, None, "", "guest");
    w.take();
    w.subscribe(2, &["track_a"]);
    w.subscribe(2, &["track_a", "web_x"]);
    w.subscribe(2, &["track_a", "track_b"]);
    assert_eq!(events(&w, 1, "track_a"), ["subscription"]);
    assert_eq!(events(&w, 1, "track_b"), ["subscription"]);
    assert!(w.frames(2).is_empty(), "nobody sees his own coming");
    w.take();
    w.subscribe(2, &[]);
    assert_eq!(events(&w, 1, "track_a"), ["unsubscription"]);
    assert_eq!(w.frames(1)[0]["data"], json!({"user_id": 0, "uuid": "guest"}));
}

#[test]
fn s35_s36_presence_follows_the_first_and_the_last_device() {
    let mut w = World::new();
    w.key(7, "abc");
    w.open(1, None, "", "watcher");
    w.subscribe(1, &["user_status_7"]);
    w.take();
    w.open(2, Some(7), "abc", "a");
    w.open(3, Some(7), "abc", "b");
    w.close(2);
    assert_eq!(events(&w, 1, "user_status_7"), ["online"]);
    w.sleep(5_000);
    w.close(3);
    assert_eq!(events(&w, 1, "user_status_7"), ["online", "offline"]);
    w.sleep(3_000);
    w.take();
    w.request(1, ClientRequest::UserStatus { user: user(7) });
    assert_eq!(w.frames(1)[0]["data"]["last_online_time"], 3);
}

#[test]
fn the_order_on_disconnect_is_offline_then_track() {
    let mut w = World::new();
    w.key(7, "abc");
    w.open(1, None, "", "watcher");
    w.subscribe(1, &["user_status_7", "track_a"]);
    w.open(2, Some(7), "abc", "a");
    w.subscribe(2, &["track_a", "user_status_7"]);
    w.take();
    w.close(2);
    let pipes: Vec<Value> = w.frames(1).iter().map(|frame| frame["pipe"].clone()).collect();
    assert_eq!(pipes, ["user_status_7", "track_a"]);
    assert!(w.frames(2).is_empty(), "nothing is sent to the dead");
}

#[test]
fn q30_a_restart_makes_everybody_offline() {
    let mut w = World::new();
    w.key(7, "abc");
    w.open(2, Some(7), "abc", "a");
    w.crash_and_restart(1_000);
    let time = w
        .core
        .durable()
        .user(comet_core::DevId(0), user(7))
        .unwrap()
        .last_seen;
    assert_eq!(
        time,
        Some(comet_core::LastSeen::Offline(comet_core::UnixSeconds(
            1_700_000_001
        )))
    );
}

#[test]
fn s53_s54_the_newest_n_messages_are_kept_across_a_restart() {
    let mut w = World::new();
    w.publish("web_log", "before");
    w.history("web_log", 3);
    for text in ["1", "2", "3", "4"] {
        w.publish("web_log", text);
    }
    w.crash_and_restart(1_000);
    w.open(1, None, "", "u");
    let ask = ClientRequest::History {
        channel: channel("web_log"),
        marker: Marker::parse("m").unwrap(),
    };
    w.take();
    w.request(1, ask.clone());
    let texts: Vec<Value> = w.frames(1).iter().map(|frame| frame["data"].clone()).collect();
    assert_eq!(texts, ["2", "3", "4"]);
    assert!(w.frames(1).iter().all(|frame| frame["history"] == true), "S56");
    w.history("web_log", 1);
    w.take();
    w.request(1, ask.clone());
    assert_eq!(w.frames(1).len(), 1, "a shorter length trims at once");
    w.history("web_log", 0);
    w.take();
    w.request(1, ask);
    assert!(w.frames(1).is_empty());
}

#[test]
fn q67_trust_channels_keep_99_whatever_the_setting() {
    let mut w = World::new();
    w.history("trust_x", 1);
    for n in 0..120 {
        w.publish("trust_x", &n.to_string());
    }
    let stored = w
        .core
        .durable()
        .channel(comet_core::DevId(0), &channel("trust_x"))
        .unwrap();
    assert_eq!(stored.history.len(), 99);
    assert_eq!(stored.history[0].body.as_str(), "21");
}

#[test]
fn a_report_of_a_channel_with_history_waits_for_the_store() {
    let mut w = World::new();
    w.history("web_log", 3);
    w.open(1, None, "", "u");
    w.take();
    w.writes_at_once = false;
    w.request(1, say("web_log", "hi"));
    assert!(w.frames(1).is_empty());
    w.write();
    assert_eq!(w.frames(1)[0]["data"]["error"], "");
}

#[test]
fn q21_q22_refused_names_are_told_one_by_one_and_do_not_hurt_the_others() {
    let mut w = World::with(comet_core::Config {
        subscriptions_max: 3,
        ..config()
    });
    w.open(1, None, "", "u");
    w.take();
    let names = ["private_x", "a1", "a2", "a3", "a4", "a5"].map(channel).to_vec();
    let request = Subscribe {
        mode: SubscribeMode::Replace,
        names,
        refused: vec!["x".into(), "y".into()],
        refused_more: 2,
    };
    w.request(1, ClientRequest::Subscribe(request));
    let frames = w.frames(1);
    assert_eq!(
        frames.len(),
        5,
        "x, y, the rest of them, private_x, the surplus: {frames:?}"
    );
    assert!(frames.iter().all(|frame| frame["data"]["code"] == "403"));
    let count = |w: &mut World, name: &str| {
        let select = Select {
            table: Table::Pipes,
            keys: Keys::Channels(vec![channel(name)]),
            filter: None,
            output: Output::Columns(vec![]),
            order: vec![],
            limit: None,
        };
        w.statement(Statement::Select(select))
    };
    assert!(matches!(count(&mut w, "a3"), Some(Ok(Answer::Rows(_)))));
    w.take();
    w.publish("a3", "yes");
    w.publish("a4", "no");
    w.publish("private_x", "no");
    assert_eq!(w.frames(1).len(), 1);
}

#[test]
fn q82_a_channel_nobody_uses_occupies_nothing() {
    let mut w = World::new();
    w.open(1, None, "", "u");
    w.subscribe(1, &["once"]);
    w.subscribe(1, &[]);
    w.publish("once", "x");
    w.history("once", 5);
    w.publish("once", "x");
    w.history("once", 0);
    assert_eq!(w.disk.tenants().count(), 1, "the setting itself is kept");
    assert!(
        w.core
            .durable()
            .channel(comet_core::DevId(0), &channel("once"))
            .unwrap()
            .history
            .is_empty()
    );
}

#[test]
fn orderly_stop_closes_everybody_and_records_them_as_offline_once() {
    let mut w = World::new();
    w.key(7, "abc");
    w.open(1, Some(7), "abc", "u");
    w.take();
    w.event(Event::Shutdown);
    assert_eq!(w.was_closed(1), Some(comet_core::CloseCause::Shutdown));
    w.close(1);
    w.open(2, Some(7), "abc", "u");
    assert_eq!(w.was_closed(2), Some(comet_core::CloseCause::Shutdown));
    let persisted = w
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Persist { .. }));
    assert_eq!(persisted.count(), 1);
}

#[test]
fn s55_a_history_of_any_size_reaches_a_page_in_windows() {
    let mut w = World::with(comet_core::Config {
        private_window_bytes: 2_000,
        ..config()
    });
    w.history("web_log", 99);
    for n in 0..99 {
        w.publish("web_log", &format!("{n:0500}"));
    }
    w.open(1, None, "", "u");
    w.take();
    let ask = ClientRequest::History {
        channel: channel("web_log"),
        marker: Marker::parse("m").unwrap(),
    };
    w.request(1, ask);
    assert!(w.frames(1).len() < 10, "one window at a time");
    w.publish("web_log", "after the question");
    while w.frames(1).len() < 99 {
        let before = w.frames(1).len();
        w.pong(1);
        assert!(w.frames(1).len() > before, "stuck after {before}");
    }
    let number = |frame: &Value| frame["data"].as_str().unwrap().parse::<usize>().unwrap();
    let numbers: Vec<usize> = w.frames(1).iter().map(number).collect();
    assert_eq!(
        numbers,
        (0..99).collect::<Vec<_>>(),
        "what was there when it asked, in order"
    );
}

#[test]
fn refusals_of_one_command_are_bounded() {
    let mut w = World::new();
    w.open(1, None, "", "u");
    w.take();
    let names: Vec<_> = (0..1000).map(|n| channel(&format!("private_{n}"))).collect();
    w.request(
        1,
        ClientRequest::Subscribe(Subscribe {
            names,
            ..Subscribe::default()
        }),
    );
    assert_eq!(w.frames(1).len(), 33);
}

#[test]
fn presence_during_a_failure_of_the_store_is_written_once_when_it_is_back() {
    let mut w = World::new();
    w.key(7, "abc");
    w.writes_at_once = false;
    w.open(1, Some(7), "abc", "u");
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    for _ in 0..100 {
        w.close(1);
        w.sleep(1_000);
        w.open(1, Some(7), "abc", "u");
    }
    w.close(1);
    assert_eq!(w.unwritten.len(), 1);
    w.event(Event::Persisted { upto });
    assert_eq!(w.unwritten.len(), 2);
    w.write();
}

#[test]
fn a_deleted_key_disconnects_a_user_who_came_with_a_token() {
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjo1LCJleHAiOjk5ODMzMTEyMDB9.\
                 jXeCiNOA1eKLiLwcA2bkyaFZOhewvt81FCIfF278aO8";
    let mut w = World::with(comet_core::Config {
        password: comet_core::Secret::new("CometQLPassword"),
        ..config()
    });
    w.open_as(1, 1, Some(5), token, "u", Dialect::V4);
    assert_eq!(w.frames(1)[0]["authorized"], true);
    let statement = |w: &mut World, text: &str| {
        let parsed = comet_core::cometql::parse(text.as_bytes(), &comet_core::cometql::Limits::of(&w.config));
        w.statement(parsed.unwrap())
    };
    statement(&mut w, "USE db_1");
    statement(&mut w, "DELETE FROM users_auth WHERE id = 5 AND hash = 'other'");
    assert_eq!(w.was_closed(1), None);
    let done = statement(&mut w, "DELETE FROM users_auth WHERE id = 5");
    assert!(matches!(done, Some(Ok(Answer::Done(done))) if done.affected == 0));
    assert_eq!(w.was_closed(1), Some(comet_core::CloseCause::Kicked));
}
