//! What one event costs the core: publish to channels of several sizes, a private message with its acknowledgement,
//! a connection's whole life. `cargo bench -p comet-core --bench handle`

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use comet_core::cometql::{Insert, NewMessage, NewPrivate, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, Subscribe};
use comet_core::{
    Action, Body, ChannelName, ClientUuid, CloseCause, Config, ConnId, Core, DevId, Durable, Event,
    EventName, Login, Mono, Now, RequestId, Secret, SessionId, UnixMillis,
};
use divan::{Bencher, black_box};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

struct Bed {
    core: Core,
    actions: Vec<Action>,
    next: u64,
}

impl Bed {
    fn new(subscribers: u64) -> Self {
        let config = Config {
            password: Secret::new("x"),
            ..Config::default()
        }
        .check()
        .unwrap();
        let mut actions = Vec::new();
        let core = Core::start(config, Durable::default(), 1, now(0), &mut actions);
        let mut bed = Self {
            core,
            actions,
            next: 0,
        };
        bed.event(Event::SessionOpened {
            session: SessionId(1),
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        });
        for conn in 1..=subscribers {
            bed.open(conn);
        }
        bed
    }

    fn event(&mut self, event: Event) {
        self.next += 1;
        self.core.handle(now(self.next), event, &mut self.actions);
        black_box(&self.actions);
        self.actions.clear();
    }

    fn open(&mut self, conn: u64) {
        let hello = Hello {
            dev: DevId(0),
            user: None,
            key: None,
            dialect: Dialect::V4,
            uuid: ClientUuid::parse("Db_YTZOMMQc902yluqo7mLns3RXWFz2t"),
        };
        self.event(Event::Opened {
            conn: ConnId(conn),
            hello: Ok(hello),
            client: Arc::default(),
        });
        let names = vec![channel()];
        let request = ClientRequest::Subscribe(Subscribe {
            names,
            ..Subscribe::default()
        });
        self.event(Event::Request {
            conn: ConnId(conn),
            command: Command {
                number: None,
                request: Ok(request),
            },
        });
    }

    fn query(&mut self, insert: Insert) {
        let req = RequestId(self.next + 1);
        self.event(Event::Query {
            session: SessionId(1),
            req,
            statement: Ok(Statement::Insert(insert)),
        });
    }
}

fn now(n: u64) -> Now {
    Now {
        mono: Mono::from_micros(n),
        unix: UnixMillis(1_700_000_000_000),
    }
}

fn channel() -> ChannelName {
    ChannelName::from_browser("web_news").unwrap()
}

fn body() -> Body {
    Body::new(&format!("{{\"text\":\"{}\"}}", "x".repeat(117)))
}

/// `INSERT INTO pipes_messages` into a channel with this many subscribers.
#[divan::bench(args = [1, 100, 10_000, 100_000])]
fn publish(bencher: Bencher<'_, '_>, subscribers: u64) {
    let mut bed = Bed::new(subscribers);
    let event = EventName::parse("say").unwrap();
    bencher.counter(1u32).bench_local(|| {
        let row = NewMessage {
            channel: channel(),
            event: event.clone(),
            body: body(),
        };
        bed.query(Insert::PipesMessages(vec![row]));
    });
}

/// `INSERT INTO users_messages` for a user who is offline, with one of 10,000 other queues.
#[divan::bench]
fn queue(bencher: Bencher<'_, '_>) {
    let mut bed = Bed::new(0);
    let event = EventName::parse("say").unwrap();
    bencher.counter(1u32).bench_local(|| {
        let user = comet_core::UserId::new(u32::try_from(bed.next % 10_000).unwrap() + 1).unwrap();
        bed.query(Insert::UsersMessages(vec![NewPrivate {
            user,
            event: event.clone(),
            body: body(),
        }]));
    });
}

/// A connection opens, subscribes and closes: three events.
#[divan::bench]
fn connection_life(bencher: Bencher<'_, '_>) {
    let mut bed = Bed::new(1000);
    bencher.counter(3u32).bench_local(|| {
        let conn = 1_000_000 + bed.next;
        bed.open(conn);
        bed.event(Event::Closed {
            conn: ConnId(conn),
            cause: CloseCause::Peer,
        });
    });
}
