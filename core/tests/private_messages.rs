//! The heart of the product: protocol.md 5 and 5.1, one test per rule.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::{CloseCause, Event};
use harness::{World, config};

/// User 7 with a key, online with these connections and uuids.
fn world(conns: &[(u64, &str)]) -> World {
    world_with(World::new(), conns)
}

fn world_with(mut world: World, conns: &[(u64, &str)]) -> World {
    world.key(7, "abc");
    for &(conn, uuid) in conns {
        world.open(conn, Some(7), "abc", uuid);
    }
    world.take();
    world
}

#[test]
fn s7_every_device_gets_it_and_it_is_paid_when_all_have_acknowledged() {
    let mut w = world(&[(1, "a"), (2, "b")]);
    w.private(7, "hi");
    assert_eq!(w.privates(1), ["hi"]);
    assert_eq!(w.privates(2), ["hi"]);
    w.pong(1);
    assert_eq!(w.queue_len(7), 1, "device 2 has not acknowledged");
    w.pong(2);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn s10_offline_messages_wait_and_come_in_order_with_one_probe_behind_them() {
    let mut w = world(&[]);
    for text in ["1", "2", "3"] {
        let done = w.private(7, text).unwrap().unwrap();
        assert_eq!(done.delivered.unwrap().queued, 1);
    }
    w.open(5, Some(7), "abc", "u");
    assert_eq!(w.privates(5), ["q:1", "q:2", "q:3"]);
    assert_eq!(w.probes(5).len(), 1, "at most one probe is outstanding");
    w.pong(5);
    assert_eq!(w.queue_len(7), 0);
    w.take();
    w.open(6, Some(7), "abc", "v");
    assert!(
        w.privates(6).is_empty(),
        "what is paid is not sent to later devices"
    );
}

#[test]
fn s11_a_reload_before_the_pong_gets_the_message_again_with_the_same_uuid() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "hi");
    let first = w.frames(1)[0]["uuid"].clone();
    w.close(1);
    w.take();
    w.sleep(1000);
    w.open(2, Some(7), "abc", "u");
    assert_eq!(w.privates(2), ["q:hi"]);
    assert_eq!(
        w.frames(2).iter().find(|f| f["pipe"] == "msg").unwrap()["uuid"],
        first
    );
    w.pong(2);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn a_new_page_that_connects_before_the_death_of_the_old_one_is_noticed_gets_everything_in_order() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "1");
    w.open(2, Some(7), "abc", "u");
    w.private(7, "2");
    assert_eq!(w.privates(2), ["q:1", "2"]);
    w.pong(2);
    w.pong(2);
    w.sleep(10_000);
    assert_eq!(w.was_closed(1), Some(CloseCause::AckTimeout));
    w.sleep(61_000);
    assert_eq!(w.queue_len(7), 0);
    w.take();
    w.open(3, Some(7), "abc", "u");
    assert!(
        w.privates(3).is_empty(),
        "it was acknowledged, and the zombie's claim is over"
    );
}

#[test]
fn the_only_tab_of_a_browser_takes_its_claim_over_when_it_returns() {
    let mut w = world(&[(1, "phone"), (2, "desk")]);
    w.private(7, "1");
    w.pong(1);
    w.close(2);
    w.open(3, Some(7), "abc", "desk");
    w.pong(3);
    assert_eq!(w.queue_len(7), 0, "the desk has it now");
    w.take();
    w.open(4, Some(7), "abc", "desk");
    assert!(w.privates(4).is_empty());
}

#[test]
fn a_tab_does_not_take_the_claim_of_its_sibling() {
    let mut w = world(&[(1, "u"), (2, "u")]);
    w.private(7, "m");
    w.pong(1);
    w.close(1);
    w.close(2);
    w.take();
    w.open(3, Some(7), "abc", "u");
    w.pong(3);
    w.open(4, Some(7), "abc", "u");
    assert_eq!(
        w.privates(4),
        ["q:m"],
        "connection 3 may have been the first tab, which had it already"
    );
    w.pong(4);
    w.sleep(60_000);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn a_new_tab_does_not_take_the_claim_of_a_living_one() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "m");
    w.open(2, Some(7), "abc", "u");
    w.pong(2);
    assert_eq!(
        w.queue_len(7),
        1,
        "connection 1 has neither acknowledged nor gone"
    );
    w.close(1);
    w.take();
    w.open(3, Some(7), "abc", "u");
    assert_eq!(w.privates(3), ["q:m"]);
}

#[test]
fn every_claim_of_a_browser_with_several_tabs_lasts_its_own_time() {
    let mut w = world(&[(1, "u"), (2, "u")]);
    w.private(7, "m");
    w.close(2);
    w.sleep(9_000);
    w.close(1);
    w.sleep(50_000);
    w.open(3, Some(7), "abc", "u");
    w.pong(3);
    w.sleep(2_000);
    w.take();
    w.open(4, Some(7), "abc", "u");
    assert_eq!(w.privates(4), ["q:m"], "connection 1 was gone for 52 seconds");
    w.pong(4);
    w.sleep(8_000);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn acknowledged_elsewhere_it_is_kept_for_the_same_browser_only() {
    let mut w = world(&[(1, "phone"), (2, "desk")]);
    w.private(7, "hi");
    w.pong(1);
    w.close(2);
    w.take();
    w.open(3, Some(7), "abc", "other");
    assert!(w.privates(3).is_empty());
    w.open(4, Some(7), "abc", "desk");
    assert_eq!(w.privates(4), ["q:hi"]);
    w.pong(4);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn the_claim_of_a_vanished_device_ends_after_reload_grace_exactly() {
    for (wait, gets_it) in [(59_999, true), (60_000, false)] {
        let mut w = world(&[(1, "phone"), (2, "desk")]);
        w.private(7, "hi");
        w.pong(1);
        w.close(2);
        w.sleep(wait);
        w.take();
        w.open(3, Some(7), "abc", "desk");
        assert_eq!(!w.privates(3).is_empty(), gets_it, "after {wait} ms");
    }
}

#[test]
fn a_device_without_a_uuid_cannot_be_recognised_again() {
    let mut w = world(&[(1, ""), (2, "")]);
    w.private(7, "hi");
    w.pong(1);
    w.close(2);
    w.take();
    w.open(3, Some(7), "abc", "");
    assert!(w.privates(3).is_empty());
    w.sleep(60_000);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn an_unanswered_probe_drops_the_connection_after_ack_timeout() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "hi");
    w.sleep(9_999);
    assert_eq!(w.was_closed(1), None);
    w.sleep(1);
    assert_eq!(w.was_closed(1), Some(CloseCause::AckTimeout));
    assert_eq!(w.queue_len(7), 1, "the message is owed");
    w.close(1);
}

#[test]
fn other_payloads_acknowledge_nothing() {
    let mut w = world(&[(1, "u"), (2, "v")]);
    w.private(7, "hi");
    let foreign = comet_core::MessageId(99);
    w.event(Event::ProbeAnswered {
        conn: comet_core::ConnId(1),
        probe: foreign,
    });
    w.event(Event::ProbeAnswered {
        conn: comet_core::ConnId(77),
        probe: foreign,
    });
    assert_eq!(w.queue_len(7), 1);
}

#[test]
fn a_message_behind_the_probe_is_not_acknowledged_by_it() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "1");
    let probe = w.probes(1)[0];
    w.private(7, "2");
    assert_eq!(w.probes(1).len(), 1, "at most one probe is outstanding");
    w.event(Event::ProbeAnswered {
        conn: comet_core::ConnId(1),
        probe,
    });
    assert_eq!(w.queue_len(7), 1);
    assert_eq!(w.probes(1).len(), 2, "the next probe covers the rest");
    w.pong(1);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn the_answer_waits_for_the_store_and_live_delivery_does_not() {
    let mut w = world(&[(1, "u")]);
    w.writes_at_once = false;
    assert!(w.private(7, "hi").is_none(), "not stored yet");
    assert_eq!(w.privates(1), ["hi"]);
    let req = w.last_request();
    w.write();
    assert_eq!(w.reply(req).unwrap().map(|_| ()), Ok(()));
}

#[test]
fn a_failing_store_answers_500_and_accepts_nothing_until_it_has_caught_up() {
    let mut w = world(&[]);
    w.writes_at_once = false;
    assert!(w.private(7, "1").is_none());
    let (req, upto) = (w.last_request(), w.unwritten.last().unwrap().0);
    w.event(Event::PersistFailed { upto });
    assert_eq!(w.reply(req).unwrap().unwrap_err().code.number(), 500);
    assert_eq!(w.private(7, "2").unwrap().unwrap_err().code.number(), 500);
    assert_eq!(w.queue_len(7), 1, "a refused statement has no effect");
    w.write();
    assert!(w.private(7, "3").is_none(), "accepted again");
    w.write();
    w.take();
    w.open(1, Some(7), "abc", "u");
    assert_eq!(w.privates(1), ["q:1", "q:3"]);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_crash_at_any_point() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "stored, sent, not acknowledged by the browser");
    w.writes_at_once = false;
    w.private(7, "never stored, never answered");
    w.crash_and_restart(5_000);
    w.open(2, Some(7), "abc", "u");
    assert_eq!(w.privates(2), ["q:stored, sent, not acknowledged by the browser"]);
}

#[test]
fn s8_sixteen_devices_and_the_newest_sixteen_of_seventeen() {
    let conns: Vec<(u64, String)> = (1..=17).map(|n| (n, format!("u{n}"))).collect();
    let conns: Vec<(u64, &str)> = conns.iter().map(|(n, uuid)| (*n, uuid.as_str())).collect();
    let mut w = world(&conns[..16]);
    w.private(7, "all");
    assert!((1..=16).all(|conn| w.privates(conn) == ["all"]));
    (1..=16).for_each(|conn| w.pong(conn));
    w.open(17, Some(7), "abc", "u17");
    w.take();
    w.private(7, "newest");
    assert!(w.privates(1).is_empty(), "the oldest is no device any more (Q29)");
    assert!((2..=17).all(|conn| w.privates(conn) == ["newest"]));
}

#[test]
fn s15_the_right_user_with_a_wrong_key_gets_nothing() {
    let mut w = world(&[]);
    w.open(1, Some(7), "abd", "u");
    w.open(2, Some(7), "", "u");
    w.open(3, Some(8), "abc", "u");
    w.private(7, "secret");
    assert!((1..=3).all(|conn| w.privates(conn).is_empty()));
}

#[test]
fn queue_max_refuses_the_whole_statement_instead_of_dropping() {
    let mut w = world_with(
        World::with(comet_core::Config {
            queue_len_max: 2,
            ..config()
        }),
        &[],
    );
    assert!(w.private(7, "1").unwrap().is_ok());
    assert!(w.private(7, "2").unwrap().is_ok());
    assert_eq!(w.private(7, "3").unwrap().unwrap_err().code.number(), 11);
    assert_eq!(w.queue_len(7), 2);
}

#[test]
fn q71_queue_ttl_expires_messages_across_a_restart_too() {
    let config = comet_core::Config {
        queue_ttl_ms: 120_000,
        ..config()
    };
    let mut w = world_with(World::with(config), &[]);
    w.private(7, "old");
    w.sleep(60_000);
    w.private(7, "new");
    w.crash_and_restart(30_000);
    w.sleep(30_999);
    assert_eq!(w.queue_len(7), 2, "never early: stored times are whole seconds");
    w.sleep(1);
    assert_eq!(w.queue_len(7), 1);
    w.sleep(60_000);
    assert_eq!(w.queue_len(7), 0);
    assert_eq!(w.core.poll_timeout(), None, "no timer without a queue");
}

#[test]
fn q68_q69_a_deleted_key_disconnects_and_the_messages_stay_owed() {
    let mut w = world(&[(1, "u")]);
    w.private(7, "hi");
    w.take();
    let keys = comet_core::cometql::Keys::Users(vec![7]);
    let delete = comet_core::cometql::Delete {
        table: comet_core::cometql::Table::UsersAuth,
        keys,
        filter: None,
        order: vec![],
        limit: None,
    };
    w.statement(comet_core::cometql::Statement::Delete(delete));
    assert_eq!(w.was_closed(1), Some(CloseCause::Kicked));
    w.open(2, Some(7), "abc", "u");
    assert_eq!(w.frames(2)[0]["authorized"], false, "S18");
    assert!(w.privates(2).is_empty());
    w.key(7, "new");
    w.open(3, Some(7), "new", "u");
    assert_eq!(w.privates(3), ["q:hi"]);
}

#[test]
fn a_queue_of_any_length_leaves_in_windows_as_pongs_come_back() {
    let mut w = world_with(
        World::with(comet_core::Config {
            private_window_bytes: 1_000,
            ..config()
        }),
        &[],
    );
    let texts: Vec<String> = (0..50).map(|n| format!("{n:0100}")).collect();
    for text in &texts {
        w.private(7, text);
    }
    w.take();
    w.open(1, Some(7), "abc", "u");
    assert!(
        w.privates(1).len() < 10,
        "{} messages at once",
        w.privates(1).len()
    );
    w.private(7, "newest");
    for _ in 0..50 {
        if w.queue_len(7) > 0 {
            w.pong(1);
        }
    }
    let expected: Vec<String> = texts
        .iter()
        .map(|text| text.as_str())
        .chain(["newest"])
        .map(|t| format!("q:{t}"))
        .collect();
    assert_eq!(w.privates(1), expected);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn what_was_in_the_window_and_behind_it_is_owed_again_after_a_reload() {
    let mut w = world_with(
        World::with(comet_core::Config {
            private_window_bytes: 1,
            ..config()
        }),
        &[(1, "u")],
    );
    for text in ["1", "2", "3"] {
        w.private(7, text);
    }
    assert_eq!(
        w.privates(1),
        ["1"],
        "a window of one byte still lets one message through"
    );
    w.open(2, Some(7), "abc", "other");
    w.close(1);
    w.pong(2);
    assert_eq!(
        w.queue_len(7),
        3,
        "the first device may come back for its messages"
    );
    w.take();
    w.open(3, Some(7), "abc", "u");
    w.pong(3);
    w.pong(3);
    w.pong(3);
    assert_eq!(w.privates(3), ["q:1", "q:2", "q:3"]);
}

#[test]
fn messages_deleted_while_they_wait_for_the_window_do_not_stop_the_rest() {
    let mut w = world_with(
        World::with(comet_core::Config {
            private_window_bytes: 1,
            ..config()
        }),
        &[(1, "u")],
    );
    for text in ["1", "2", "3"] {
        w.private(7, text);
    }
    let delete = comet_core::cometql::parse(
        b"DELETE FROM users_messages WHERE id = 7 AND message IN ('1', '2')",
        &comet_core::cometql::Limits::of(&w.config),
    );
    w.statement(delete.unwrap());
    w.pong(1);
    assert_eq!(w.privates(1), ["1", "q:3"]);
    w.pong(1);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn a_living_tab_acknowledges_after_its_siblings_came_and_went() {
    let mut w = world(&[(1, "u"), (2, "u")]);
    w.private(7, "m");
    w.open(3, Some(7), "abc", "u");
    w.close(2);
    w.close(3);
    w.sleep(9_000);
    w.pong(1);
    w.sleep(61_000);
    assert_eq!(
        w.queue_len(7),
        0,
        "a device has acknowledged, the others were gone too long"
    );
}

#[test]
fn a_late_acknowledgement_after_every_claim_has_ended_still_pays() {
    let config = comet_core::Config {
        reload_grace_ms: 1_000,
        ..config()
    };
    let mut w = world_with(World::with(config), &[(1, "u"), (2, "u")]);
    w.private(7, "m");
    w.open(3, Some(7), "abc", "u");
    w.close(2);
    w.close(3);
    w.sleep(5_000);
    w.pong(1);
    assert_eq!(w.queue_len(7), 0);
}

#[test]
fn vanished_devices_of_a_user_are_bounded() {
    let mut w = world(&[]);
    for n in 0..200 {
        w.private(7, &n.to_string());
    }
    for conn in 1..=100 {
        w.open(conn, Some(7), "abc", &format!("u{conn}"));
        w.close(conn);
    }
    w.take();
    w.open(1000, Some(7), "abc", "u1000");
    assert_eq!(w.privates(1000).len(), 200, "nobody has acknowledged anything");
    w.pong(1000);
    w.sleep(60_000);
    assert_eq!(w.queue_len(7), 0);
    assert_eq!(w.core.poll_timeout(), None);
}
