//! The state machine: time, timers and one match on the event. No rule lives here; each family of events has a
//! module of its own below.

mod auth;
mod channel;
mod check;
mod checkpoint;
mod conn;
mod delivery;
mod durability;
mod expiry;
mod explain;
mod held;
mod ids;
pub(crate) mod jwt;
mod memory;
mod presence;
mod private;
mod query;
mod quota;
mod rates;
mod redact;
mod replay;
mod request;
mod sending;
mod show;
mod statistics;
mod tables;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Frame, Recipients};
use crate::config::CheckedConfig;
use crate::event::Event;
use crate::id::{ConnId, DevId, OpId, Seq, SessionId, UserId};
use crate::limit::{Addresses, Throttle};
use crate::record::Record;
use crate::state::{Accepted, Clients, Conns, Durable, GoneId, Journal, Tenants, Timer, Timers};
use crate::time::{Mono, Now};
use crate::wire::{self, CommandNumber, Content, Dialect, FrameBody};

pub use checkpoint::CheckpointError;
use durability::Durability;
use ids::MessageIds;
use memory::Budget;
use query::Sessions;
pub use statistics::Refused;
use statistics::Statistics;

/// The whole server but for its input and output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Core {
    config: CheckedConfig,
    now: Now,
    started: Now,
    stopping: bool,
    durable: Durable,
    durability: Durability,
    tenants: Tenants,
    conns: Conns,
    /// Made anew of what the connections say.
    #[serde(skip)]
    clients: Clients,
    sessions: Sessions,
    timers: Timers,
    /// Messages of pages that may be sent again.
    accepted: Accepted,
    /// What happened to messages lately. Nothing decides by it.
    journal: Journal,
    /// Wrong keys of browsers.
    key_failures: Throttle,
    /// Connections of each address, if they are limited.
    addresses: Addresses,
    /// Turns of whoever is limited in his pace.
    turns: rates::Turns,
    /// Users whose `users_time` changed while the store failed.
    unsaved_presence: BTreeSet<(DevId, UserId)>,
    message_ids: MessageIds,
    last_seq: Seq,
    last_gone: GoneId,
    statistics: Statistics,
    budget: Budget,
}

impl Core {
    /// Starts on what the store had. `seed` feeds the generator of message ids. Users the store shows as online
    /// become offline with time `now` (Q30), which may make the first `Persist`.
    pub fn start(
        config: CheckedConfig,
        durable: Durable,
        seed: u64,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Self {
        let last_seq = durable.max_seq();
        let journal = Journal::new(config.delivery_window_bytes, now.unix);
        let key_failures = Throttle::new(config.key_failures_max, config.private_addresses_are_clients);
        let mut core = Self {
            config,
            now,
            started: now,
            stopping: false,
            durable,
            durability: Durability::default(),
            tenants: Tenants::default(),
            conns: Conns::default(),
            clients: Clients::default(),
            sessions: Sessions::default(),
            timers: Timers::default(),
            accepted: Accepted::default(),
            journal,
            key_failures,
            addresses: Addresses::default(),
            turns: rates::no_turns(),
            unsaved_presence: BTreeSet::new(),
            message_ids: MessageIds::new(seed),
            last_seq,
            last_gone: GoneId(0),
            statistics: Statistics::default(),
            budget: Budget::default(),
        };
        core.everybody_offline(out);
        core.arm_periodic_timers();
        if core.config.queue_ttl_ms > 0 {
            core.watch_stored_ttls();
        }
        core.weigh(out);
        core
    }

    /// Moves time to `now`, fires every timer that is due, then applies `event`, appending to `out` what must
    /// happen, in order.
    ///
    /// A timer sees its own deadline as the time, so the outcome does not depend on how late this is called.
    ///
    /// # Panics
    /// If `now.mono` is before that of the previous call, or if an invariant is broken: a bug of ours, never the
    /// peer's doing.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Vec<Action>) {
        assert!(now.mono >= self.now.mono, "time goes backwards");
        self.fire_timers(now, out);
        self.now = now;
        match event {
            Event::Opened { conn, hello, client } => self.opened(conn, hello, &client, out),
            Event::Request { conn, command } => self.request(conn, command, out),
            Event::ProbeAnswered { conn, probe } => self.probe_answered(conn, probe, out),
            Event::Closed { conn, cause } => self.closed(conn, cause, out),
            Event::SessionOpened {
                session,
                login,
                database,
            } => self.session_opened(session, login, database, out),
            Event::Query {
                session,
                req,
                statement,
            } => self.query(session, req, statement, out),
            Event::SessionClosed { session } => self.session_closed(session),
            Event::Persisted { upto } => self.persisted(upto, out),
            Event::PersistFailed { upto } => self.persist_failed(upto, out),
            Event::Memory(outside) => self.outside(outside),
            Event::Shutdown => self.shutdown(out),
            Event::Tick => {}
        }
        self.weigh(out);
    }

    /// The next instant at which `handle(now, Event::Tick, …)` would do something.
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// What a store that wrote every record would hold. Only `users_time` is ahead of it: while writes fail, and with
    /// `save_last_online` off.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The newest change it asked to be written.
    pub const fn newest_record(&self) -> OpId {
        self.durability.newest()
    }

    /// Open connections, ascending.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.conns.iter().map(|(id, _)| id)
    }

    /// Open CometQL sessions, ascending.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.keys().copied()
    }

    /// How often limits refused something since the start.
    pub fn refused(&self) -> Refused {
        self.statistics.refused
    }

    /// The configuration in force.
    pub fn config(&self) -> &CheckedConfig {
        &self.config
    }

    fn fire_timers(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some((at, timer)) = self.timers.pop_due(now.mono) {
            let late_ms = now.mono.micros_since(at) / 1000;
            self.now = Now {
                mono: at.max(self.now.mono),
                unix: now.unix.minus_ms(late_ms),
            };
            match timer {
                Timer::Probe(conn) => self.probe_timed_out(conn, out),
                Timer::Grace(dev, user, gone) => self.grace_over(dev, user, gone, out),
                Timer::QueueTtl(dev, user) => self.expire_queue(dev, user, out),
                Timer::SendMemory => self.forget_accepted(),
                Timer::WsUptime => self.sweep_connections(out),
                Timer::SqlUptime => self.sweep_sessions(out),
                Timer::WsStatistics => self.measure_ws(),
                Timer::SqlStatistics => self.measure_sql(),
            }
            // What a deadline gave back is there for whatever comes after it, however late this is called.
            self.weigh(out);
        }
    }

    fn arm_periodic_timers(&mut self) {
        let config = &self.config;
        let uptime = |every: u64, max: u64| if max == 0 { 0 } else { every };
        let periods = [
            (
                uptime(config.ws_uptime_sweep_ms, config.ws_uptime_max_ms),
                Timer::WsUptime,
            ),
            (
                uptime(config.cometql_uptime_sweep_ms, config.cometql_uptime_max_ms),
                Timer::SqlUptime,
            ),
            (config.ws_statistics_ms, Timer::WsStatistics),
            (config.cometql_statistics_ms, Timer::SqlStatistics),
        ];
        for (every, timer) in periods {
            self.arm_period(every, timer);
        }
    }

    /// Arms a periodic timer for its next turn; 0 = never.
    fn arm_period(&mut self, every_ms: u64, timer: Timer) {
        if every_ms > 0 {
            self.timers.arm(self.now.mono.plus_ms(every_ms), timer);
        }
    }

    /// Changes durable state: applies the record, and asks for it to be written.
    fn commit(&mut self, record: Record, out: &mut Vec<Action>) -> OpId {
        self.durable.apply(&record);
        self.durability.persist(record, out)
    }

    fn next_seq(&mut self) -> Seq {
        self.last_seq = Seq(self.last_seq.0 + 1);
        self.last_seq
    }

    fn encode(&self, body: FrameBody<'_>, answers: Option<CommandNumber>, dialect: Dialect) -> Frame {
        wire::encode(
            &Content {
                body,
                answers,
                time: self.now.unix.seconds(),
            },
            dialect,
        )
    }

    /// Sends one frame to one connection that is open.
    fn send(&mut self, conn: ConnId, body: FrameBody<'_>, out: &mut Vec<Action>) {
        self.answer(conn, None, body, out);
    }

    /// Sends the answer to a command, numbered or not.
    fn answer(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        body: FrameBody<'_>,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, dialect) = (state.dev, state.dialect);
        let frame = self.encode(body, number, dialect);
        self.count_sent(dev, 1);
        out.push(Action::Send {
            to: Recipients::One(conn),
            frame,
        });
    }

    /// The server is told to stop: whoever is online is offline from now on, and everybody is sent away.
    fn shutdown(&mut self, out: &mut Vec<Action>) {
        self.stopping = true;
        self.everybody_offline(out);
        self.close_everybody(out);
    }
}
