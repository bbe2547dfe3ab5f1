//! Private messages in version 5 (docs/protocol-v5.md 4): the page acknowledges, and nobody and nothing else does.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::wire::Dialect;
use comet_core::{CloseCause, Config, ConnId, Event, MessageId};
use harness::{World, config};
use serde_json::json;

/// User 7 with a key, online with these connections of version 5.
fn world(config: Config, conns: &[(u64, &str)]) -> World {
    let mut w = World::with(config);
    w.key(7, "abc");
    for &(conn, uuid) in conns {
        page(&mut w, conn, uuid);
    }
    w.take();
    w
}

fn page(w: &mut World, conn: u64, uuid: &str) {
    w.open_as(conn, 0, Some(7), "abc", uuid, Dialect::V5);
}

/// The ids of the private messages a connection was sent since the last `take`.
fn ids(w: &World, conn: u64) -> Vec<String> {
    let frames = w.frames(conn);
    let private = frames.iter().filter(|frame| frame["pipe"] == "msg");
    private
        .map(|frame| frame["uuid"].as_str().unwrap().to_owned())
        .collect()
}

fn ack(w: &mut World, conn: u64, id: &str) {
    w.text(conn, &format!("ack\n{id}"));
}

#[test]
fn one_acknowledgement_covers_all_before_it_and_none_behind_it() {
    let mut w = world(config(), &[(1, "u")]);
    for text in ["1", "2", "3"] {
        w.private(7, text);
    }
    let ids = ids(&w, 1);
    assert!(w.probes(1).is_empty(), "no Ping after private messages");
    w.take();
    ack(&mut w, 1, &ids[1]);
    assert_eq!(w.queue_len(7), 1);
    ack(&mut w, 1, &ids[0]);
    ack(&mut w, 1, &ids[1]);
    assert_eq!(w.queue_len(7), 1, "acknowledged before: ignored");
    ack(&mut w, 1, &ids[2]);
    assert_eq!(w.queue_len(7), 0);
    assert!(w.frames(1).is_empty(), "an `ack` without number has no result");
}

#[test]
fn a_pong_acknowledges_nothing() {
    let mut w = world(config(), &[(1, "u")]);
    w.private(7, "m");
    let probe = MessageId::parse(&ids(&w, 1)[0]).unwrap();
    w.event(Event::ProbeAnswered {
        conn: ConnId(1),
        probe,
    });
    assert_eq!(w.queue_len(7), 1);
}

#[test]
fn a_page_that_dies_before_it_has_handled_the_message_gets_it_again() {
    let mut w = world(config(), &[(1, "u")]);
    w.private(7, "m");
    let before = ids(&w, 1);
    w.close(1);
    w.take();
    page(&mut w, 2, "u");
    assert_eq!(ids(&w, 2), before, "the same message");
    ack(&mut w, 2, &before[0]);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn acknowledgements_of_others_mean_nothing() {
    let mut w = world(config(), &[(1, "u"), (2, "v")]);
    w.key(8, "def");
    w.open_as(3, 0, Some(8), "def", "stranger", Dialect::V5);
    w.open_as(4, 0, None, "", "nobody", Dialect::V5);
    w.open_as(5, 1, Some(7), "abc", "u", Dialect::V5);
    w.private(7, "m");
    let id = ids(&w, 1).remove(0);
    w.take();
    for conn in 3..=5 {
        w.text(conn, &format!("ack 9\n{id}"));
        let result = w.frames(conn).remove(0);
        assert_eq!((&result["event"], &result["re"]), (&json!("ack"), &json!(9)));
    }
    ack(&mut w, 1, &id);
    assert_eq!(w.queue_len(7), 1, "device 2 has not acknowledged");
    for invented in [
        "01890000-0000-7000-8000-000000000001",
        "00000000-0000-0000-0000-000000000000",
    ] {
        ack(&mut w, 2, invented);
    }
    assert_eq!(w.queue_len(7), 1);
    w.take();
    w.text(2, "ack 10\nnonsense");
    assert_eq!(w.frames(2)[0]["data"]["code"], "bad_message_id");
    ack(&mut w, 2, &id);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn version_4_cannot_acknowledge_so() {
    let mut w = world(config(), &[]);
    w.open(1, Some(7), "abc", "u");
    w.private(7, "m");
    let id = ids(&w, 1).remove(0);
    w.take();
    ack(&mut w, 1, &id);
    assert_eq!(w.queue_len(7), 1);
    assert_eq!(w.frames(1)[0]["event"], "error");
}

#[test]
fn a_page_that_acknowledges_nothing_is_dropped_and_every_progress_begins_the_time_anew() {
    let mut w = world(config(), &[(1, "u")]);
    for text in ["1", "2", "3"] {
        w.private(7, text);
    }
    let sent = ids(&w, 1);
    for id in &sent[..2] {
        w.sleep(9_999);
        ack(&mut w, 1, id);
    }
    w.sleep(9_998);
    ack(&mut w, 1, &sent[0]);
    w.sleep(1);
    assert_eq!(w.was_closed(1), None, "9,999 ms after the last progress");
    w.sleep(1);
    assert_eq!(
        w.was_closed(1),
        Some(CloseCause::AckTimeout),
        "what was known is no progress"
    );
    w.take();
    page(&mut w, 2, "u");
    assert_eq!(ids(&w, 2).len(), 1, "only what was not acknowledged comes again");
}

#[test]
fn who_owes_nothing_is_not_dropped() {
    let mut w = world(config(), &[(1, "u")]);
    w.private(7, "m");
    let id = ids(&w, 1).remove(0);
    ack(&mut w, 1, &id);
    w.sleep(3_600_000);
    assert_eq!(w.was_closed(1), None);
}

/// The window counts bytes of frames; a message is held back as soon as it does not fit behind the others.
#[test]
fn what_does_not_fit_the_window_waits_for_acknowledgements() {
    let mut probe = world(config(), &[(1, "u")]);
    probe.private(7, &"x".repeat(100));
    let frame = probe.actions.iter().find_map(|action| match action {
        comet_core::Action::Send { frame, .. } => Some(frame.bytes().len()),
        comet_core::Action::Probe { .. }
        | comet_core::Action::Close { .. }
        | comet_core::Action::Reply { .. }
        | comet_core::Action::CloseSession { .. }
        | comet_core::Action::Persist { .. }
        | comet_core::Action::Ready(_)
        | comet_core::Action::Room(_) => None,
    });
    // Three messages: two frames are on their way, and the body of the third has just room, or lacks one byte.
    for (spare, fit) in [(0, 3), (1, 2)] {
        let window = 2 * frame.unwrap() + 100 - spare;
        let mut w = world(
            Config {
                private_window_bytes: window,
                ..config()
            },
            &[(1, "u")],
        );
        for _ in 0..4 {
            w.private(7, &"x".repeat(100));
        }
        let sent = ids(&w, 1);
        assert_eq!(sent.len(), fit, "with {spare} bytes less");
        w.take();
        ack(&mut w, 1, &sent[0]);
        assert_eq!(ids(&w, 1).len(), 1, "one has left, one follows");
        let last = ids(&w, 1).remove(0);
        w.take();
        ack(&mut w, 1, &last);
        let rest = ids(&w, 1);
        assert_eq!(fit + 1 + rest.len(), 4);
        if let Some(id) = rest.first() {
            ack(&mut w, 1, id);
        }
        assert_eq!(w.queue_len(7), 0);
    }
}

#[test]
fn devices_of_versions_4_and_5_acknowledge_each_in_its_way() {
    let mut w = world(config(), &[(1, "new")]);
    w.open(2, Some(7), "abc", "old");
    w.take();
    w.private(7, "m");
    let id = ids(&w, 1).remove(0);
    w.pong(2);
    assert_eq!(w.queue_len(7), 1, "the page has not handled it");
    ack(&mut w, 1, &id);
    assert_eq!(w.queue_len(7), 0);
}

/// The last connection of a browser that is done with a message pays it by its end, but a stopping server makes no
/// records any more.
#[test]
fn a_stop_between_two_connections_of_a_browser_changes_nothing_durable() {
    let mut w = world(config(), &[(1, "u"), (2, "u")]);
    w.private(7, "m");
    let id = ids(&w, 1).remove(0);
    ack(&mut w, 1, &id);
    assert_eq!(w.queue_len(7), 1, "the other connection has not acknowledged");
    w.take();
    w.event(Event::Shutdown);
    assert_eq!(w.was_closed(2), Some(CloseCause::Shutdown));
    assert_eq!(w.queue_len(7), 1);
}
