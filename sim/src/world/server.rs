//! The server process: starts, stops, dies; sockets and sessions as it knows them.

use std::sync::Arc;

use comet_core::cometql::{self, Limits, Statement};
use comet_core::{
    Action, Answer, ClientInfo, CloseCause, ConnId, Core, DevId, Event, MessageId, QueryError, RequestId,
    SessionId, wire,
};

use super::coming::Query;
use super::steps::CrashPlan;
use super::{Coming, World};
use crate::backend::{Ask, Session};
use crate::browser::{self, Intrusion, Version};
use crate::fault::Fault;
use crate::model::{Cause, Claim, Failure};
use crate::names;
use crate::network::{Down, ServerSide, Up};
use crate::prng::Prng;
use crate::profile::Knob;

/// The connection id of a socket: two shards, so that ids and ages are ordered differently; numbered from 1, as the real
/// server does (0 is nobody where connections are told of).
pub(super) const fn conn_of(link: usize) -> ConnId {
    ConnId::new((link % 2) as u16, link as u64 + 1)
}

impl World {
    /// Starts the server on what the disk has.
    pub(super) fn start_server(&mut self) -> Result<(), Failure> {
        if self.core.is_some() {
            return Ok(());
        }
        self.life += 1;
        self.plan_memory();
        self.boot = self.now - super::BEGIN_US;
        self.shadow = self.disk.fold();
        let now = self.clock();
        if let Some(trace) = &mut self.trace {
            trace.push((now, None));
        }
        let mut actions = Vec::new();
        let seed = self.profile.seed ^ u64::from(self.life);
        let config = self.planted.settings(self.profile.settings()).check();
        let core = Core::start(
            config.expect("a mistake leaves the settings valid"),
            self.shadow.clone(),
            seed,
            now,
            &mut actions,
        );
        if let Some(tape) = &mut self.tape {
            tape.begin(&core, now, false);
        }
        self.core = Some(core);
        self.model
            .restart(self.awake(), self.unix(), &self.disk.safe, &actions)?;
        for action in &actions {
            if let Action::Persist { op, record } = action {
                self.shadow.apply(record);
                self.disk
                    .take(*op, record.clone())
                    .or_else(|text| crate::model::wrong("records", text))?;
            }
        }
        self.begin_commit();
        self.compare_durable()?;
        for session in 0..self.sessions.len() {
            let lost = std::mem::take(&mut self.sessions[session].unanswered);
            self.open_session(session)?;
            for (_, ask) in lost {
                self.try_again(session, ask);
            }
        }
        Ok(())
    }

    /// The link of a connection of this server.
    pub(super) fn link_of(&self, conn: ConnId) -> Option<usize> {
        let serial = (conn.0 & ((1 << ConnId::SHARD_SHIFT) - 1)) as usize;
        let index = serial.checked_sub(1)?;
        self.links
            .get(index)
            .filter(|link| link.life == self.life)
            .map(|_| index)
    }

    /// The power fails, or the process is killed.
    pub(super) fn end_server(&mut self, plan: &CrashPlan) {
        self.core = None;
        self.recorder.crashed();
        self.disk
            .crash(self.now, plan.commit_finished, self.planted.torn());
        for index in 0..self.links.len() {
            if self.links[index].life != self.life {
                continue;
            }
            let link = &mut self.links[index];
            link.server = ServerSide::Gone;
            link.up.clear();
            link.down.clear();
            link.outstanding = 0;
            let late = if link.luck().percent(10) {
                30_000_000
            } else {
                1_000_000
            };
            let at = self.now + link.luck().below(late);
            self.plan(at, Coming::Lost { link: index });
        }
        self.plan(self.after_ms(plan.down_ms), Coming::Restart);
    }

    /// An upgrade request arrives.
    pub(super) fn handshake(&mut self, index: usize) -> Result<(), Failure> {
        let life = self.life;
        let link = &mut self.links[index];
        if link.life != life || self.core.is_none() || link.cut {
            self.lost(index);
            return Ok(());
        }
        link.server = ServerSide::Open;
        link.heard = self.now;
        let (Some(tab), page, held) = (link.tab, link.page, link.held) else {
            return Ok(());
        };
        let tab = &self.tabs[tab];
        let browser = &self.browsers[tab.browser];
        let target = browser::target(browser, &tab.credentials);
        let hello = wire::hello(target.as_bytes(), None, &[], self.config.dev_index_size);
        let conn = conn_of(index);
        let user = match tab.credentials {
            browser::Credentials::Nobody => 0,
            browser::Credentials::Hash(_)
            | browser::Credentials::Token(_)
            | browser::Credentials::Wrong
            | browser::Credentials::Stolen => browser.user,
        };
        let claim = Claim {
            conn,
            // A socket that died before it opened belongs to nobody.
            page: held.then_some(page),
            dev: browser.dev,
            user,
            key: browser::key(browser, &tab.credentials),
            uuid: browser.uuid.clone(),
            version: browser.version,
            ip: browser.ip,
        };
        let client = Arc::new(ClientInfo {
            user_agent: browser.version.text().into(),
            // Old browsers tell none.
            origin: (browser.version != Version::V3).then(|| "https://example.com".into()),
            ip: browser.ip,
            ..ClientInfo::default()
        });
        self.feed(
            Event::Opened { conn, hello, client },
            &Cause::Opened(Box::new(claim)),
        )?;
        if self.calm && !held {
            // The end of the stream was here before it began.
            self.server_learns(index, CloseCause::Peer, 0);
        }
        Ok(())
    }

    /// Somebody connects with a malformed URL.
    pub(super) fn intrude(&mut self, kind: u64) -> Result<(), Failure> {
        self.faults.add(Fault::Intruder);
        let kind = Intrusion::ALL[kind as usize % Intrusion::ALL.len()];
        let hello = wire::hello(kind.target().as_bytes(), None, &[], 10);
        let index = self.new_link(None, 0, 0);
        self.links[index].server = ServerSide::Open;
        self.links[index].held = false;
        let conn = conn_of(index);
        self.feed(
            Event::Opened {
                conn,
                hello,
                client: Arc::default(),
            },
            &Cause::Intruder { conn, kind },
        )
    }

    /// Something arrives from a page. Also from one that the core has closed: the reader was faster.
    pub(super) fn arrived_up(&mut self, index: usize) -> Result<(), Failure> {
        let (life, now) = (self.life, self.now);
        let link = &mut self.links[index];
        let Some(up) = link.take_up(now) else {
            return Ok(());
        };
        let known = matches!(link.server, ServerSide::Open | ServerSide::Closing);
        if link.life != life || link.cut || !known {
            return Ok(());
        }
        link.heard = now;
        let conn = conn_of(index);
        match up {
            Up::Command(number, command) => {
                self.record_page(index, &command);
                let decoded = wire::decode(&command.text(number), self.config.body_bytes_max);
                self.feed(
                    Event::Request {
                        conn,
                        command: decoded,
                    },
                    &Cause::Command {
                        conn,
                        number,
                        command,
                    },
                )
            }
            Up::Pong(probe) => {
                let event = Event::ProbeAnswered {
                    conn,
                    probe: MessageId(probe),
                };
                self.feed(event, &Cause::Pong { conn, probe })
            }
            Up::End => self.noticed(index, CloseCause::Peer),
        }
    }

    /// The server notices the end of a socket.
    pub(super) fn noticed(&mut self, index: usize, cause: CloseCause) -> Result<(), Failure> {
        let life = self.life;
        let link = &mut self.links[index];
        if link.life != life || !matches!(link.server, ServerSide::Open | ServerSide::Closing) {
            return Ok(());
        }
        link.server = ServerSide::Gone;
        link.up.clear();
        let conn = conn_of(index);
        self.feed(Event::Closed { conn, cause }, &Cause::Closed { conn })
    }

    /// Plans when the server notices the end of a socket, after everything that is under way.
    pub(super) fn server_learns(&mut self, index: usize, cause: CloseCause, extra_us: u64) {
        let late = self.profile.get(Knob::LateClosed);
        let (now, calm) = (self.now, self.calm);
        let link = &mut self.links[index];
        let last = link.up.back().map_or(0, |(due, _)| *due);
        let mut at = (now + link.delay() + extra_us).max(last);
        if !calm && link.luck().percent(late) {
            at += link.luck().below(20_000_000);
            self.faults.add(Fault::LateClosed);
        }
        self.plan(at, Coming::Noticed { link: index, cause });
    }

    /// The core closes a connection: what was sent is flushed, then the stream ends without a Close frame (Q9).
    pub(super) fn close(&mut self, conn: ConnId, cause: CloseCause) {
        let Some(index) = self.link_of(conn) else { return };
        let late = self.profile.get(Knob::LateClosed);
        let now = self.now;
        let link = &mut self.links[index];
        if link.server != ServerSide::Open {
            return;
        }
        link.sent_away = matches!(cause, CloseCause::Throttled | CloseCause::Quota);
        let due = link.send_down(now, Down::End);
        let tells = link.luck().percent(late.max(20));
        link.server = if tells {
            ServerSide::Closing
        } else {
            ServerSide::Gone
        };
        let at = now + link.luck().below(5_000_000);
        self.plan(due, Coming::Down { link: index });
        if tells {
            self.faults.add(Fault::LateClosed);
            self.plan(
                at,
                Coming::Noticed {
                    link: index,
                    cause: CloseCause::Io,
                },
            );
        }
    }

    /// The deletion of a stored message, counted from the newest; of one that nobody has if there is none.
    pub(super) fn kept_message(&self, dev: u32, back: u64) -> Ask {
        let tenant = self.shadow.tenant(DevId(dev)).into_iter();
        let channels = tenant.flat_map(|tenant| tenant.channels.values());
        let mut kept: Vec<_> = channels.flat_map(|channel| &channel.history).collect();
        kept.sort_by_key(|message| message.seq);
        let chosen = kept.iter().rev().nth(back as usize);
        let n = chosen.and_then(|message| names::number_in(&names::view(message.body.as_str())));
        let id = chosen.map_or_else(|| MessageId(u128::from(back)), |message| message.id);
        Ask::DelMessage {
            id: id.to_string(),
            n: n.unwrap_or(0),
        }
    }

    /// A back end sends a statement.
    pub(super) fn submit(&mut self, index: usize, ask: Ask) -> Result<(), Failure> {
        if self.core.is_none() {
            if matches!(ask, Ask::Private(_)) {
                self.plan(self.after_ms(1000), Coming::Retry { session: index, ask });
            }
            return Ok(());
        }
        self.requests += 1;
        let (req, life) = (self.requests, self.life);
        let delay = self.luck.below(self.profile.get(Knob::Latency) * 1000 + 1);
        let delay = if self.calm { 0 } else { delay };
        let session = &mut self.sessions[index];
        if let Ask::Use { dev } = ask {
            session.dev = dev;
        }
        session.last_arrival = session.last_arrival.max(self.now + delay);
        session.unanswered.push((req, ask.clone()));
        let (at, session, dev) = (session.last_arrival, session.id, session.dev);
        self.recorder.sent(req, session, dev, &ask);
        self.plan(
            at,
            Coming::Query(Query {
                life,
                session,
                req,
                ask,
            }),
        );
        Ok(())
    }

    /// A statement comes to the server, unless a faulty runtime lets the next one overtake it.
    pub(super) fn query_came(&mut self, query: Query) -> Result<(), Failure> {
        let pipelined = |session: &Session| session.id == query.session && session.unanswered.len() > 1;
        let more = self.sessions.iter().any(pipelined);
        if self.held.is_none() && more && self.planted.overtakes() {
            self.held = Some(query);
            return Ok(());
        }
        let held = self.held.take();
        let again = self.planted.repeats(&query.ask).then(|| query.clone());
        self.query_arrived(query.life, query.session, query.req, query.ask)?;
        if let Some(query) = again {
            self.requests += 1;
            self.query_arrived(query.life, query.session, self.requests, query.ask)?;
        }
        match held {
            Some(held) => self.query_arrived(held.life, held.session, held.req, held.ask),
            None => Ok(()),
        }
    }

    pub(super) fn query_arrived(
        &mut self,
        life: u32,
        session: u64,
        req: u64,
        ask: Ask,
    ) -> Result<(), Failure> {
        if life != self.life || self.core.is_none() {
            return Ok(());
        }
        self.recorder.arrived(req);
        let limits = Limits::of(&self.config);
        let statement = self.parsed(&ask, req, &limits);
        let event = Event::Query {
            session: SessionId(session),
            req: RequestId(req),
            statement,
        };
        self.feed(event, &Cause::Query { session, req, ask })
    }

    /// The statement as text, or prepared and bound: the same to the server.
    fn parsed(&self, ask: &Ask, req: u64, limits: &Limits) -> Result<Statement, QueryError> {
        let chance = &mut Prng::keyed(self.profile.seed ^ 0x44_5566, req);
        if chance.percent(self.profile.get(Knob::Prepared))
            && let Some((template, values)) = ask.prepared()
        {
            return cometql::prepare(template.as_bytes(), limits)?.bind(&values, limits);
        }
        let mut statement = cometql::parse(ask.text(req).as_bytes(), limits)?;
        if let Statement::ShowHost { facts, .. } = &mut statement {
            facts.push(("os_uptime".to_owned(), "1".to_owned()));
        }
        Ok(statement)
    }

    pub(super) fn session_end(&mut self, life: u32, session: u64) -> Result<(), Failure> {
        if life != self.life {
            return Ok(());
        }
        let event = Event::SessionClosed {
            session: SessionId(session),
        };
        self.feed(event, &Cause::SessionClosed { session })
    }

    /// A statement was answered.
    pub(super) fn replied(&mut self, session: u64, req: u64, reply: &Result<Answer, u16>) {
        self.recorder.answered(req, reply);
        let Some(index) = self.sessions.iter().position(|known| known.id == session) else {
            return;
        };
        let unanswered = &mut self.sessions[index].unanswered;
        let Some(at) = unanswered.iter().position(|(number, _)| *number == req) else {
            return;
        };
        let (_, ask) = unanswered.remove(at);
        if *reply == Err(500) {
            self.try_again(index, ask);
        }
    }

    /// A back end does not know whether its message was taken and sends it again, as a new message.
    pub(super) fn try_again(&mut self, index: usize, ask: Ask) {
        let Ask::Private(mut rows) = ask else { return };
        if self.retries >= 60 || self.calm {
            return;
        }
        self.retries += 1;
        for row in &mut rows {
            self.messages += 1;
            row.n = self.messages;
            row.body = names::body(row.n, row.n);
        }
        self.plan(
            self.after_ms(700),
            Coming::Retry {
                session: index,
                ask: Ask::Private(rows),
            },
        );
    }
}
