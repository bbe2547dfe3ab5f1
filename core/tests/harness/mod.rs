//! A small world around the core for scenario tests: time in milliseconds, browsers that read their frames, a store
//! that writes when told to. Tests read as the story they tell.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod sql;

use std::sync::Arc;

use comet_core::cometql::{Insert, NewKey, NewMessage, NewPrivate, NewSetting, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, Subscribe};
use comet_core::{
    Action, Answer, AuthHash, Body, ChannelName, ClientUuid, CloseCause, Config, ConnId, Core, DevId, Done,
    Durable, Event, EventName, HistoryLength, Login, MessageId, Mono, Now, OpId, QueryError, Record,
    RequestId, Secret, SessionId, Token, UnixMillis, UserId,
};
use serde_json::Value;

/// 2023-11-14, as in the examples of protocol.md.
const START_UNIX_MS: u64 = 1_700_000_000_000;

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now_ms: u64,
    pub(crate) config: Config,
    /// Every action since the last `take`.
    pub(crate) actions: Vec<Action>,
    /// Records handed out and not yet reported as persisted.
    pub(crate) unwritten: Vec<(OpId, Record)>,
    /// What the disk holds.
    pub(crate) disk: Durable,
    /// False: the store waits for `write`.
    pub(crate) writes_at_once: bool,
    /// False while a crowd comes: the core's checks walk over everything.
    pub(crate) checks: bool,
    next_req: u64,
}

pub(crate) fn config() -> Config {
    Config {
        password: Secret::new("secret"),
        ..Config::default()
    }
}

/// Nothing is done because time has passed, but for what a test asks for.
pub(crate) fn untimed() -> Config {
    Config {
        ws_statistics_ms: 0,
        cometql_statistics_ms: 0,
        ws_uptime_max_ms: 0,
        cometql_uptime_max_ms: 0,
        ..config()
    }
}

/// What is to be written since the last `take`.
pub(crate) fn records(w: &mut World) -> Vec<Record> {
    let record = |action: Action| match action {
        Action::Persist { record, .. } => Some(record),
        Action::Send { .. }
        | Action::Probe { .. }
        | Action::Close { .. }
        | Action::Reply { .. }
        | Action::CloseSession { .. }
        | Action::Ready(_)
        | Action::Room(_) => None,
    };
    w.take().into_iter().filter_map(record).collect()
}

pub(crate) fn user(n: u32) -> UserId {
    UserId::new(n).unwrap()
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::from_browser(name).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let mut world = Self::started(config, Durable::default(), 0);
        world.event(Event::SessionOpened {
            session: SessionId(1),
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        });
        world
    }

    fn started(config: Config, disk: Durable, now_ms: u64) -> Self {
        let mut actions = Vec::new();
        let now = Now {
            mono: Mono::from_micros(now_ms * 1000),
            unix: UnixMillis(START_UNIX_MS + now_ms),
        };
        let core = Core::start(
            config.clone().check().unwrap(),
            disk.clone(),
            42,
            now,
            &mut actions,
        );
        let mut world = Self {
            core,
            now_ms,
            config,
            actions: Vec::new(),
            unwritten: Vec::new(),
            disk,
            writes_at_once: true,
            checks: true,
            next_req: 0,
        };
        world.absorb(actions);
        world
    }

    /// The process dies and starts again `after_ms` later on what the disk held.
    pub(crate) fn crash_and_restart(&mut self, after_ms: u64) {
        let mut world = Self::started(self.config.clone(), self.disk.clone(), self.now_ms + after_ms);
        world.event(Event::SessionOpened {
            session: SessionId(1),
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        });
        *self = world;
    }

    fn now(&self) -> Now {
        Now {
            mono: Mono::from_micros(self.now_ms * 1000),
            unix: UnixMillis(START_UNIX_MS + self.now_ms),
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut actions = Vec::new();
        let now = self.now();
        self.core.handle(now, event, &mut actions);
        if self.checks {
            self.core.check();
        }
        self.absorb(actions);
    }

    fn absorb(&mut self, actions: Vec<Action>) {
        for action in &actions {
            if let Action::Persist { op, record } = action {
                self.unwritten.push((*op, record.clone()));
            }
        }
        self.actions.extend(actions);
        if self.writes_at_once && !self.unwritten.is_empty() {
            self.write();
        }
    }

    /// The store finishes everything it was given.
    pub(crate) fn write(&mut self) {
        let Some(&(upto, _)) = self.unwritten.last() else {
            return;
        };
        for (_, record) in self.unwritten.drain(..) {
            self.disk.apply(&record);
        }
        self.event(Event::Persisted { upto });
        assert_eq!(
            &self.disk,
            self.core.durable(),
            "durable state is the fold of its records"
        );
    }

    /// Time passes; the core is woken exactly when it wants to be.
    pub(crate) fn sleep(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self
            .core
            .poll_timeout()
            .map(|at| at.micros().div_ceil(1000))
            .filter(|&at| at <= end)
        {
            self.now_ms = self.now_ms.max(at);
            self.event(Event::Tick);
        }
        self.now_ms = end;
    }

    pub(crate) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(crate) fn open(&mut self, conn: u64, uid: Option<u32>, key: &str, uuid: &str) {
        self.open_as(conn, 0, uid, key, uuid, Dialect::V4);
    }

    pub(crate) fn open_as(
        &mut self,
        conn: u64,
        dev: u32,
        uid: Option<u32>,
        key: &str,
        uuid: &str,
        dialect: Dialect,
    ) {
        let hello = Hello {
            dev: DevId(dev),
            user: uid.and_then(UserId::new),
            key: Token::parse(key).ok(),
            dialect,
            uuid: ClientUuid::parse(uuid),
        };
        self.event(Event::Opened {
            conn: ConnId(conn),
            hello: Ok(hello),
            client: Arc::default(),
        });
    }

    pub(crate) fn close(&mut self, conn: u64) {
        self.event(Event::Closed {
            conn: ConnId(conn),
            cause: CloseCause::Peer,
        });
    }

    pub(crate) fn request(&mut self, conn: u64, request: ClientRequest) {
        let command = Command {
            number: None,
            request: Ok(request),
        };
        self.event(Event::Request {
            conn: ConnId(conn),
            command,
        });
    }

    /// A text message, as the decoder understands it.
    pub(crate) fn text(&mut self, conn: u64, text: &str) {
        self.event(Event::Request {
            conn: ConnId(conn),
            command: comet_core::wire::decode(text, 1 << 18),
        });
    }

    pub(crate) fn subscribe(&mut self, conn: u64, names: &[&str]) {
        let names = names.iter().map(|name| channel(name)).collect();
        self.request(
            conn,
            ClientRequest::Subscribe(Subscribe {
                names,
                ..Subscribe::default()
            }),
        );
    }

    /// Answers the newest probe of a connection, as a living browser does.
    pub(crate) fn pong(&mut self, conn: u64) {
        let probe = self.probes(conn).last().copied().expect("no probe was sent");
        self.event(Event::ProbeAnswered {
            conn: ConnId(conn),
            probe,
        });
    }

    pub(crate) fn probes(&self, to: u64) -> Vec<MessageId> {
        let probe = |action: &Action| match action {
            Action::Probe { conn, probe } if conn.0 == to => Some(*probe),
            _ => None,
        };
        self.actions.iter().filter_map(probe).collect()
    }

    pub(crate) fn insert(&mut self, insert: Insert) -> Option<Result<Done, QueryError>> {
        self.statement(Statement::Insert(insert)).map(|result| {
            result.map(|answer| match answer {
                Answer::Done(done) => done,
                Answer::Rows(rows) => panic!("an INSERT answered with {rows:?}"),
            })
        })
    }

    /// Runs a statement; `None` if it is not answered yet.
    pub(crate) fn statement(&mut self, statement: Statement) -> Option<Result<Answer, QueryError>> {
        self.next_req += 1;
        let req = RequestId(self.next_req);
        self.event(Event::Query {
            session: SessionId(1),
            req,
            statement: Ok(statement),
        });
        self.reply(req)
    }

    pub(crate) fn reply(&self, wanted: RequestId) -> Option<Result<Answer, QueryError>> {
        let mut replies = self.actions.iter().filter_map(|action| match action {
            Action::Reply { req, reply, .. } if *req == wanted => Some(reply.result.clone()),
            _ => None,
        });
        let first = replies.next();
        assert!(replies.next().is_none(), "two replies to one statement");
        first
    }

    pub(crate) fn last_request(&self) -> RequestId {
        RequestId(self.next_req)
    }

    pub(crate) fn key(&mut self, uid: u32, hash: &str) {
        let rows = vec![NewKey {
            user: user(uid),
            hash: AuthHash::parse(hash).unwrap(),
        }];
        self.insert(Insert::UsersAuth(rows));
    }

    pub(crate) fn private(&mut self, uid: u32, text: &str) -> Option<Result<Done, QueryError>> {
        let row = NewPrivate {
            user: user(uid),
            event: EventName::parse("ev").unwrap(),
            body: Body::new(text),
        };
        self.insert(Insert::UsersMessages(vec![row]))
    }

    pub(crate) fn publish(&mut self, name: &str, text: &str) -> Option<Result<Done, QueryError>> {
        let row = NewMessage {
            channel: channel(name),
            event: EventName::parse("").unwrap(),
            body: Body::new(text),
        };
        self.insert(Insert::PipesMessages(vec![row]))
    }

    pub(crate) fn history(&mut self, name: &str, length: u64) {
        let row = NewSetting {
            channel: channel(name),
            length: HistoryLength::clamped(length),
        };
        self.insert(Insert::PipesSettings(vec![row]));
    }

    /// The frames a connection was sent since the last `take`.
    pub(crate) fn frames(&self, to: u64) -> Vec<Value> {
        let to = ConnId(to);
        let frame = |action: &Action| match action {
            Action::Send {
                to: comet_core::Recipients::One(conn),
                frame,
            } if *conn == to => Some(frame.clone()),
            Action::Send {
                to: comet_core::Recipients::Many { list, except },
                frame,
            } if list.contains(&to) && *except != Some(to) => Some(frame.clone()),
            _ => None,
        };
        let parse = |frame: comet_core::Frame| serde_json::from_str(frame.as_str()).expect("frames are JSON");
        self.actions.iter().filter_map(frame).map(parse).collect()
    }

    /// The `data` of the private messages a connection was sent, those from the queue with a `q:` in front.
    pub(crate) fn privates(&self, to: u64) -> Vec<String> {
        let private = |frame: Value| {
            let from_queue = if frame["fromQueue"] == Value::Bool(true) {
                "q:"
            } else {
                ""
            };
            (frame["pipe"] == "msg").then(|| format!("{from_queue}{}", frame["data"].as_str().unwrap()))
        };
        self.frames(to).into_iter().filter_map(private).collect()
    }

    pub(crate) fn was_closed(&self, wanted: u64) -> Option<CloseCause> {
        self.actions.iter().find_map(|action| match action {
            Action::Close { conn, cause } if conn.0 == wanted => Some(*cause),
            _ => None,
        })
    }

    pub(crate) fn queue_len(&self, uid: u32) -> usize {
        self.core
            .durable()
            .user(DevId(0), user(uid))
            .map_or(0, |stored| stored.queue.len())
    }
}
