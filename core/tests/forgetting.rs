//! What the server forgets by itself, and when: messages over their TTL (Q71), send keys over their memory.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::Config;
use harness::{World, config, untimed};

#[test]
fn q71_every_message_expires_in_its_own_time() {
    let mut w = World::with(Config {
        queue_ttl_ms: 10_000,
        ..config()
    });
    w.private(5, "first");
    w.sleep(4_000);
    w.private(5, "second");
    w.sleep(6_999);
    assert_eq!(w.queue_len(5), 2);
    w.sleep(1);
    assert_eq!(
        w.queue_len(5),
        1,
        "the first, at ten seconds and the one its time is kept to"
    );
    w.sleep(3_999);
    assert_eq!(w.queue_len(5), 1);
    w.sleep(1);
    assert_eq!(w.queue_len(5), 0, "the timer was armed again for the second");
}

#[test]
fn q71_no_timer_without_a_ttl_or_without_a_queue() {
    let mut w = World::with(Config {
        queue_ttl_ms: 0,
        ..untimed()
    });
    w.private(5, "stays");
    w.crash_and_restart(1_000);
    assert_eq!(w.core.poll_timeout(), None);
    let mut w = World::with(Config {
        queue_ttl_ms: 10_000,
        ..untimed()
    });
    w.key(5, "k5");
    w.private(5, "taken");
    assert!(w.core.poll_timeout().is_some());
    w.open(1, Some(5), "k5", "a");
    w.pong(1);
    assert_eq!(w.queue_len(5), 0);
    w.close(1);
    w.sleep(9_000);
    assert_eq!(w.core.poll_timeout(), None, "nothing waits, so nothing is timed");
}
