//! What is told of the way of a message is true, and no question about it costs more than it may (protocol.md 7.17).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use std::collections::BTreeMap;

use comet_core::cometql::{self, Cell, Limits};
use comet_core::{Answer, Config, ErrorCode, QueryError};
use harness::World;

fn run(w: &mut World, sql: &str) -> Result<Vec<Vec<String>>, QueryError> {
    let limits = Limits::of(&w.config.clone().check().unwrap());
    let statement = cometql::parse(sql.as_bytes(), &limits).unwrap();
    let text = |cell: &Cell| match cell {
        Cell::Int(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
    };
    match w.statement(statement).unwrap()? {
        Answer::Rows(rows) => Ok(rows
            .rows
            .iter()
            .map(|row| row.iter().map(text).collect())
            .collect()),
        Answer::Done(_) => Ok(Vec::new()),
    }
}

fn read_history(w: &mut World, conn: u64) {
    w.text(conn, "pipe_log\nweb_a\nundefined\n");
}

/// How many rows of each kind a question is answered with, by message.
fn whats(w: &mut World, condition: &str) -> BTreeMap<String, Vec<String>> {
    let mut by_id: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let rows = run(
        w,
        &format!("SELECT id, what FROM messages_delivery WHERE {condition}"),
    );
    for row in rows.unwrap() {
        by_id.entry(row[0].clone()).or_default().push(row[1].clone());
    }
    by_id
}

#[test]
fn a_page_that_comes_later_did_not_read_what_was_deleted_before() {
    let mut w = World::new();
    w.history("web_a", 10);
    for text in ["1", "2", "3"] {
        w.publish("web_a", text);
    }
    let ids: Vec<String> = whats(&mut w, "name = 'web_a'").into_keys().collect();
    run(
        &mut w,
        &format!("DELETE FROM pipes_messages WHERE id = '{}'", ids[1]),
    )
    .unwrap();
    w.open(1, None, "", "page");
    read_history(&mut w, 1);
    let told = whats(&mut w, "name = 'web_a'");
    assert_eq!(told[&ids[0]], ["accepted", "stored", "read", "kept"]);
    assert_eq!(told[&ids[1]], ["accepted", "stored", "deleted"]);
    assert_eq!(told[&ids[2]], ["accepted", "stored", "read", "kept"]);
}

#[test]
fn of_many_readers_the_newest_are_told_and_the_others_counted() {
    let mut w = World::new();
    w.checks = false;
    w.history("web_a", 20);
    for n in 0..20 {
        w.publish("web_a", &n.to_string());
    }
    for conn in 1..=150 {
        w.open(conn, None, "", "page");
        read_history(&mut w, conn);
    }
    let rows = run(
        &mut w,
        "SELECT id, connection, detail FROM messages_delivery WHERE name = 'web_a' AND what = 'read'",
    )
    .unwrap();
    let (told, counted): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row[1] != "0");
    assert_eq!(told.len(), 1_000, "in one answer");
    assert_eq!(counted.len(), 20, "a row for those before, for each message");
    assert!(
        told.iter().all(|row| row[1].parse::<u64>().unwrap() > 100),
        "the newest"
    );
    let one = run(
        &mut w,
        &format!(
            "SELECT connection, detail FROM messages_delivery WHERE id = '{}' AND what = 'read'",
            rows[0][0]
        ),
    )
    .unwrap();
    assert_eq!(one.len(), 101, "of one message");
    assert_eq!(one[0], ["0", "as history, 50 times until then"]);
    assert_eq!(one[1][0], "51");
    assert_eq!(one[100][0], "150");
}

#[test]
fn who_asks_about_a_user_is_told_what_he_read_however_many_came_later() {
    let mut w = World::new();
    w.checks = false;
    w.key(7, "k7");
    w.history("web_a", 1);
    w.publish("web_a", "hello");
    w.open(1, Some(7), "k7", "his");
    read_history(&mut w, 1);
    for conn in 2..=200 {
        w.open(conn, None, "", "page");
        read_history(&mut w, conn);
    }
    let rows = run(
        &mut w,
        "SELECT what, connection FROM messages_delivery WHERE user_id = 7 AND name = 'web_a'",
    );
    assert_eq!(rows.unwrap(), [["read", "1"]]);
}

#[test]
fn of_a_message_with_a_long_story_the_beginning_and_the_end_are_told() {
    let mut w = World::new();
    w.checks = false;
    w.key(7, "k7");
    w.private(7, "hello");
    for conn in 1..=600 {
        w.open(conn, Some(7), "k7", "his");
        w.close(conn);
    }
    let rows = run(
        &mut w,
        "SELECT what, connection, detail FROM messages_delivery WHERE user_id = 7",
    )
    .unwrap();
    let whats: Vec<&str> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(whats[..4], ["accepted", "stored", "more", "sent"]);
    assert_eq!(
        rows[2][2],
        "what happened before is not told: 200 times something"
    );
    assert_eq!(rows[3][1], "101", "the first that is told");
    assert_eq!(rows.len(), 2 + 1 + 1_000 + 1);
    assert_eq!(whats.last(), Some(&"waiting"));
}

#[test]
fn a_question_with_too_many_answers_is_refused() {
    let mut w = World::with(Config {
        delivery_window_bytes: 64 << 20,
        ..harness::config()
    });
    w.checks = false;
    // Accepted, stored and waiting: three rows each.
    for n in 0..6_666 {
        w.private(1 + n % 2, "hello");
    }
    let all = "SELECT id FROM messages_delivery WHERE name = 'msg'";
    assert_eq!(run(&mut w, all).unwrap().len(), 19_998);
    w.private(1, "one more");
    let refused = run(&mut w, all).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooLong);
    let his = run(&mut w, "SELECT id FROM messages_delivery WHERE user_id = 1");
    assert_eq!(his.unwrap().len(), 3 * 3_334, "one of the users can be asked for");
}
