//! Bytes as a history of events for the core: browsers and back ends of several tenants, a store that lags, fails and
//! crashes, time that jumps. Checked after every event: the contract of actions (core/src/action.rs), the core's own
//! invariants, and that nothing of one tenant is seen in another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use comet_core::cometql::{Limits, parse};
use comet_core::wire::{self, Dialect, RequestHeaders};
use comet_core::{
    Action, CheckedConfig, CloseCause, ConnId, Core, DevId, Durable, Event, Login, MessageId, Mono, Now,
    OpId, Recipients, Record, RequestId, SessionId, UnixMillis,
};

use crate::config;
use crate::exact_pages::ExactPages;

/// `data` is a list of choices; it ends where they run out.
pub fn routing(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..400 {
        if choices.is_empty() || world.step(&mut choices).is_err() {
            break;
        }
    }
    world.finish();
}

struct World {
    config: CheckedConfig,
    core: Core,
    now: Now,
    open: BTreeSet<ConnId>,
    probes: Vec<(ConnId, MessageId)>,
    /// Where each connection belongs, also those that are gone.
    tenants: BTreeMap<ConnId, u32>,
    sessions: BTreeMap<u32, SessionId>,
    serial: u64,
    /// Queries that have no reply yet, and whose they are.
    asked: BTreeMap<RequestId, u32>,
    unwritten: Vec<(OpId, Record)>,
    disk: Durable,
    last_op: OpId,
    exact: ExactPages,
}

impl World {
    fn new() -> Self {
        let config = config();
        let now = Now {
            mono: Mono::ZERO,
            unix: UnixMillis(1_700_000_000_000),
        };
        let mut actions = Vec::new();
        let core = Core::start(config.clone(), Durable::default(), 1, now, &mut actions);
        let mut world = Self {
            config,
            core,
            now,
            open: BTreeSet::new(),
            probes: Vec::new(),
            tenants: BTreeMap::new(),
            sessions: BTreeMap::new(),
            serial: 0,
            asked: BTreeMap::new(),
            unwritten: Vec::new(),
            disk: Durable::default(),
            last_op: OpId(0),
            exact: ExactPages::default(),
        };
        world.obey(actions);
        world
    }

    fn step(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        match choices.int_in_range(0..=11u8)? {
            0 | 1 => self.connect(choices)?,
            2 => {
                if let Some(conn) = self.some_conn(choices)? {
                    self.open.remove(&conn);
                    self.handle(Event::Closed {
                        conn,
                        cause: CloseCause::Peer,
                    });
                }
            }
            3..=5 => self.request(choices)?,
            6 | 7 => self.query(choices)?,
            8 => self.pong(choices)?,
            9 => {
                let ms = u64::from(choices.arbitrary::<u16>()?);
                self.now = Now {
                    mono: self.now.mono.plus_ms(ms),
                    unix: UnixMillis(self.now.unix.0 + ms),
                };
                self.handle(Event::Tick);
            }
            10 => self.store(choices)?,
            _ => self.crash(choices)?,
        }
        Ok(())
    }

    fn connect(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let conn = ConnId::new(choices.int_in_range(0..=1)?, self.serial());
        let user = choices.int_in_range(0..=3u8)?;
        let dev = choices.int_in_range(0..=2u32)?;
        self.tenants.insert(conn, dev);
        let target = format!(
            "/ws/sesion=key{}&myid={user}&devid={dev}&v={}&uuid=u{}&api=js",
            choices.int_in_range(1..=3u8)?,
            choices.choose(&["4.08", "3.25", "5.0"])?,
            choices.int_in_range(0..=3u8)?,
        );
        let hello = wire::hello(target.as_bytes(), None, &[], self.config.dev_index_size);
        if hello.as_ref().is_ok_and(|hello| hello.dialect == Dialect::V5) {
            self.exact.opened(conn);
        }
        let client = Arc::new(RequestHeaders::default().client_info(Ipv4Addr::new(192, 0, 2, 1).into()));
        self.open.insert(conn);
        self.handle(Event::Opened { conn, hello, client });
        Ok(())
    }

    fn request(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let Some(conn) = self.some_conn(choices)? else {
            return Ok(());
        };
        let channel = *choices.choose(&CHANNELS)?;
        let other = *choices.choose(&CHANNELS)?;
        if self.exact.has(conn) && choices.ratio(3, 4)? {
            let text = self.exact.command(conn, channel, other, choices)?;
            let command = wire::decode(&text, self.config.body_bytes_max);
            self.exact.asked(conn, command.number);
            self.handle(Event::Request { conn, command });
            return Ok(());
        }
        let text = match choices.int_in_range(0..=8u8)? {
            0..=2 => format!("subscription\n{channel}\n{other}"),
            3 => "subscription".to_owned(),
            4 => format!("web_pipe2\n{channel}\ne\n*\nit's tenant-{}", self.tenants[&conn]),
            5 => format!("pipe_log\n{channel}\nm"),
            6 => format!("track_pipe_users\n{channel}\nm"),
            7 => format!("user_status\n{}", choices.int_in_range(0..=3u8)?),
            _ => String::from_utf8_lossy(choices.bytes(choices.len().min(40))?).into_owned(),
        };
        let command = wire::decode(&text, self.config.body_bytes_max);
        self.exact.asked(conn, command.number);
        self.handle(Event::Request { conn, command });
        Ok(())
    }

    fn query(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let dev = choices.int_in_range(0..=2u32)?;
        let session = match self.sessions.get(&dev) {
            Some(session) => *session,
            None => self.open_session(dev),
        };
        if choices.ratio(1, 32)? {
            self.sessions.remove(&dev);
            self.handle(Event::SessionClosed { session });
            return Ok(());
        }
        let user = choices.int_in_range(1..=3u8)?;
        let channel = *choices.choose(&CHANNELS)?;
        let number = choices.int_in_range(0..=5u8)?;
        let text = match choices.int_in_range(0..=9u8)? {
            0 => format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key{number}')"),
            1 => format!("DELETE FROM users_auth WHERE id = {user}"),
            2 | 3 => format!(
                "INSERT INTO users_messages (id, event, message) VALUES ({user}, 'e', 'tenant-{dev}'), (1, 'e', 'tenant-{dev}')"
            ),
            4 => format!("DELETE FROM users_messages WHERE id = {user} LIMIT {number}"),
            5 => format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('{channel}', 'e', 'tenant-{dev}')"
            ),
            6 => format!("INSERT INTO pipes_settings (name, length) VALUES ('{channel}', {number})"),
            7 => format!("DELETE FROM pipes_messages WHERE name = '{channel}' ORDER BY id LIMIT {number}"),
            8 => format!("SELECT * FROM users_messages WHERE id IN (1, 2, 3) LIMIT {number}"),
            _ => "SELECT * FROM users_in_pipes".to_owned(),
        };
        let req = RequestId(self.serial());
        self.asked.insert(req, dev);
        let statement = parse(text.as_bytes(), &Limits::of(&self.config));
        self.handle(Event::Query {
            session,
            req,
            statement,
        });
        Ok(())
    }

    fn open_session(&mut self, dev: u32) -> SessionId {
        let session = SessionId(self.serial());
        self.sessions.insert(dev, session);
        self.handle(Event::SessionOpened {
            session,
            login: Login::Tenant(DevId(dev)),
            database: "".into(),
        });
        session
    }

    fn pong(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        if self.probes.is_empty() {
            return Ok(());
        }
        let at = choices.choose_index(self.probes.len())?;
        let (conn, probe) = self.probes[at];
        if self.open.contains(&conn) {
            self.handle(Event::ProbeAnswered { conn, probe });
        }
        Ok(())
    }

    fn store(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let count = choices.int_in_range(1..=self.unwritten.len())?;
        let (upto, _) = self.unwritten[count - 1];
        if choices.ratio(1, 4)? {
            self.handle(Event::PersistFailed { upto });
        } else {
            self.write(count);
        }
        Ok(())
    }

    fn write(&mut self, count: usize) {
        let Some((upto, _)) = self.unwritten.get(count.wrapping_sub(1)) else {
            return;
        };
        let upto = *upto;
        for (_, record) in self.unwritten.drain(..count) {
            self.disk.apply(&record);
        }
        self.handle(Event::Persisted { upto });
    }

    fn crash(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        if !choices.ratio(1, 8)? {
            return Ok(());
        }
        self.unwritten.clear();
        self.open.clear();
        self.probes.clear();
        self.asked.clear();
        self.sessions.clear();
        self.last_op = OpId(0);
        self.exact = ExactPages::default();
        let mut actions = Vec::new();
        let seed = self.serial();
        self.core = Core::start(
            self.config.clone(),
            self.disk.clone(),
            seed,
            self.now,
            &mut actions,
        );
        self.obey(actions);
        Ok(())
    }

    /// Everything is written, and then nothing is open that was asked, and the disk holds the state.
    fn finish(&mut self) {
        while !self.unwritten.is_empty() {
            self.write(self.unwritten.len());
        }
        self.arrive();
        self.exact.all_answered(&self.open);
        assert!(
            self.asked.is_empty(),
            "every query has its reply: {:?}",
            self.asked
        );
        assert_eq!(
            self.core.durable(),
            &self.disk,
            "the state is the fold of its records"
        );
    }

    /// Every Ping is answered, until no history waits any more.
    fn arrive(&mut self) {
        let mut at = 0;
        while let Some(&(conn, probe)) = self.probes.get(at) {
            if self.open.contains(&conn) {
                self.handle(Event::ProbeAnswered { conn, probe });
            }
            at += 1;
        }
        while !self.unwritten.is_empty() {
            self.write(self.unwritten.len());
        }
    }

    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn some_conn(&self, choices: &mut Unstructured<'_>) -> Result<Option<ConnId>> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let at = choices.choose_index(self.open.len())?;
        Ok(self.open.iter().nth(at).copied())
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.core.handle(self.now, event, &mut actions);
        self.core.check();
        self.obey(actions);
    }

    fn got(&mut self, conn: ConnId, frame: &str) {
        only_of(self.tenants[&conn], frame);
        self.exact.got(conn, frame);
    }

    fn obey(&mut self, actions: Vec<Action>) {
        let mut dropped = Vec::new();
        for action in actions {
            match action {
                Action::Send {
                    to: Recipients::One(conn),
                    frame,
                } => {
                    assert!(self.open.contains(&conn));
                    self.got(conn, frame.as_str());
                }
                Action::Send {
                    to: Recipients::Many { list, .. },
                    frame,
                } => {
                    for conn in &*list {
                        self.got(*conn, frame.as_str());
                    }
                    assert!(list.is_sorted_by(|a, b| a < b), "recipients ascend");
                    assert!(
                        list.iter().all(|conn| self.open.contains(conn)),
                        "nobody else gets anything"
                    );
                }
                Action::Probe { conn, probe } => {
                    assert!(self.open.contains(&conn));
                    self.probes.push((conn, probe));
                }
                Action::Close { conn, cause } => {
                    assert!(self.open.remove(&conn), "closed once");
                    dropped.push((conn, cause));
                }
                Action::Reply { req, reply, .. } => {
                    let dev = self.asked.remove(&req).expect("one reply per query");
                    only_of(dev, &format!("{reply:?}"));
                }
                Action::CloseSession { .. } | Action::Ready(_) | Action::Room(_) => {}
                Action::Persist { op, record } => {
                    assert_eq!(op.0, self.last_op.0 + 1, "records are numbered without gaps");
                    self.last_op = op;
                    self.unwritten.push((op, record));
                }
            }
        }
        for (conn, cause) in dropped {
            self.handle(Event::Closed { conn, cause });
        }
    }
}

/// Messages say whose they are.
fn only_of(dev: u32, text: &str) {
    for (at, mark) in text.match_indices("tenant-") {
        let whose = &text[at + mark.len()..][..1];
        assert_eq!(whose, dev.to_string(), "something of another tenant: {text}");
    }
}

const CHANNELS: [&str; 6] = [
    "web_a",
    "web_b",
    "track_a",
    "private_a",
    "user_status_1",
    "trust_a",
];
