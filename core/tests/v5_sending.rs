//! Send keys at their limits (docs/protocol-v5.md 3): the memory in number and in time, whose message is whose, and
//! what a report says and when.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::wire::Dialect;
use comet_core::{Config, Event};
use harness::{World, config};
use serde_json::{Value, json};

fn page(w: &mut World, conn: u64, uuid: &str) {
    w.open_as(conn, 0, None, "", uuid, Dialect::V5);
}

/// Connection 1 sends, connection 2 reads.
fn world(config: Config) -> World {
    let mut w = World::with(config);
    page(&mut w, 1, "sender");
    page(&mut w, 2, "reader");
    w.text(2, "subscription 1\nweb_a\nweb_b");
    w.take();
    w
}

fn send(w: &mut World, conn: u64, number: u64, channel: &str, key: &str) {
    w.text(conn, &format!("web_pipe2 {number}\n{channel}\ne\n{key}\n\"hi\""));
}

/// The report with this number, and how many readers got the message since the last look.
fn outcome(w: &mut World, conn: u64, number: u64) -> (Value, usize) {
    let with_number = |frame: &Value| frame["re"] == number;
    let reports: Vec<_> = w.frames(conn).into_iter().filter(with_number).collect();
    assert_eq!(reports.len(), 1, "one result for {number}: {reports:?}");
    let readers = w.frames(2).iter().filter(|frame| frame["event"] == "e").count();
    w.take();
    (reports[0]["data"].clone(), readers)
}

fn is_repeated(w: &mut World, number: u64, key: &str) -> bool {
    send(w, 1, number, "web_a", key);
    let (report, readers) = outcome(w, 1, number);
    let repeated = report["repeated"] == true;
    assert_eq!(readers, usize::from(!repeated), "accepted once, published once");
    assert_eq!(report["number_messages"], 1, "of the first attempt");
    repeated
}

#[test]
fn the_memory_holds_as_many_as_it_may_and_forgets_the_oldest() {
    let mut w = world(Config {
        send_memory_max: 3,
        ..config()
    });
    for number in 1..=3 {
        assert!(!is_repeated(&mut w, number, &format!("memory-key-{number}")));
    }
    assert!(is_repeated(&mut w, 4, "memory-key-1"), "3 of 3 are known");
    assert!(!is_repeated(&mut w, 5, "memory-key-4"));
    assert!(
        is_repeated(&mut w, 6, "memory-key-2") && is_repeated(&mut w, 7, "memory-key-3"),
        "a repetition does not push anything out"
    );
    assert!(
        !is_repeated(&mut w, 8, "memory-key-1"),
        "the oldest of 4 is forgotten"
    );
    assert!(
        !is_repeated(&mut w, 9, "memory-key-2"),
        "which took the place of the next"
    );
}

#[test]
fn a_memory_of_none_forgets_at_once() {
    let mut w = world(Config {
        send_memory_max: 0,
        ..config()
    });
    assert!(!is_repeated(&mut w, 1, "memory-key"));
    assert!(!is_repeated(&mut w, 2, "memory-key"));
}

#[test]
fn the_memory_lasts_two_minutes_from_the_first_attempt() {
    let mut w = world(config());
    assert!(!is_repeated(&mut w, 1, "memory-key"));
    w.sleep(119_999);
    assert!(is_repeated(&mut w, 2, "memory-key"));
    w.sleep(1);
    assert!(!is_repeated(&mut w, 3, "memory-key"));
    w.sleep(119_999);
    assert!(
        is_repeated(&mut w, 4, "memory-key"),
        "a new first attempt, a new time"
    );
}

#[test]
fn the_memory_outlives_connections_and_not_the_server() {
    let mut w = world(config());
    send(&mut w, 1, 1, "web_a", "memory-key");
    let (first, _) = outcome(&mut w, 1, 1);
    w.close(1);
    page(&mut w, 3, "sender");
    send(&mut w, 3, 1, "web_a", "memory-key");
    let (again, readers) = outcome(&mut w, 3, 1);
    assert_eq!((&again["repeated"], readers), (&json!(true), 0));
    assert_eq!(again["uuid"], first["uuid"]);
    w.crash_and_restart(1_000);
    page(&mut w, 1, "sender");
    page(&mut w, 2, "reader");
    w.text(2, "subscription 1\nweb_a");
    w.take();
    send(&mut w, 1, 1, "web_a", "memory-key");
    let (again, readers) = outcome(&mut w, 1, 1);
    assert_eq!((&again["repeated"], readers), (&Value::Null, 1));
    assert_eq!(again["uuid"], first["uuid"], "so that readers can drop it");
}

#[test]
fn the_history_remembers_longer_than_the_memory_as_long_as_the_message_is_in_it() {
    let mut w = world(config());
    w.history("web_a", 2);
    send(&mut w, 1, 1, "web_a", "memory-key");
    let (first, _) = outcome(&mut w, 1, 1);
    w.sleep(120_000);
    for number in 2..=3 {
        send(&mut w, 1, number, "web_a", "memory-key");
        let (again, readers) = outcome(&mut w, 1, number);
        assert_eq!((&again["repeated"], readers), (&json!(true), 0));
        assert_eq!(again["number_messages"], 0, "only known from the history");
        assert_eq!(again["uuid"], first["uuid"]);
        w.publish("web_a", "\"1 of 2\"");
        w.take();
    }
    send(&mut w, 1, 9, "web_a", "memory-key");
    let (again, readers) = outcome(&mut w, 1, 9);
    assert_eq!(
        (&again["repeated"], readers),
        (&Value::Null, 1),
        "2 newer ones are in it"
    );
}

#[test]
fn the_id_depends_on_everything_that_says_whose_message_it_is_and_on_nothing_else() {
    let mut w = world(config());
    w.key(7, "abc");
    w.open_as(3, 0, Some(7), "abc", "sender", Dialect::V5);
    w.open_as(4, 1, None, "", "sender", Dialect::V5);
    page(&mut w, 5, "other");
    w.take();
    let mut id = |conn, channel: &str, key: &str, text: &str| {
        w.text(conn, &format!("web_pipe2 1\n{channel}\ne\n{key}\n{text}"));
        let frames = w.frames(conn);
        let report = frames.iter().find(|frame| frame["re"] == 1).unwrap();
        let id = report["data"]["uuid"].as_str().unwrap().to_owned();
        w.take();
        id
    };
    let one = id(1, "web_a", "memory-key", "1");
    assert_eq!(one, id(1, "web_a", "memory-key", "another text"));
    assert_eq!(
        one,
        id(1, "@web_a", "memory-key", "1"),
        "`@` hides the sender from others only"
    );
    let mut all = vec![
        one,
        id(1, "web_b", "memory-key", "1"),
        id(1, "web_a", "memory-kez", "1"),
        id(3, "web_a", "memory-key", "1"),
        id(4, "web_a", "memory-key", "1"),
        id(5, "web_a", "memory-key", "1"),
    ];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6, "another channel, key, user, tenant, browser");
}

#[test]
fn a_send_key_has_8_to_64_name_characters() {
    let cases = [
        ("k".repeat(7), false),
        ("k".repeat(8), true),
        ("k".repeat(64), true),
        ("k".repeat(65), false),
        ("key with spaces".to_owned(), false),
        ("*".to_owned(), false),
        (String::new(), false),
    ];
    let mut w = world(config());
    for (at, (key, is_key)) in cases.into_iter().enumerate() {
        let number = 2 * at as u64 + 1;
        assert!(!is_repeated(&mut w, number, &key), "{key}");
        assert_eq!(is_repeated(&mut w, number + 1, &key), is_key, "{key}");
    }
}

#[test]
fn a_repeated_message_is_reported_when_the_first_attempt_is_safe() {
    let mut w = world(config());
    w.history("web_a", 5);
    w.take();
    w.writes_at_once = false;
    send(&mut w, 1, 1, "web_a", "memory-key");
    send(&mut w, 1, 2, "web_a", "memory-key");
    assert!(w.frames(1).is_empty(), "nothing is safe yet");
    assert_eq!(w.frames(2).len(), 1, "live delivery does not wait");
    w.write();
    let reports: Vec<_> = w.frames(1).iter().map(|frame| frame["re"].clone()).collect();
    assert_eq!(reports, [1, 2]);
    w.take();
    assert!(is_repeated(&mut w, 3, "memory-key"), "now at once");
}

#[test]
fn a_failed_write_is_told_with_the_number_and_the_message_is_still_known() {
    let mut w = world(config());
    w.history("web_a", 5);
    w.take();
    w.writes_at_once = false;
    send(&mut w, 1, 1, "web_a", "memory-key");
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    let (report, _) = outcome(&mut w, 1, 1);
    assert_eq!(report["code"], "store_unavailable");
    send(&mut w, 1, 2, "web_a", "another-key");
    let (refused, readers) = outcome(&mut w, 1, 2);
    assert_eq!((&refused["code"], readers), (&json!("store_unavailable"), 0));
    send(&mut w, 1, 3, "web_a", "memory-key");
    assert!(w.frames(1).is_empty(), "the store tries again what it was given");
    w.write();
    let (report, readers) = outcome(&mut w, 1, 3);
    assert_eq!((&report["repeated"], readers), (&json!(true), 0));
    assert_eq!(
        (&report["error"], &report["number_messages"]),
        (&json!(""), &json!(1))
    );
}

#[test]
fn version_4_has_no_send_keys() {
    let mut w = world(config());
    w.open(3, None, "", "old");
    w.take();
    for _ in 0..2 {
        w.text(3, "web_pipe2\nweb_a\ne\nmemory-key\n\"hi\"");
    }
    assert_eq!(w.frames(2).len(), 2, "accepted both times");
    assert!(w.frames(2).iter().all(|frame| frame.get("uuid").is_none()));
}
