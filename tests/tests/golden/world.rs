//! A core with a clock, a store and named browsers, all under the script's command. Executes actions as the runtime
//! promises to: in order, a dropped connection reported as closed, every record confirmed unless the store is held.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use comet_core::cometql::{self, Limits, Param};
use comet_core::wire::{self, RequestHeaders};
use comet_core::{
    Action, CheckedConfig, CloseCause, Config, ConnId, Core, DevId, Durable, Event, Login, MessageId, Mono,
    Now, OpId, Outside, QueryError, Recipients, Record, RequestId, Secret, SessionId, UnixMillis,
};

use crate::render::{self, Ids, shorten};
use crate::script::option;

/// The password of the JWT vectors in protocol.md 4.2.
const PASSWORD: &str = "CometQLPassword";
/// 2023-11-14, as in the examples of protocol.md, appendix A.
const START: u64 = 1_700_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum StoreMode {
    Go,
    Hold,
}

pub(crate) struct World {
    config: CheckedConfig,
    core: Core,
    now: Now,
    names: BTreeMap<ConnId, String>,
    probes: BTreeMap<ConnId, MessageId>,
    sessions: BTreeMap<u32, SessionId>,
    serial: u64,
    mode: StoreMode,
    /// Records the store has not confirmed.
    unwritten: Vec<(OpId, Record)>,
    disk: Durable,
    ids: Ids,
    out: String,
}

impl World {
    pub(crate) fn start(settings: &str) -> Self {
        let config = configure(settings);
        let now = Now {
            mono: Mono::ZERO,
            unix: UnixMillis(START),
        };
        let mut actions = Vec::new();
        let core = Core::start(config.clone(), Durable::default(), 1, now, &mut actions);
        let mut world = Self {
            config,
            core,
            now,
            names: BTreeMap::new(),
            probes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            serial: 0,
            mode: StoreMode::Go,
            unwritten: Vec::new(),
            disk: Durable::default(),
            ids: Ids::default(),
            out: String::new(),
        };
        world.execute(actions);
        world
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    fn say(&mut self, text: &str) {
        let text = self.ids.name(text);
        self.out.push_str(&text);
    }

    fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn handle(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.core.handle(self.now, event, &mut actions);
        self.core.check();
        self.execute(actions);
    }

    fn execute(&mut self, actions: Vec<Action>) {
        let mut closed = Vec::new();
        for action in actions {
            match action {
                Action::Send { to, frame } => {
                    let names = self.recipients(&to);
                    self.say(&format!("{names} <- {}\n", shorten(frame.as_str())));
                }
                Action::Probe { conn, probe } => {
                    self.probes.insert(conn, probe);
                    let name = self.names[&conn].clone();
                    self.say(&format!("{name} <- Ping {probe}\n"));
                }
                Action::Close { conn, cause } => {
                    let name = self.names[&conn].clone();
                    self.say(&format!("{name} is dropped: {}\n", cause.label()));
                    closed.push((conn, cause));
                }
                Action::Reply { reply, .. } => self.say(&render::reply(&reply)),
                Action::CloseSession { session } => self.say(&format!("session {} is dropped\n", session.0)),
                Action::Persist { op, record } => self.unwritten.push((op, record)),
                Action::Ready(ready) => self.say(&format!("ready: {ready}\n")),
                Action::Room(room) => self.say(&format!("room: {}\n", room.name())),
            }
        }
        for (conn, cause) in closed {
            self.names.remove(&conn);
            self.handle(Event::Closed { conn, cause });
        }
        if self.mode == StoreMode::Go {
            self.write();
        }
    }

    fn write(&mut self) {
        let written = std::mem::take(&mut self.unwritten);
        if let Some((upto, _)) = written.last() {
            let upto = *upto;
            for (_, record) in &written {
                self.disk.apply(record);
            }
            self.handle(Event::Persisted { upto });
        }
    }

    fn recipients(&self, to: &Recipients) -> String {
        let ids: Vec<ConnId> = match to {
            Recipients::One(conn) => vec![*conn],
            Recipients::Many { list, except } => list
                .iter()
                .copied()
                .filter(|conn| Some(*conn) != *except)
                .collect(),
        };
        ids.iter()
            .map(|conn| self.names[conn].as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn conn(&self, name: &str) -> ConnId {
        let found = self.names.iter().find(|(_, known)| *known == name);
        *found.unwrap_or_else(|| panic!("no connection named {name}")).0
    }

    pub(crate) fn open(&mut self, name: &str, target: &str, options: &str) {
        let conn = ConnId::new(0, self.serial());
        self.names.insert(conn, name.to_owned());
        let origin = option(options, "origin").map(str::as_bytes);
        let agent = option(options, "agent").unwrap_or_default();
        let language = option(options, "language").unwrap_or_default();
        let headers = RequestHeaders {
            user_agent: agent.as_bytes(),
            language: language.as_bytes(),
            origin,
        };
        let hello = wire::hello_to(
            target.as_bytes(),
            origin,
            |dev| self.config.origins(dev),
            self.config.dev_index_size,
        );
        self.handle(Event::Opened {
            conn,
            hello,
            client: Arc::new(headers.client_info(Ipv4Addr::new(192, 0, 2, 1).into())),
        });
    }

    pub(crate) fn request(&mut self, name: &str, text: &str) {
        let conn = self.conn(name);
        let command = wire::decode(text, self.config.body_bytes_max);
        self.handle(Event::Request { conn, command });
    }

    pub(crate) fn ack(&mut self, name: &str, message: &str) {
        let id = self.ids.find(message).unwrap_or_default().to_owned();
        self.request(name, &format!("ack\n{id}"));
    }

    pub(crate) fn pong(&mut self, name: &str, message: &str) {
        let conn = self.conn(name);
        let probe = if message.is_empty() {
            self.probes.get(&conn).copied()
        } else {
            self.ids.find(message).and_then(MessageId::parse)
        };
        let probe = probe.unwrap_or_else(|| panic!("{name} got no Ping, or {message} is not known"));
        self.handle(Event::ProbeAnswered { conn, probe });
    }

    pub(crate) fn close(&mut self, name: &str) {
        let conn = self.conn(name);
        self.names.remove(&conn);
        self.handle(Event::Closed {
            conn,
            cause: CloseCause::Peer,
        });
    }

    fn limits(&self) -> Limits {
        Limits::of(&self.config)
    }

    pub(crate) fn sql(&mut self, dev: u32, text: &str) {
        let session = self.session(dev, Login::Tenant(DevId(dev)));
        let text = self.ids.insert(text);
        let statement = cometql::parse(text.as_bytes(), &self.limits());
        self.query(session, statement);
    }

    pub(crate) fn health(&mut self, text: &str) {
        let session = self.session(u32::MAX, Login::HealthCheck);
        let statement = cometql::parse(text.as_bytes(), &self.limits());
        self.query(session, statement);
    }

    pub(crate) fn use_database(&mut self, name: &str) {
        let session = self.session(0, Login::Tenant(DevId(0)));
        let statement = cometql::use_database(name.as_bytes(), self.config.dev_index_size);
        self.query(session, statement);
    }

    pub(crate) fn login(&mut self, user: &str, database: Option<&str>, password_given: bool) {
        let database = database.map(str::as_bytes);
        let login = cometql::login(
            user.as_bytes(),
            database,
            password_given,
            self.config.dev_index_size,
        );
        match login {
            Ok(Login::Tenant(dev)) => self.say(&format!("tenant {}\n", dev.0)),
            Ok(Login::HealthCheck) => self.say("health check\n"),
            Err(error) => self.say(&format!("ERROR {}\n", error.code.number())),
        }
    }

    pub(crate) fn exec(&mut self, text: &str, params: &str) {
        let session = self.session(0, Login::Tenant(DevId(0)));
        let values: Vec<serde_json::Value> =
            serde_json::from_str(params).expect("a JSON array of parameters");
        let values: Vec<Param> = values.iter().map(param).collect();
        let limits = self.limits();
        let statement = cometql::prepare(text.as_bytes(), &limits).and_then(|prepared| {
            assert_eq!(
                prepared.params(),
                values.len(),
                "the script gives one value per ?"
            );
            prepared.bind(&values, &limits)
        });
        self.query(session, statement);
    }

    fn session(&mut self, key: u32, login: Login) -> SessionId {
        if let Some(session) = self.sessions.get(&key) {
            return *session;
        }
        let session = SessionId(self.serial());
        self.sessions.insert(key, session);
        self.handle(Event::SessionOpened {
            session,
            login,
            database: "".into(),
        });
        session
    }

    fn query(&mut self, session: SessionId, statement: Result<cometql::Statement, QueryError>) {
        let req = RequestId(self.serial());
        self.handle(Event::Query {
            session,
            req,
            statement,
        });
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        let end = Now {
            mono: self.now.mono.plus_ms(ms),
            unix: UnixMillis(self.now.unix.0 + ms),
        };
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= end.mono) {
            let due = due.max(self.now.mono);
            let left = end.mono.micros_since(due) / 1000;
            self.now = Now {
                mono: due,
                unix: UnixMillis(end.unix.0 - left),
            };
            self.handle(Event::Tick);
        }
        self.now = end;
        self.handle(Event::Tick);
    }

    pub(crate) fn memory(&mut self, bytes: u64) {
        self.handle(Event::Memory(Outside {
            frames: bytes,
            ..Outside::default()
        }));
    }

    pub(crate) fn store(&mut self, what: &str) {
        match what {
            "hold" => self.mode = StoreMode::Hold,
            "go" => {
                self.mode = StoreMode::Go;
                self.write();
            }
            "fail" => {
                self.mode = StoreMode::Hold;
                let (upto, _) = self.unwritten.last().expect("something to refuse");
                self.handle(Event::PersistFailed { upto: *upto });
            }
            other => panic!("store {other}"),
        }
    }

    pub(crate) fn crash(&mut self) {
        self.unwritten.clear();
        self.begin_again();
    }

    pub(crate) fn stop(&mut self) {
        self.handle(Event::Shutdown);
        assert!(
            self.unwritten.is_empty(),
            "an orderly end leaves nothing unwritten"
        );
        // Times that are not saved are not on the disk.
        if self.config.save_last_online {
            assert_eq!(
                self.core.durable(),
                &self.disk,
                "the state is the fold of its records"
            );
        }
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.names.clear();
        self.probes.clear();
        self.sessions.clear();
        self.mode = StoreMode::Go;
        let mut actions = Vec::new();
        let seed = self.serial();
        self.core = Core::start(
            self.config.clone(),
            self.disk.clone(),
            seed,
            self.now,
            &mut actions,
        );
        self.execute(actions);
    }
}

fn param(value: &serde_json::Value) -> Param {
    match value {
        serde_json::Value::Null => Param::Null,
        serde_json::Value::Bool(set) => Param::Int(i64::from(*set)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Param::Int(number),
            None => Param::Text(number.to_string().into()),
        },
        serde_json::Value::String(text) => Param::Text(text.as_str().into()),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => panic!("not a parameter: {value}"),
    }
}

fn configure(settings: &str) -> CheckedConfig {
    let mut config = Config {
        password: Secret::new(PASSWORD),
        ..Config::default()
    };
    for setting in settings.split_whitespace() {
        let (key, value) = setting.split_once('=').expect("config KEY=VALUE");
        let number = || value.parse::<u64>().expect("a number");
        let size = || usize::try_from(number()).expect("a size");
        match key {
            "origins" => config.origins = value.split(',').map(str::to_owned).collect(),
            "dev1.origins" => {
                let rules = config.tenant_rules.entry(DevId(1)).or_default();
                rules.origins = Some(value.split(',').map(str::to_owned).collect());
            }
            "online_events" => config.send_online_events = value == "true",
            "offline_events" => config.send_offline_events = value == "true",
            "save_last_online" => config.save_last_online = value == "true",
            "dev_index_size" => config.dev_index_size = value.parse().expect("a number"),
            "body_bytes_max" => config.body_bytes_max = size(),
            "devices" => config.devices_per_user_max = size(),
            "queue_ttl_ms" => config.queue_ttl_ms = number(),
            "memory_limit" => config.memory_limit_bytes = number(),
            "queue_max" => config.queue_len_max = size(),
            "delivery_window" => config.delivery_window_bytes = size(),
            "grace_ms" => config.reload_grace_ms = number(),
            "subscriptions" => config.subscriptions_max = size(),
            _ if key.starts_with("rate.") || key.starts_with("quota.") || key.starts_with("dev1.") => {
                limit(&mut config, key, number());
            }
            "address_connections" => config.address_connections_max = value.parse().expect("a number"),
            "key_failures" => config.key_failures_max = value.parse().expect("a number"),
            "commands_per_second" => config.commands_per_second_max = value.parse().expect("a number"),
            "query_bytes_max" => config.query_bytes_max = size(),
            "conditions" => config.conditions_max = size(),
            "ws_uptime_max_ms" => config.ws_uptime_max_ms = number(),
            "ws_uptime_sweep_ms" => config.ws_uptime_sweep_ms = number(),
            other => panic!("unknown setting {other}"),
        }
    }
    config.check().expect("the settings of a script are valid")
}

/// `rate.<who>.<kind>`, `quota.<what>`, and for tenant 1 alone `dev1.quota.<what>`.
fn limit(config: &mut Config, key: &str, number: u64) {
    let (rules, key) = match key.strip_prefix("dev1.") {
        Some(key) => {
            let common = config.rules.clone();
            (config.tenant_rules.entry(DevId(1)).or_insert(common), key)
        }
        None => (&mut config.rules, key),
    };
    let per_second = u32::try_from(number).expect("a rate");
    match key {
        "rate.connection.commands" => rules.rates.connection.commands = per_second,
        "rate.connection.subscriptions" => rules.rates.connection.subscriptions = per_second,
        "rate.user.messages" => rules.rates.user.messages = per_second,
        "rate.tenant.messages" => rules.rates.tenant.messages = per_second,
        "rate.statements" => rules.rates.statements = per_second,
        "rate.burst" => rules.rates.burst_s = per_second,
        "quota.connections" => rules.quota.connections = number,
        "quota.sessions" => rules.quota.sessions = number,
        "quota.users_online" => rules.quota.users_online = number,
        "quota.subscriptions" => rules.quota.subscriptions = number,
        "quota.users" => rules.quota.users = number,
        "quota.channels" => rules.quota.channels = number,
        "quota.messages" => rules.quota.messages = number,
        "quota.bytes" => rules.quota.bytes = number,
        other => panic!("unknown setting {other}"),
    }
}
