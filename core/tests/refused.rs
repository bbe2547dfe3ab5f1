//! What is refused, at n and n + 1, and counted: quotas, rates, connections of an address, guesses (protocol.md 4.7, 8.6).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use std::net::IpAddr;
use std::sync::Arc;

use comet_core::wire::{Dialect, Hello};
use comet_core::{
    Action, Category, ClientInfo, ClientUuid, CloseCause, Config, ConnId, DevId, ErrorCode, Event, Login,
    Refused, Room, SessionId, Token, UserId,
};
use harness::sql::code;
use harness::{World, config};

fn open_from(w: &mut World, conn: u64, user: u32, key: &str, ip: &str) {
    let hello = Hello {
        dev: DevId(0),
        user: UserId::new(user),
        key: Token::parse(key).ok(),
        dialect: Dialect::V4,
        uuid: ClientUuid::parse("a"),
    };
    let client = ClientInfo {
        ip: Some(ip.parse::<IpAddr>().unwrap()),
        ..ClientInfo::default()
    };
    w.event(Event::Opened {
        conn: ConnId(conn),
        hello: Ok(hello),
        client: Arc::new(client),
    });
}

const HERE: &str = "203.0.113.7";

#[test]
fn connections_of_one_address() {
    let mut w = World::with(Config {
        address_connections_max: 1,
        ..config()
    });
    open_from(&mut w, 1, 0, "", HERE);
    assert_eq!((w.was_closed(1), w.core.refused().address), (None, 0));
    open_from(&mut w, 2, 0, "", HERE);
    assert_eq!(w.was_closed(2), Some(CloseCause::Throttled));
    assert_eq!(w.core.refused().address, 1);
    open_from(&mut w, 3, 0, "", "203.0.113.8");
    assert_eq!(w.was_closed(3), None);
    w.close(1);
    open_from(&mut w, 4, 0, "", HERE);
    assert_eq!((w.was_closed(4), w.core.refused().address), (None, 1));
}

/// User 15 until 1970, signed with the password of `config`.
const EXPIRED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5fQ.\
    gdDR1_rEoA8iDqJo4ZSkN7Lx6j5GF_UzwUS4AClfLf8";

/// 4.7: guesses are counted; a page that comes back with the token it had all night does not guess.
#[test]
fn old_tokens_are_no_guesses() {
    let guesses = |user: u32, key: &str| {
        let mut w = World::with(Config {
            key_failures_max: 1,
            ..config()
        });
        w.key(user, "right");
        for conn in 1..=20 {
            open_from(&mut w, conn, user, key, HERE);
        }
        w.core.refused().keys
    };
    assert_eq!(guesses(15, EXPIRED), 0, "it was right until it expired");
    assert!(guesses(15, "wrong") > 0);
    assert!(
        guesses(16, EXPIRED) > 0,
        "somebody else's token proves nothing of him"
    );
}

fn with_quota(change: impl FnOnce(&mut comet_core::Quota)) -> World {
    let mut config = config();
    change(&mut config.rules.quota);
    World::with(config)
}

fn quota(w: &World) -> u64 {
    let Refused { quota, .. } = w.core.refused();
    quota
}

#[test]
fn connections_of_a_tenant() {
    let mut w = with_quota(|quota| quota.connections = 1);
    w.open(1, None, "", "a");
    w.open(2, None, "", "b");
    assert_eq!(
        (w.was_closed(1), w.was_closed(2)),
        (None, Some(CloseCause::Quota))
    );
    assert_eq!(quota(&w), 1);
}

#[test]
fn users_online_alone_are_a_quota() {
    let mut w = with_quota(|quota| quota.users_online = 1);
    w.key(1, "k1");
    w.key(2, "k2");
    w.open(1, Some(1), "k1", "a");
    w.open(2, Some(1), "k1", "b");
    w.open(3, Some(2), "k2", "c");
    assert_eq!((w.was_closed(1), w.was_closed(2)), (None, None));
    assert_eq!(w.was_closed(3), Some(CloseCause::Quota));
}

/// User 15, as in EXPIRED, until the year 2286.
const VALID: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxNSwiZXhwIjo5OTgzMzExMjAwfQ.\
    cWqXQpSJ6lOvhIO0_NFyj7F-U514WpTFxNmGTiHfqQ4";

#[test]
fn stored_users_alone_are_a_quota() {
    let mut w = with_quota(|quota| quota.users = 1);
    w.key(1, "k1");
    w.open(1, Some(1), "k1", "a");
    assert_eq!(w.was_closed(1), None, "who is stored may come");
    w.open(2, Some(15), VALID, "b");
    assert_eq!(
        w.was_closed(2),
        Some(CloseCause::Quota),
        "his time would be stored"
    );
    assert_eq!(
        code(&mut w, "INSERT INTO users_auth (id, hash) VALUES (2, 'k2')"),
        Some(ErrorCode::QuotaExceeded)
    );
}

/// 8.6: whatever does not grow is allowed, also above a quota that was lowered.
#[test]
fn what_does_not_grow_is_allowed_above_a_quota() {
    let mut w = World::new();
    w.key(1, "k1");
    w.key(2, "k2");
    w.config.rules.quota.users = 1;
    w.crash_and_restart(10);
    assert_eq!(
        code(&mut w, "INSERT INTO users_auth (id, hash) VALUES (2, 'other')"),
        None
    );
    assert_eq!(
        code(&mut w, "INSERT INTO users_auth (id, hash) VALUES (3, 'k3')"),
        Some(ErrorCode::QuotaExceeded)
    );
}

/// 8.6: only what takes its place frees what is stored.
#[test]
fn bytes_are_counted_where_they_grow() {
    let mut w = with_quota(|quota| quota.bytes = 100);
    let data = |n: usize| {
        format!(
            "INSERT INTO users_data (id, data) VALUES (5, '{}')",
            "x".repeat(n)
        )
    };
    let private = |n: usize| {
        format!(
            "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', '{}')",
            "x".repeat(n)
        )
    };
    assert_eq!(code(&mut w, &data(60)), None);
    assert_eq!(code(&mut w, &private(41)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(
        code(&mut w, &data(100)),
        None,
        "it takes the place of the old one"
    );
    assert_eq!(code(&mut w, &private(1)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(code(&mut w, &data(60)), None);
    assert_eq!(code(&mut w, &private(40)), None);
}

#[test]
fn histories_are_counted_with_what_they_push_out() {
    let mut w = with_quota(|quota| quota.bytes = 100);
    w.history("web_a", 2);
    let publish = |n: usize| {
        let text = "x".repeat(n);
        format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', '{text}')")
    };
    assert_eq!(code(&mut w, &publish(101)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(code(&mut w, &publish(60)), None);
    assert_eq!(code(&mut w, &publish(41)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(code(&mut w, &publish(40)), None);
    assert_eq!(code(&mut w, &publish(61)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(code(&mut w, &publish(60)), None, "the oldest makes room");
    assert_eq!(code(&mut w, &publish(41)), Some(ErrorCode::QuotaExceeded));
    // A page is told the same, and counted.
    let before = quota(&w);
    w.open(1, None, "", "a");
    w.text(1, &format!("web_pipe2\nweb_a\ne\n*\n{}", "x".repeat(41)));
    assert_eq!(quota(&w), before + 1);
    w.text(1, "web_pipe2\nweb_a\ne\n*\nx");
    assert_eq!(quota(&w), before + 1);
}

/// A page may not send where pages do not: that is no quota.
#[test]
fn other_refusals_are_not_counted_as_quotas() {
    let mut w = World::new();
    w.open(1, None, "", "a");
    w.text(1, "web_pipe2\nwebauth_a\ne\n*\nx");
    assert_eq!(quota(&w), 0);
}

/// 8.6: a session that changes its tenant needs room there, and keeps its own.
#[test]
fn sessions_of_a_tenant_by_use() {
    let mut config = config();
    config.dev_index_size = 3;
    config.rules.quota.sessions = 1;
    let mut w = World::with(config);
    assert_eq!(code(&mut w, "USE db_0"), None, "it is there already");
    w.event(Event::SessionOpened {
        session: SessionId(2),
        login: Login::Tenant(DevId(1)),
        database: "".into(),
    });
    assert_eq!(code(&mut w, "USE db_1"), Some(ErrorCode::TooManySessions));
    assert_eq!(code(&mut w, "USE db_2"), None);
}

fn with_rates(change: impl FnOnce(&mut comet_core::Rates)) -> World {
    let mut config = config();
    config.rules.rates.burst_s = 1;
    change(&mut config.rules.rates);
    World::with(config)
}

fn errors(w: &World, conn: u64) -> usize {
    w.frames(conn)
        .iter()
        .filter(|frame| frame["event"] == "error")
        .count()
}

#[test]
fn commands_of_a_connection() {
    let mut w = with_rates(|rates| rates.connection.commands = 2);
    w.open(1, None, "", "a");
    for _ in 0..2 {
        w.text(1, "statistics\n");
    }
    assert_eq!(w.core.refused().rate, 0);
    w.text(1, "statistics\n");
    assert_eq!(w.core.refused().rate, 1);
    w.sleep(500);
    w.text(1, "statistics\n");
    assert_eq!(w.core.refused().rate, 1, "one came back");
}

/// 8.6: new channels cost a turn each; to leave, and to name what one has already, costs none.
#[test]
fn subscriptions_of_a_connection() {
    let mut w = with_rates(|rates| rates.connection.subscriptions = 2);
    w.open_as(1, 0, None, "", "a", Dialect::V5);
    w.text(1, "subscribe 1\nweb_a\nweb_b");
    assert_eq!((errors(&w, 1), w.core.refused().rate), (0, 0));
    w.text(1, "subscribe 2\nweb_a\nweb_b");
    assert_eq!((errors(&w, 1), w.core.refused().rate), (0, 0), "nothing new");
    w.text(1, "unsubscribe 3\nweb_x\nweb_y\nweb_z");
    assert_eq!((errors(&w, 1), w.core.refused().rate), (0, 0), "leaving is free");
    w.text(1, "subscribe 4\nweb_c");
    assert_eq!((errors(&w, 1), w.core.refused().rate), (1, 1));
}

/// 8.7: what is remembered of those who come is counted.
#[test]
fn what_limits_remember_is_counted() {
    let mut config = config();
    config.rules.rates.connection.commands = 2;
    config.address_connections_max = 10;
    let mut w = World::with(config);
    let limits = |w: &World| {
        let usage = w.core.memory().get(Category::Limits);
        (usage.items, usage.bytes)
    };
    assert_eq!(limits(&w), (0, 0));
    w.key(5, "right");
    open_from(&mut w, 1, 0, "", "203.0.113.7");
    open_from(&mut w, 2, 0, "", "203.0.113.7");
    assert_eq!(limits(&w), (1, 48), "an address, however many come from it");
    w.text(1, "statistics\n");
    assert_eq!(limits(&w), (2, 48 + 144), "somebody who took a turn");
    open_from(&mut w, 3, 5, "right", "203.0.113.7");
    assert_eq!(limits(&w), (3, 48 + 144 + 128), "a right key");
    // The user, the address, and this user from there.
    open_from(&mut w, 4, 5, "wrong", "203.0.113.8");
    assert_eq!(limits(&w), (7, 2 * 48 + 4 * 144 + 128));
    for conn in 1..=4 {
        w.close(conn);
    }
    assert_eq!(limits(&w), (4, 3 * 144 + 128));
}

/// 8.7: nobody can give it back, so it must not keep out those who come to fetch what they are owed.
#[test]
fn what_limits_remember_locks_nobody_out() {
    let mut config = config();
    config.memory_limit_bytes = 100_000;
    config.delivery_window_bytes = 0;
    let mut w = World::with(config);
    w.key(5, "right");
    for n in 1..=100 {
        open_from(&mut w, n, 5, "wrong", &format!("203.0.113.{n}"));
        w.close(n);
    }
    assert!(w.core.memory().get(Category::Limits).bytes > 100_000 / 8);
    while w.private(5, &"x".repeat(500)).unwrap().is_ok() {}
    let rooms: Vec<_> = w
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Room(_)))
        .collect();
    assert_eq!(rooms, [&Action::Room(Room::ToCome)]);
    open_from(&mut w, 200, 5, "right", "203.0.113.200");
    assert_eq!(w.was_closed(200), None);
}

/// Whoever has a stolen token may fill the quota with it; it can be revoked all the same.
#[test]
fn for_a_revocation_only_revocations_count() {
    let mut w = with_quota(|quota| quota.bytes = 100);
    let revoke = |length: usize| {
        let token = "t".repeat(length);
        format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')")
    };
    let data = format!(
        "INSERT INTO users_data (id, data) VALUES (5, '{}')",
        "x".repeat(100)
    );
    assert_eq!(code(&mut w, &data), None);
    assert_eq!(code(&mut w, &revoke(60)), None);
    assert_eq!(code(&mut w, &revoke(41)), Some(ErrorCode::QuotaExceeded));
    assert_eq!(code(&mut w, &revoke(40)), None);
    assert_eq!(code(&mut w, &revoke(1)), Some(ErrorCode::QuotaExceeded));
    let private = "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'x')";
    assert_eq!(code(&mut w, private), Some(ErrorCode::QuotaExceeded));
}
