//! The memory budget of the core alone (protocol.md 8.7): it is filled in every way, and given back.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{self, Cell, Limits, Show, Statement};
use comet_core::wire::Dialect;
use comet_core::{
    Action, Answer, Category, CloseCause, Config, ErrorCode, Event, Login, Outside, Room, SessionId,
};
use harness::sql::{code, run};
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

/// A repeated message is never refused, so it must not take what it brings: only who is told the body has it kept.
#[test]
fn what_is_sent_again_while_the_disk_stalls_takes_no_body() {
    let mut w = world();
    w.history("web_a", 5);
    w.open_as(1, 0, None, "", "u", Dialect::V5);
    w.writes_at_once = false;
    let body = "x".repeat(10_000);
    let send = |w: &mut World, number| {
        w.text(1, &format!("web_pipe2 {number}\nweb_a\ne\nthe-send-key\n{body}"));
        w.core.memory().get(Category::Waiting)
    };
    let first = send(&mut w, 1);
    let of_many = (2..=101).map(|number| send(&mut w, number)).last().unwrap();
    assert_eq!(of_many.items, 101);
    assert!(
        first.bytes < 1_000 && of_many.bytes == 101 * first.bytes,
        "{of_many:?}"
    );
    w.take();
    w.write();
    assert_eq!(w.frames(1).len(), 101, "each is answered");
    assert_eq!(w.core.memory().get(Category::Waiting).bytes, 0);
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
    run(&mut w, "INSERT INTO revoked_tokens (token) VALUES ('abc')")
        .unwrap()
        .unwrap();
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
        run(&mut w, &format!("DELETE FROM users_messages WHERE id = {n}"))
            .unwrap()
            .unwrap();
    }
    run(&mut w, "DELETE FROM pipes_settings WHERE name = 'web_a'")
        .unwrap()
        .unwrap();
    run(&mut w, "DELETE FROM revoked_tokens WHERE token = 'abc'")
        .unwrap()
        .unwrap();
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
    let mut said = Vec::new();
    let (at, unix) = (
        comet_core::Mono::default(),
        comet_core::UnixMillis(1_700_000_000_000),
    );
    let now = comet_core::Now { mono: at, unix };
    let config = w.config.clone().check().unwrap();
    comet_core::Core::start(config, w.disk.clone(), 1, now, &mut said);
    assert!(
        said.contains(&Action::Room(Room::ToCome)),
        "before anything happens: {said:?}"
    );
    assert_eq!(w.core.memory().stored_bytes(), stored);
}

/// `SHOW MEMORY` counts what was refused: every row of a statement.
#[test]
fn refused_rows_are_counted_one_by_one() {
    let mut w = world();
    outside(&mut w, LIMIT);
    let refused = |w: &mut World| {
        let Some(Ok(Answer::Rows(rows))) = w.statement(Statement::Show(Show::Memory { global: true })) else {
            panic!("not answered")
        };
        let row = rows.rows.into_iter().find(|row| row[0] == Cell::text("refused"));
        row.and_then(|row| row.last().cloned()).unwrap()
    };
    let before = refused(&mut w);
    let limits = Limits::of(&w.config.clone().check().unwrap());
    let rows = "INSERT INTO users_data (id, data) VALUES (1, 'a'), (2, 'b'), (3, 'c')";
    let statement = cometql::parse(rows.as_bytes(), &limits).unwrap();
    assert_eq!(w.statement(statement).unwrap().unwrap_err().code, ErrorCode::Full);
    assert_ne!(before, Cell::text("3"));
    assert_eq!(refused(&mut w), Cell::text("3"));
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

/// Browsers may come and fetch what is stored, however much that is, and whatever is remembered of messages.
#[test]
fn what_is_stored_keeps_nobody_from_coming() {
    for window in [0, 40_000] {
        let mut w = World::with(Config {
            memory_limit_bytes: LIMIT,
            delivery_window_bytes: window,
            ..config()
        });
        w.key(1, "abc");
        w.history("web_a", 1);
        for n in 0..200 {
            w.publish("web_a", &format!("{n}"));
        }
        w.take();
        run(
            &mut w,
            &format!(
                "INSERT INTO users_data (id, data) VALUES (9, '{}')",
                "x".repeat(110_000)
            ),
        );
        assert_eq!(rooms(&w), [Room::ToCome], "{window}");
        w.open(1, Some(1), "abc", "u");
        assert_eq!(w.was_closed(1), None);
    }
}

/// Who waits for the disk, and who came while it failed, is counted.
#[test]
fn who_waits_for_the_disk_is_counted() {
    let mut w = world();
    w.key(1, "abc");
    w.history("web_a", 5);
    w.open(1, None, "", "a");
    w.writes_at_once = false;
    let waiting = |w: &World| w.core.memory().get(Category::Waiting);
    let held = |w: &World, what: &str| w.core.held().iter().find(|(name, _)| *name == what).unwrap().1;
    assert_eq!(waiting(&w).items, 0);
    w.text(1, "web_pipe2\nweb_a\ne\n*\nshort");
    let short = waiting(&w);
    assert_eq!(
        (short.items, held(&w, "acknowledgements that wait for the disk")),
        (1, 1)
    );
    w.text(1, &format!("web_pipe2\nweb_a\ne\n*\n{}", "x".repeat(1_005)));
    let long = waiting(&w);
    assert!(
        long.bytes - short.bytes >= short.bytes + 900,
        "{short:?}, {long:?}"
    );
    let upto = w.unwritten.last().unwrap().0;
    w.event(Event::PersistFailed { upto });
    assert_eq!(waiting(&w).bytes, 0);
    let before = w.core.memory().get(Category::Users).bytes;
    w.open(2, Some(1), "abc", "b");
    assert_eq!(held(&w, "users whose presence is not stored"), 1);
    assert!(w.core.memory().get(Category::Users).bytes > before);
}

/// A session that finds no memory is counted as refused.
#[test]
fn a_session_without_room_is_counted() {
    let mut w = world();
    outside(&mut w, LIMIT);
    let refused = |w: &mut World| match w.statement(Statement::Show(Show::Memory { global: true })) {
        Some(Ok(Answer::Rows(rows))) => {
            let row = rows.rows.into_iter().find(|row| row[0] == Cell::text("refused"));
            row.and_then(|row| row.last().cloned()).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut w), Cell::text("0"));
    for n in 2..=18 {
        w.event(Event::SessionOpened {
            session: SessionId(n),
            login: Login::HealthCheck,
            database: "".into(),
        });
    }
    assert_eq!(refused(&mut w), Cell::text("2"));
}

/// Who is there may change his user, however many there are: he keeps his place.
#[test]
fn a_change_of_user_needs_no_room() {
    let mut w = world();
    let login = |w: &mut World, n: u64| {
        w.take();
        w.event(Event::SessionOpened {
            session: SessionId(n),
            login: Login::HealthCheck,
            database: "".into(),
        });
        let closed = Action::CloseSession {
            session: SessionId(n),
        };
        w.actions.contains(&closed)
    };
    for n in 2..=20 {
        assert!(!login(&mut w, n));
    }
    outside(&mut w, LIMIT);
    assert!(login(&mut w, 21));
    assert!(!login(&mut w, 2), "he is known");
}

/// What a deadline gives back is there for whoever comes right after it, even if nobody woke the server in between.
#[test]
fn what_expires_makes_room_for_what_wakes_the_server() {
    const TTL_MS: u64 = 1000;
    let mut w = World::with(Config {
        memory_limit_bytes: LIMIT,
        delivery_window_bytes: 0,
        queue_ttl_ms: TTL_MS,
        ..config()
    });
    while w.private(7, &"x".repeat(500)).unwrap().is_ok() {}
    w.now_ms += TTL_MS - 1;
    let still = w.private(8, &"x".repeat(500)).unwrap();
    assert_eq!(still.unwrap_err().code, ErrorCode::Full);
    // The second in which they were accepted is over, too.
    w.now_ms += 1001;
    w.private(8, &"x".repeat(500)).unwrap().unwrap();
    assert_eq!((w.queue_len(7), w.queue_len(8)), (0, 1));
}

/// Bytes of revoked tokens.
fn tokens(world: &World) -> u64 {
    world.core.memory().get(Category::Tokens).bytes
}

/// The code with which the revocation of a token of this length is refused.
fn refused(world: &mut World, number: u32, length: usize) -> Option<ErrorCode> {
    let token = format!("{number:0length$}");
    code(
        world,
        &format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
    )
}

/// Whoever has a stolen token may fill the memory with it; it can be revoked all the same, within an eighth of the limit.
#[test]
fn a_revocation_has_room_of_its_own() {
    let mut w = world();
    outside(&mut w, LIMIT);
    let mut number = 0;
    while tokens(&w) + 600 < LIMIT / 8 {
        number += 1;
        assert_eq!(refused(&mut w, number, 500), None, "{number}");
    }
    // The last one begins below the eighth.
    assert_eq!(refused(&mut w, 0, 600), None);
    assert!(tokens(&w) >= LIMIT / 8);
    assert_eq!(refused(&mut w, 0, 500), Some(ErrorCode::Full));
    outside(&mut w, 0);
    assert_eq!(refused(&mut w, 0, 500), None, "there is room again");
}

/// 8.7: less than an eighth of the limit, not an eighth.
#[test]
fn revocations_that_take_exactly_an_eighth_of_the_limit_leave_no_room() {
    let mut first = world();
    assert_eq!(refused(&mut first, 0, 500), None);
    let limit = 8 * 10 * tokens(&first);
    let mut w = World::with(Config {
        memory_limit_bytes: limit,
        ..config()
    });
    outside(&mut w, limit);
    for number in 0..10 {
        assert_eq!(refused(&mut w, number, 500), None, "{number}");
    }
    assert_eq!(tokens(&w), limit / 8);
    assert_eq!(refused(&mut w, 10, 500), Some(ErrorCode::Full));
}
