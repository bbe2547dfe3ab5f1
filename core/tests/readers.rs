//! EXPLAIN DELIVERY of a message whose history many pages read (protocol.md 7.17): the newest readings one by one, the older
//! ones as a number.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::Answer;
use comet_core::cometql::{self, Cell, Limits};
use harness::{World, config};

/// The words and details of all readings of the messages of a channel.
fn readings(w: &mut World) -> Vec<String> {
    let limits = Limits::of(&config());
    let select = b"SELECT detail FROM messages_delivery WHERE name = 'web_a' AND what = 'read'";
    let statement = cometql::parse(select, &limits).unwrap();
    let Some(Ok(Answer::Rows(rows))) = w.statement(statement) else {
        panic!("no rows")
    };
    let text = |row: &Vec<Cell>| match &row[0] {
        Cell::Text(text) => text.to_string(),
        Cell::Int(_) => String::new(),
    };
    rows.rows.iter().map(text).collect()
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
