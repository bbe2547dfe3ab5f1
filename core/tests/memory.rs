//! What an idle, authorized connection with two subscriptions costs the core, part by part: counted, not sampled.
//! `cargo test -p comet-core --test memory -- --nocapture` shows the parts.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::net::Ipv4Addr;
use std::sync::Arc;

use allocation_counter::measure;
use comet_core::cometql::{Insert, NewKey, NewMessage, NewPrivate, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, RequestHeaders, Subscribe};
use comet_core::{
    Action, AuthHash, Body, ChannelName, ClientUuid, CloseCause, Config, ConnId, Core, DevId, Durable, Event,
    EventName, Login, Mono, Now, OpId, RequestId, Secret, SessionId, Token, UnixMillis, UserId,
};

const USERS: u32 = 100_000;
const SHARDS: u16 = 2;
/// What a connection may cost, its stored user included, bytes.
const BYTES_MAX: i64 = 500;

/// A server with a disk that never waits.
struct Server {
    core: Core,
    actions: Vec<Action>,
}

impl Server {
    fn start() -> Self {
        let config = Config {
            password: Secret::new("x"),
            ..Config::default()
        };
        let mut actions = Vec::new();
        let core = Core::start(
            config.check().unwrap(),
            Durable::default(),
            1,
            now(),
            &mut actions,
        );
        let mut server = Self { core, actions };
        server.event(Event::SessionOpened {
            session: SessionId(1),
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        });
        server
    }

    fn event(&mut self, event: Event) {
        self.core.handle(now(), event, &mut self.actions);
        let newest = self.actions.drain(..).filter_map(persisted).last();
        if let Some(upto) = newest {
            self.event(Event::Persisted { upto });
        }
    }

    /// What one step for every user leaves behind, bytes per user.
    fn cost(&mut self, what: &str, mut step: impl FnMut(&mut Self, u32)) -> i64 {
        // What the list of actions needs belongs to nobody.
        self.actions.reserve(16);
        let before = self.accounted();
        let growth = measure(|| (1..=USERS).for_each(|n| step(self, n)));
        let bytes = growth.bytes_current / i64::from(USERS);
        let blocks = growth.count_current * 100 / i64::from(USERS);
        // What the allocator adds to each block: a header, and half of what it rounds up by.
        let heap = bytes + growth.count_current * 16 / i64::from(USERS);
        let told = (self.accounted() - before) / i64::from(USERS);
        println!(
            "{bytes:6} bytes in {:5.2} blocks, {told:6} accounted: {what}",
            blocks as f64 / 100.0
        );
        assert!(
            told.abs() * 5 >= heap.abs() * 4 && told.abs() * 2 <= heap.abs() * 3 + 64,
            "{what}: {told} bytes accounted, about {heap} taken"
        );
        bytes
    }

    fn accounted(&self) -> i64 {
        i64::try_from(self.core.memory().bytes()).unwrap()
    }

    fn insert(&mut self, insert: Insert) {
        self.event(Event::Query {
            session: SessionId(1),
            req: RequestId(1),
            statement: Ok(Statement::Insert(insert)),
        });
    }

    fn owe(&mut self, n: u32, text: &str) {
        self.insert(Insert::UsersMessages(vec![NewPrivate {
            user: user(n),
            event: EventName::parse("event").unwrap(),
            body: Body::new(text),
        }]));
    }

    fn keep(&mut self, n: u32) {
        let channel = ChannelName::from_cometql(&format!("trust_{}", n / 50)).unwrap();
        self.insert(Insert::PipesMessages(vec![NewMessage {
            channel,
            event: EventName::parse("event").unwrap(),
            body: Body::new(&"y".repeat(200)),
        }]));
    }

    fn set_key(&mut self, n: u32) {
        let row = NewKey {
            user: user(n),
            hash: AuthHash::parse(&key(n)).unwrap(),
        };
        self.event(Event::Query {
            session: SessionId(1),
            req: RequestId(n.into()),
            statement: Ok(Statement::Insert(Insert::UsersAuth(vec![row]))),
        });
    }

    fn connect(&mut self, n: u32) {
        let hello = Hello {
            dev: DevId(0),
            user: Some(user(n)),
            key: Token::parse(&key(n)).ok(),
            dialect: Dialect::V5,
            uuid: ClientUuid::parse(&format!("{n:032x}")),
        };
        let headers = RequestHeaders {
            user_agent: b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            language: b"en-GB,en;q=0.8,de;q=0.5",
            origin: Some(b"https://www.example.org"),
        };
        let ip = Ipv4Addr::from_bits(0x0a00_0000 + n);
        self.event(Event::Opened {
            conn: conn(n),
            hello: Ok(hello),
            client: Arc::new(headers.client_info(ip.into())),
        });
    }

    fn subscribe(&mut self, n: u32, names: &[&str]) {
        let names = names.iter().map(|name| ChannelName::from_browser(name).unwrap());
        let request = ClientRequest::Subscribe(Subscribe {
            names: names.collect(),
            ..Subscribe::default()
        });
        self.event(Event::Request {
            conn: conn(n),
            command: Command {
                number: None,
                request: Ok(request),
            },
        });
    }
}

fn persisted(action: Action) -> Option<OpId> {
    if let Action::Persist { op, .. } = action {
        Some(op)
    } else {
        None
    }
}

const fn now() -> Now {
    Now {
        mono: Mono::from_micros(1),
        unix: UnixMillis(1_700_000_000_000),
    }
}

/// Connections are handed to the shards in turn.
fn conn(n: u32) -> ConnId {
    ConnId::new(
        u16::try_from(n % u32::from(SHARDS)).unwrap(),
        (n / u32::from(SHARDS)).into(),
    )
}

fn user(n: u32) -> UserId {
    UserId::new(n).unwrap()
}

fn key(n: u32) -> String {
    format!("{n:032}")
}

#[test]
fn an_idle_authorized_connection_with_two_subscriptions_is_small() {
    let mut server = Server::start();
    let parts = [
        server.cost("a stored user with a key", Server::set_key),
        server.cost("his connection, he is online", Server::connect),
        server.cost("a channel that everybody has", |server, n| {
            server.subscribe(n, &["news"])
        }),
        server.cost("a channel of his own", |server, n| {
            server.subscribe(n, &["news", &format!("private_{n}")])
        }),
    ];
    let sum = parts.iter().sum::<i64>();
    println!("{sum:6} bytes together");
    assert!(sum <= BYTES_MAX, "{sum} bytes per connection");
    server.core.check();

    let left = server.cost("given back when he goes", |server, n| {
        server.event(Event::Closed {
            conn: conn(n),
            cause: CloseCause::Peer,
        });
    });
    let connected: i64 = parts.iter().skip(1).sum();
    assert!(
        left <= 24 - connected,
        "connections leave {} bytes behind",
        left + connected
    );
}

/// What is accounted is about what is taken, for what is stored and what is on its way, too.
#[test]
fn what_is_accounted_is_about_what_is_taken() {
    let mut server = Server::start();
    server.cost("a private message that waits, its user", |server, n| {
        server.owe(n, &"x".repeat(100))
    });
    server.cost("a second one", |server, n| server.owe(n, &"x".repeat(1000)));
    server.cost("a message of a history", Server::keep);
    server.core.check();
}
