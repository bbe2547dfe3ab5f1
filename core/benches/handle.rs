//! What one event costs the core: publish to channels of several sizes, a private message, a connection's whole life,
//! and a mixture of everything. `cargo bench -p comet-core --bench handle`

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark may panic, and looks at what it needs"
)]

use comet_core::cometql::{Insert, NewKey, NewMessage, NewPrivate, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, SendRequest, Subscribe};
use comet_core::{
    Action, AuthHash, Body, ChannelName, ClientUuid, CloseCause, Config, ConnId, Core, DevId, Durable, Event,
    EventName, Login, Mono, Now, RequestId, Secret, SessionId, Token, UnixMillis, UserId,
};
use divan::{Bencher, black_box};
use std::sync::Arc;

fn main() {
    divan::main();
}

struct Bed {
    core: Core,
    actions: Vec<Action>,
    next: u64,
    /// Events handled, answers included.
    events: u64,
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
            events: 0,
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
        self.event(opened(conn, None, None));
        let names = vec![channel()];
        self.event(subscribe(conn, names));
    }

    fn query(&mut self, insert: Insert) {
        self.event(query(self.next + 1, insert));
    }
}

fn opened(conn: u64, user: Option<UserId>, key: Option<Token>) -> Event {
    let hello = Hello {
        dev: DevId(0),
        user,
        key,
        dialect: Dialect::V4,
        uuid: ClientUuid::parse("Db_YTZOMMQc902yluqo7mLns3RXWFz2t"),
    };
    Event::Opened {
        conn: ConnId(conn),
        hello: Ok(hello),
        client: Arc::default(),
    }
}

fn request(conn: u64, request: ClientRequest) -> Event {
    Event::Request {
        conn: ConnId(conn),
        command: Command {
            number: None,
            request: Ok(request),
        },
    }
}

fn subscribe(conn: u64, names: Vec<ChannelName>) -> Event {
    let subscribe = Subscribe {
        names,
        ..Subscribe::default()
    };
    request(conn, ClientRequest::Subscribe(subscribe))
}

/// A page's room and one more channel.
fn subscription(page: u64, other: &str) -> Event {
    subscribe(page, vec![room(page), ChannelName::from_browser(other).unwrap()])
}

fn query(req: u64, insert: Insert) -> Event {
    Event::Query {
        session: SessionId(1),
        req: RequestId(req),
        statement: Ok(Statement::Insert(insert)),
    }
}

fn user(n: u64) -> UserId {
    UserId::new(u32::try_from(n).unwrap()).unwrap()
}

fn room(page: u64) -> ChannelName {
    ChannelName::from_browser(&format!("web_room_{}", page % 100)).unwrap()
}

fn own(page: u64) -> String {
    format!("private_{page}")
}

const KEY: &str = "c7f0b8ad5d16e4b8a0e83c5b3b5bf5a1";

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
        let user = user(bed.next % 10_000 + 1);
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

/// Pages of the mixture: each in a room of 100 and in a channel of its own.
const PAGES: u64 = 10_000;

impl Bed {
    /// A server with 10,000 pages and as many users.
    fn crowded() -> Self {
        let mut bed = Self::new(0);
        for page in 1..=PAGES {
            let user = user(page);
            let hash = AuthHash::parse(KEY).unwrap();
            bed.query(Insert::UsersAuth(vec![NewKey { user, hash }]));
            let key = Token::parse(KEY).ok();
            bed.event(opened(page, Some(user), key));
            bed.event(subscription(page, &own(page)));
        }
        bed
    }

    /// As `event`; what the disk and the page say to its actions follows at once.
    fn event_and_answers(&mut self, event: Event) {
        self.events += 1;
        self.next += 1;
        self.core.handle(now(self.next), event, &mut self.actions);
        let answers = self.actions.drain(..).filter_map(|action| match action {
            Action::Persist { op, .. } => Some(Event::Persisted { upto: op }),
            Action::Probe { conn, probe } => Some(Event::ProbeAnswered { conn, probe }),
            _ => None,
        });
        for answer in answers.collect::<Vec<_>>() {
            self.event_and_answers(answer);
        }
    }
}

/// What 16 pages and a back end do in a moment: 4 INSERTs into rooms, 1 private message, 8 messages of pages, 2
/// subscriptions, 1 tick.
fn moment(round: u64) -> Vec<Event> {
    let page = |n: u64| (round * 16 + n) % PAGES + 1;
    let event = EventName::parse("say").unwrap();
    let inserts = (0..4).map(|n| {
        let row = NewMessage {
            channel: room(page(n)),
            event: event.clone(),
            body: body(),
        };
        query(round, Insert::PipesMessages(vec![row]))
    });
    let private = NewPrivate {
        user: user(page(4)),
        event: event.clone(),
        body: body(),
    };
    let sends = (5..13).map(|n| {
        let message = SendRequest {
            channel: room(page(n)),
            anonymous: false,
            event: event.clone(),
            body: body(),
            key: None,
        };
        request(page(n), ClientRequest::Send(message))
    });
    let subscriptions = [
        subscription(page(13), &format!("elsewhere_{}", round % 1000)),
        subscription(page(13), &own(page(13))),
    ];
    let mut events: Vec<Event> = inserts.chain(sends).chain(subscriptions).collect();
    events.push(query(round, Insert::UsersMessages(vec![private])));
    events.push(Event::Tick);
    events
}

/// The mixture. The events are made outside of the measured time, as the shards make them on other threads.
#[divan::bench]
fn mixture(bencher: Bencher<'_, '_>) {
    let mut bed = Bed::crowded();
    bed.events = 0;
    moment(0)
        .into_iter()
        .for_each(|event| bed.event_and_answers(event));
    let per_round = bed.events;
    let mut round = 0;
    let next = || {
        round += 1;
        moment(round)
    };
    bencher
        .with_inputs(next)
        .input_counter(move |_| divan::counter::ItemsCount::new(per_round))
        .bench_local_values(|events| events.into_iter().for_each(|event| bed.event_and_answers(event)));
}
