//! The memory budget of the core alone (protocol.md 8.7): it is filled in every way, and given back.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Limits};
use comet_core::{Action, Category, CloseCause, Config, ErrorCode, Event, Login, Outside, Room, SessionId};
use harness::{World, config};

const LIMIT: u64 = 100_000;

fn world() -> World {
    World::with(Config {
        memory_limit_bytes: LIMIT,
        // What EXPLAIN DELIVERY remembers would make the figures depend on how often something was said.
        delivery_window_bytes: 0,
        ..config()
    })
}

fn outside(world: &mut World, bytes: u64) {
    world.event(Event::Memory(Outside {
        input: bytes,
        ..Outside::default()
    }));
}

fn run(world: &mut World, sql: &str) {
    let limits = Limits::of(&world.config.clone().check().unwrap());
    let statement = cometql::parse(sql.as_bytes(), &limits).unwrap();
    world.statement(statement).unwrap().unwrap();
}

fn rooms(world: &World) -> Vec<Room> {
    let room = |action: &Action| match action {
        Action::Room(room) => Some(*room),
        Action::Send { .. }
        | Action::Probe { .. }
        | Action::Close { .. }
        | Action::Reply { .. }
        | Action::CloseSession { .. }
        | Action::Persist { .. }
        | Action::Ready(_) => None,
    };
    world.actions.iter().filter_map(room).collect()
}

/// Whatever was taken is given back.
#[test]
fn what_goes_gives_back_what_it_took() {
    let mut w = world();
    w.key(99, "abc");
    w.open(1, Some(99), "abc", "u");
    w.close(1);
    let before = w.core.memory();
    for n in 1..=20 {
        w.private(n, "a message of some length");
        w.private(99, "another one");
    }
    w.history("web_a", 5);
    w.publish("web_a", "kept");
    run(&mut w, "INSERT INTO revoked_tokens (token) VALUES ('abc')");
    assert_eq!(w.core.memory().get(Category::Queues).items, 40);
    assert_eq!(w.core.memory().get(Category::Histories).items, 2);
    w.open(2, Some(99), "abc", "u");
    w.subscribe(2, &["web_a", "web_b"]);
    assert_eq!(w.core.memory().get(Category::Subscriptions).items, 2);
    assert_eq!(w.core.memory().get(Category::Deliveries).items, 20);
    w.pong(2);
    assert_eq!(w.core.memory().get(Category::Deliveries).bytes, 0);
    w.close(2);
    for n in 1..=20 {
        run(&mut w, &format!("DELETE FROM users_messages WHERE id = {n}"));
    }
    run(&mut w, "DELETE FROM pipes_settings WHERE name = 'web_a'");
    run(&mut w, "DELETE FROM revoked_tokens WHERE token = 'abc'");
    assert_eq!(w.core.memory(), before);
}

/// The limit is overstepped by one statement at most, and what was accepted stays.
#[test]
fn a_full_server_refuses_to_store_and_forgets_nothing() {
    let mut w = world();
    let mut accepted = 0;
    let refused = loop {
        match w.private(accepted % 50 + 1, &"x".repeat(500)).unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => break error.code,
        }
        assert!(accepted < 1000, "it never becomes full");
    };
    assert_eq!(refused, ErrorCode::Full);
    let stored = w.core.memory().stored_bytes();
    assert!(
        (LIMIT / 8 * 7..LIMIT / 8 * 7 + 1000).contains(&stored),
        "{stored}"
    );
    assert_eq!(rooms(&w), [Room::ToCome]);
    let queued: usize = (1..=50).map(|user| w.queue_len(user)).sum();
    assert_eq!(queued, accepted as usize);
    w.crash_and_restart(10);
    assert_eq!(rooms(&w), [Room::ToCome], "it starts full, and says so");
    assert_eq!(w.core.memory().stored_bytes(), stored);
}

/// The operator can log in, whoever else is there; sessions beyond that are turned away.
#[test]
fn sixteen_sessions_have_their_place() {
    let mut w = world();
    outside(&mut w, LIMIT);
    assert_eq!(rooms(&w), [Room::None]);
    for n in 2..=17 {
        w.event(Event::SessionOpened {
            session: SessionId(n),
            login: Login::HealthCheck,
            database: "".into(),
        });
    }
    let closed = |action: &&Action| {
        matches!(
            action,
            Action::CloseSession {
                session: SessionId(17)
            }
        )
    };
    assert_eq!(w.actions.iter().filter(closed).count(), 1);
    let others = |action: &&Action| matches!(action, Action::CloseSession { .. });
    assert_eq!(w.actions.iter().filter(others).count(), 1);
    assert_eq!(w.core.memory().get(Category::Sessions).items, 16);
}

/// Who is turned away is told by the end of the connection and has cost nothing.
#[test]
fn a_connection_without_room_is_closed() {
    let mut w = world();
    w.key(1, "abc");
    w.private(1, "waits");
    outside(&mut w, LIMIT);
    let before = w.core.memory();
    w.open(1, Some(1), "abc", "u");
    assert_eq!(w.was_closed(1), Some(CloseCause::NoMemory));
    assert_eq!(w.core.memory(), before);
    outside(&mut w, 0);
    assert_eq!(rooms(&w), [Room::None, Room::Enough]);
    w.open(2, Some(1), "abc", "u");
    assert_eq!(w.privates(2), ["q:waits"], "it lost nothing");
}
