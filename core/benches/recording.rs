//! What recording costs the thread that has the core: the state of many users as bytes and back, and an entry.
//! `cargo bench -p comet-core --bench recording`

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::sync::Arc;

use comet_core::cometql::{self, Limits};
use comet_core::recording::{self, Scribe, Texts};
use comet_core::{
    Action, Config, ConnId, Core, Durable, Event, Login, Mono, Now, OpId, RequestId, Secret, SessionId,
    UnixMillis, wire,
};
use divan::{Bencher, black_box};

const USERS: u64 = 100_000;
const SESSION: SessionId = SessionId(1);

fn main() {
    divan::main();
}

fn now(micros: u64) -> Now {
    Now {
        mono: Mono::from_micros(micros),
        unix: UnixMillis(1_700_000_000_000 + micros / 1000),
    }
}

fn started() -> Core {
    let config = Config {
        password: Secret::new("x"),
        ..Config::default()
    };
    let mut core = Core::start(
        config.check().unwrap(),
        Durable::default(),
        1,
        now(0),
        &mut Vec::new(),
    );
    let opened = Event::SessionOpened {
        session: SESSION,
        login: Login::Tenant(comet_core::DevId(0)),
        database: "".into(),
    };
    core.handle(now(0), opened, &mut Vec::new());
    core
}

fn query(core: &Core, text: &str) -> Event {
    Event::Query {
        session: SESSION,
        req: RequestId(1),
        statement: cometql::parse(text.as_bytes(), &Limits::of(core.config())),
    }
}

/// Each user has a key and a connection with two subscriptions, and everything is on disk.
fn crowded() -> Core {
    let mut core = started();
    let mut actions = Vec::new();
    let mut upto = OpId(0);
    for n in 1..=USERS {
        let insert = format!("INSERT INTO users_auth (id, hash) VALUES ({n}, 'key{n}')");
        let event = query(&core, &insert);
        core.handle(now(n), event, &mut actions);
        let target = format!("/comet-server/ws/sesion=key{n}&myid={n}&devid=0&v=4.08&uuid=browser{n}&api=js");
        let conn = ConnId(n);
        let hello = wire::hello(target.as_bytes(), None, &[], 10);
        let client = Arc::default();
        core.handle(now(n), Event::Opened { conn, hello, client }, &mut actions);
        let command = wire::decode(&format!("subscription\nweb_{}\nall", n % 1000), 1000);
        core.handle(now(n), Event::Request { conn, command }, &mut actions);
        for action in actions.drain(..) {
            if let Action::Persist { op, .. } = action {
                upto = op;
            }
        }
        core.handle(now(n), Event::Persisted { upto }, &mut Vec::new());
    }
    assert_eq!(core.connections().count() as u64, USERS);
    core
}

#[divan::bench]
fn checkpoint_of_100_000_users(bencher: Bencher<'_, '_>) {
    let core = crowded();
    bencher.bench_local(|| {
        let mut bytes = Vec::new();
        core.checkpoint(&mut bytes);
        bytes.len()
    });
}

#[divan::bench]
fn restore_of_100_000_users(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    crowded().checkpoint(&mut bytes);
    println!("{} bytes", bytes.len());
    bencher.bench_local(|| Core::restore(&bytes).unwrap());
}

/// An INSERT of 128 bytes into a channel, and its digests.
#[divan::bench]
fn entry_of_an_insert(bencher: Bencher<'_, '_>) {
    let mut core = started();
    let body = "x".repeat(128);
    let insert =
        format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_one', 'e', '{body}')");
    let event = query(&core, &insert);
    let mut actions: Vec<Action> = Vec::new();
    core.handle(now(1), event.clone(), &mut actions);
    let (mut scribe, mut out, mut digests) = (Scribe::default(), Vec::with_capacity(1 << 20), Vec::new());
    bencher.bench_local(|| {
        if out.len() > 256 << 10 {
            out.clear();
        }
        recording::answer(&digests, &mut out);
        digests.clear();
        scribe.event(now(1), black_box(&event), &mut out);
        digests.extend(recording::digests(black_box(&actions), Texts::Whole));
        out.len()
    });
}
