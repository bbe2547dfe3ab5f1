//! EXPLAIN DELIVERY of messages whose history pages read (protocol.md 7.17): the newest readings one by one, the older ones
//! as a number; nobody read what was deleted before; and no answer is longer than it may be.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use std::collections::BTreeMap;

use comet_core::cometql::{self, Cell, Limits};
use comet_core::wire::Dialect;
use comet_core::{Answer, Config, ErrorCode, QueryError};
use harness::{World, config};

/// The texts of an answer, row by row.
fn run(w: &mut World, sql: &str) -> Result<Vec<Vec<String>>, QueryError> {
    let statement = cometql::parse(sql.as_bytes(), &Limits::of(&config())).unwrap();
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.to_string(),
        Cell::Int(number) => number.to_string(),
    };
    let answer = w.statement(statement).unwrap()?;
    let Answer::Rows(answer) = answer else {
        return Ok(Vec::new());
    };
    let rows = answer.rows.iter();
    Ok(rows.map(|row| row.iter().map(text).collect()).collect())
}

/// The details of all readings of the messages of a channel.
fn readings(w: &mut World) -> Vec<String> {
    let rows = run(
        w,
        "SELECT detail FROM messages_delivery WHERE name = 'web_a' AND what = 'read'",
    );
    rows.unwrap().concat()
}

#[test]
fn of_more_than_a_hundred_readings_the_oldest_are_a_number() {
    let mut w = World::new();
    w.history("web_a", 10);
    w.publish("web_a", "read by many");
    w.open(1, None, "", "a");
    for count in 1..=103 {
        w.take();
        w.text(1, "pipe_log\nweb_a\nm");
        let told = readings(&mut w);
        if count <= 100 {
            assert_eq!(told, vec!["sent as history"; count]);
        } else {
            assert_eq!(told.len(), 101);
            assert_eq!(told[0], format!("as history, {} times until then", count - 100));
        }
    }
}

/// How many readings are told of each message of a channel, in the order of their ids.
fn readings_by_message(w: &mut World) -> Vec<(String, usize)> {
    let rows = run(w, "SELECT id, what FROM messages_delivery WHERE name = 'web_a'");
    let mut told = BTreeMap::new();
    for [id, what] in rows
        .unwrap()
        .into_iter()
        .map(|row| <[String; 2]>::try_from(row).unwrap())
    {
        *told.entry(id).or_default() += usize::from(what == "read");
    }
    told.into_iter().collect()
}

/// A world whose channel keeps three messages, the connection of a page that read them, and their ids.
fn three_that_were_read() -> (World, Vec<String>) {
    let mut w = World::new();
    w.history("web_a", 3);
    for text in ["1", "2", "3"] {
        w.publish("web_a", text);
    }
    w.open(1, None, "", "early");
    w.text(1, "pipe_log\nweb_a\nm");
    let ids = readings_by_message(&mut w)
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    (w, ids)
}

fn counts(w: &mut World) -> Vec<usize> {
    w.open(2, None, "", "late");
    w.text(2, "pipe_log\nweb_a\nm");
    readings_by_message(w)
        .into_iter()
        .map(|(_, count)| count)
        .collect()
}

#[test]
fn a_page_that_comes_later_did_not_read_what_was_deleted_before() {
    let (mut w, ids) = three_that_were_read();
    run(
        &mut w,
        &format!("DELETE FROM pipes_messages WHERE id = '{}'", ids[1]),
    )
    .unwrap();
    assert_eq!(counts(&mut w), [2, 1, 2]);
}

#[test]
fn a_page_that_comes_later_did_not_read_what_newer_ones_replaced() {
    let (mut w, _) = three_that_were_read();
    w.publish("web_a", "4");
    assert_eq!(counts(&mut w), [1, 2, 2, 1]);
}

#[test]
fn a_page_that_comes_later_did_not_read_what_was_cut_off() {
    let (mut w, _) = three_that_were_read();
    w.history("web_a", 2);
    assert_eq!(counts(&mut w), [1, 2, 2]);
}

/// A window of 64 MiB: the default one holds fewer facts than an answer may have.
fn wide() -> World {
    let mut w = World::with(Config {
        delivery_window_bytes: 64 << 20,
        ..config()
    });
    w.checks = false;
    w
}

/// With what a question is refused.
fn code(w: &mut World, sql: &str) -> Option<ErrorCode> {
    run(w, sql).err().map(|error| error.code)
}

#[test]
fn a_question_with_too_many_answers_is_refused() {
    let mut w = wide();
    // Accepted, stored and waiting: three rows each; and four for who is there: it was sent.
    for n in 0..6_664 {
        w.private(1 + n % 2, "hello");
    }
    w.key(3, "k3");
    w.open(1, Some(3), "k3", "his");
    w.private(3, "hello");
    w.private(3, "hello");
    let all = "SELECT id FROM messages_delivery WHERE name = 'msg'";
    assert_eq!(run(&mut w, all).map(|rows| rows.len()), Ok(20_000));
    w.private(1, "one more");
    assert_eq!(code(&mut w, all), Some(ErrorCode::TooLong));
    let his = run(&mut w, "SELECT id FROM messages_delivery WHERE user_id = 1");
    assert_eq!(his.unwrap().len(), 3 * 3_333, "one of the users can be asked for");
}

/// One message may have a longer story than several: it cannot be asked for in parts.
#[test]
fn a_message_alone_is_told_whole() {
    let mut w = wide();
    w.key(7, "k7");
    w.private(7, "hello");
    for conn in 1..=10_001 {
        w.open(conn, Some(7), "k7", "his");
        w.close(conn);
    }
    let his = "SELECT id FROM messages_delivery WHERE user_id = 7";
    assert_eq!(run(&mut w, his).unwrap().len(), 3 + 2 * 10_001);
    w.private(7, "another");
    assert_eq!(code(&mut w, his), Some(ErrorCode::TooLong));
}

/// What an answer costs is bounded, too: messages times readings of their histories.
#[test]
fn a_question_that_compares_too_much_is_refused() {
    let mut w = wide();
    w.history("web_a", 100);
    w.publish("web_a", "read by all");
    w.open(1, None, "", "a");
    w.open(2, None, "", "b");
    for n in 0..50_000 {
        w.take();
        w.text(1 + n % 2, "pipe_log\nweb_a\nm");
    }
    for n in 1..100 {
        w.publish("web_a", &n.to_string());
    }
    let all = "SELECT id FROM messages_delivery WHERE name = 'web_a'";
    // 101 readings, and accepted, stored and kept.
    assert_eq!(run(&mut w, all).map(|rows| rows.len()), Ok(101 + 3 * 100));
    w.text(1, "pipe_log\nweb_a\nm");
    assert_eq!(code(&mut w, all), Some(ErrorCode::TooLong));
    let one = run(
        &mut w,
        "SELECT id FROM pipes_messages WHERE name = 'web_a' LIMIT 1",
    )
    .unwrap()
    .concat();
    let one = format!(
        "SELECT detail FROM messages_delivery WHERE id = '{}' AND what = 'read'",
        one.concat()
    );
    assert_eq!(
        run(&mut w, &one).map(|rows| rows.len()),
        Ok(1),
        "one message can be asked for"
    );
}

/// Connection 1 sends with the same send key each time.
fn send(w: &mut World, number: u64) {
    w.text(
        1,
        &format!("web_pipe2 {number}\nweb_a\ne\nkey-of-this-send\n\"hi\""),
    );
}

/// A repetition does not know the place of its message; whoever remembers nothing before it is told all the same who read it.
#[test]
fn a_message_is_found_by_its_place_though_its_beginning_is_forgotten() {
    let mut w = World::with(Config {
        delivery_window_bytes: 2_000,
        ..config()
    });
    w.history("web_a", 3);
    w.history("web_b", 3);
    w.open_as(1, 0, None, "", "page", Dialect::V5);
    send(&mut w, 1);
    for n in 0..50 {
        w.publish("web_b", &n.to_string());
    }
    send(&mut w, 2);
    w.text(1, "pipe_log 3\nweb_a");
    let rows = run(&mut w, "SELECT what FROM messages_delivery WHERE name = 'web_a'");
    assert_eq!(rows.unwrap().concat(), ["accepted", "repeated", "read", "kept"]);
}

/// A message that was deleted, and that its page sent again when its send key was forgotten, is in the history once more.
#[test]
fn a_message_that_came_back_is_read_again() {
    let mut w = World::new();
    w.history("web_a", 3);
    w.open_as(1, 0, None, "", "page", Dialect::V5);
    send(&mut w, 1);
    w.text(1, "pipe_log 2\nweb_a");
    run(&mut w, "DELETE FROM pipes_messages WHERE name = 'web_a'").unwrap();
    w.sleep(w.config.send_memory_ms + 1);
    send(&mut w, 3);
    w.text(1, "pipe_log 4\nweb_a");
    let rows = run(&mut w, "SELECT what FROM messages_delivery WHERE name = 'web_a'");
    let told = rows.unwrap().concat();
    assert_eq!(
        told,
        [
            "accepted", "stored", "read", "deleted", "accepted", "stored", "read", "kept"
        ]
    );
}

/// The same where the server does not know any more how it was accepted for the first time.
#[test]
fn the_beginning_of_a_message_that_came_back_may_be_forgotten() {
    let mut w = World::new();
    w.history("web_a", 3);
    w.open_as(1, 0, None, "", "page", Dialect::V5);
    send(&mut w, 1);
    w.crash_and_restart(1_000);
    w.open_as(2, 0, None, "", "page", Dialect::V5);
    w.text(2, "pipe_log 1\nweb_a");
    run(&mut w, "DELETE FROM pipes_messages WHERE name = 'web_a'").unwrap();
    w.text(2, "web_pipe2 2\nweb_a\ne\nkey-of-this-send\n\"hi\"");
    let rows = run(&mut w, "SELECT what FROM messages_delivery WHERE name = 'web_a'");
    let told = rows.unwrap().concat();
    assert_eq!(
        told,
        ["forgotten", "read", "deleted", "accepted", "stored", "kept"]
    );
}

/// What a page sent into a channel without a history is told in one row.
#[test]
fn an_answer_may_be_as_long_as_it_may_be() {
    let mut w = wide();
    w.key(7, "k7");
    w.history("web_b", 3);
    w.open_as(1, 0, Some(7), "k7", "page", Dialect::V5);
    let send = |w: &mut World, n: u64| {
        w.text(1, &format!("web_pipe2 {n}\nweb_a\ne\nkey-of-send-{n}\n\"hi\""));
        w.take();
    };
    for n in 1..=20_000 {
        send(&mut w, n);
    }
    let of_user = "SELECT id FROM messages_delivery WHERE user_id = 7";
    let of_channels = "SELECT id FROM messages_delivery WHERE name IN ('web_a', 'web_b')";
    for question in [of_user, of_channels] {
        assert_eq!(run(&mut w, question).map(|rows| rows.len()), Ok(20_000));
    }
    send(&mut w, 20_001);
    for question in [of_user, of_channels] {
        assert_eq!(code(&mut w, question), Some(ErrorCode::TooLong));
    }
}
