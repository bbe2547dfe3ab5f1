//! The task of one CometQL session: bytes in, statements to the core, replies out in order.
//!
//! Promise: everything received before the end of the stream is executed, even if the client is gone (Q81); many
//! statements may be in flight, and their answers leave in their order; a client that does not read its results
//! delays only itself. Behind a SELECT or an EXPLAIN the next statement is taken when its result is on its way, so that a
//! client cannot make the server hold many large results.

mod answers;
mod io;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comet_core::cometql::{self, Prepared, Statement};
use comet_core::{DevId, ErrorCode, Event, Login, Mono, QueryError, Reply, RequestId, SessionId};
use comet_mysql::{Connection, ErrorPacket, Input, StatementId};

use super::login::{NotLetIn, PIPELINE_MAX, decide, greeting, may_come, refusal};
use super::mailbox::Mailbox;
use super::params::params;
use super::reply::Streaming;
use super::statement;
use crate::memory::{Taken, Use};
use crate::rt::TcpStream;
use crate::rt::time::timeout;
use crate::shard::Shard;
use crate::socket::{Rewound, Socket};
use crate::unfinished::Ticket;

/// Output that may wait for the client before nothing more is added to it.
const OUTPUT_MAX: usize = 256 * 1024;
/// Statements handed to the core at once.
const BATCH_MAX: usize = 128;
/// While there is no memory only statements up to this length are prepared, bytes: with DELETE and revocations the back end
/// makes room, or ends what a thief does (protocol.md 8.7).
const SHORT_STATEMENT_BYTES: usize = 1024;
/// And no more than this of them in a session, bytes: some do not close them.
const PREPARED_WHILE_FULL_MAX: usize = 64 * 1024;
/// What a session takes beside its buffers.
const SESSION_BYTES: usize = 2048;

struct Session {
    shard: Rc<Shard>,
    id: SessionId,
    /// For counting failed logins.
    peer: IpAddr,
    socket: Socket,
    mysql: Connection,
    mailbox: Rc<Mailbox>,
    /// The piece of output that is being written.
    out: Bytes,
    /// Answers owed to the client, oldest first; the first one has the number `first`.
    slots: VecDeque<Slot>,
    first: u64,
    /// Not yet handed to the core.
    events: Vec<Event>,
    prepared: BTreeMap<StatementId, Prepared>,
    /// What the prepared statements take, and those whose preparation is not answered yet.
    prepared_bytes: usize,
    /// What of it came since there is no memory: drivers keep many from before, which must not cost them a DELETE.
    prepared_while_full: usize,
    /// Which time that is (`Memory::times_full`).
    full_since: u64,
    /// What the rows of results take that are not all written.
    rows_bytes: usize,
    /// What is counted for the session.
    counted: Taken,
    streaming: Option<Streaming>,
    /// For the statement log.
    dev: DevId,
    logged_in: bool,
    /// A health check needs no password; therefore it has an end.
    health_check_ends: Option<Mono>,
    /// Nothing more is taken until all answers are out.
    barrier: bool,
    /// Nothing more will be received.
    eof: bool,
    /// The client does not take output any more.
    broken: bool,
}

/// An answer that is owed.
enum Slot {
    /// The core has the statement.
    Waiting,
    /// The core has answered.
    Replied(Reply),
    /// The core has a statement the client did not send: nothing is owed.
    Ignored,
    Prepared(Result<Prepared, QueryError>),
    Statistics,
    /// A health check asked for something.
    Refused,
}

/// Why a step ended the session, or what only the caller can do.
enum End {
    Over,
    /// For the first time: the session has to be reachable before anything is asked in its name.
    LoggedIn,
    Tls(Bytes),
}

type Step = ControlFlow<End>;

/// Serves a MySQL client until it is gone.
pub(crate) async fn serve(shard: Rc<Shard>, tcp: TcpStream, peer: SocketAddr, ticket: Ticket) {
    let Some(settings) = &shard.shared.cometql else {
        return;
    };
    let id = shard.next_session();
    let connection_id = u32::try_from(id.0 & u64::from(u32::MAX)).unwrap_or_default();
    let config = match greeting(&shard.shared, connection_id, settings.prepared_max) {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "no random bytes for a salt"),
    };
    let limit = Duration::from_millis(settings.handshake_timeout_ms);
    let mysql = Connection::new(config);
    let session = Session::new(shard.clone(), id, peer.ip(), Socket::Plain(tcp), mysql);
    let Ok(Some(mut session)) = timeout(limit, session.log_in()).await else {
        return;
    };
    drop(ticket);
    let _serving = shard.serving();
    session.open();
    while session.step().await.is_continue() {}
    session.close().await;
}

impl Session {
    fn new(shard: Rc<Shard>, id: SessionId, peer: IpAddr, socket: Socket, mysql: Connection) -> Self {
        let counted = shard.shared.metrics.memory.hold(Use::Sessions, SESSION_BYTES);
        Self {
            shard,
            id,
            peer,
            socket,
            mysql,
            mailbox: Rc::default(),
            out: Bytes::new(),
            slots: VecDeque::new(),
            first: 0,
            events: Vec::new(),
            prepared: BTreeMap::new(),
            prepared_bytes: 0,
            prepared_while_full: 0,
            full_since: 0,
            rows_bytes: 0,
            counted,
            streaming: None,
            dev: DevId::default(),
            logged_in: false,
            health_check_ends: None,
            barrier: false,
            eof: false,
            broken: false,
        }
    }

    /// Drives the connection phase. `None`: it failed, and the client was told.
    async fn log_in(mut self) -> Option<Self> {
        loop {
            match self.step().await {
                Step::Continue(()) => {}
                Step::Break(End::LoggedIn) => return Some(self),
                Step::Break(End::Tls(read_before)) => self = self.encrypt(read_before).await?,
                Step::Break(End::Over) => {
                    self.last_words().await;
                    return None;
                }
            }
        }
    }

    async fn encrypt(mut self, read_before: Bytes) -> Option<Self> {
        let acceptor = self.shard.shared.cometql_tls.as_ref()?.acceptor();
        let Socket::Plain(tcp) = self.socket else {
            return None;
        };
        let stream = acceptor.accept(Rewound::new(tcp, read_before)).await.ok()?;
        self.socket = Socket::tls(stream);
        Some(self)
    }

    /// Takes what is there, hands it on, answers; waits only if there was nothing to do.
    async fn step(&mut self) -> Step {
        let left = self.health_check_ends.map(|end| {
            let left = end.micros_since(self.shard.shared.clock.mono());
            Duration::from_micros(left)
        });
        if left == Some(Duration::ZERO) {
            return Step::Break(End::Over);
        }
        let answered = self.take_replies();
        let taken = self.take_inputs()?;
        self.count();
        let events = std::mem::take(&mut self.events);
        if self.shard.shared.events.send(events, |_| {}).await.is_err() || self.mailbox.is_closed() {
            // What was said before the end is said.
            self.take_replies();
            return Step::Break(End::Over);
        }
        if taken || (answered && !self.is_full()) {
            self.write_now();
            return Step::Continue(());
        }
        if self.eof && self.slots.is_empty() && self.streaming.is_none() && !self.has_output() {
            return Step::Break(End::Over);
        }
        let io = std::future::poll_fn(|cx| self.poll_io(cx));
        match left {
            None => io.await,
            // The next step looks whether it was too long.
            Some(left) => drop(timeout(left, io).await),
        }
        Step::Continue(())
    }

    /// Counts what the session takes more or less than before.
    fn count(&mut self) {
        let memory = &self.shard.shared.metrics.memory;
        let bytes = SESSION_BYTES
            + self.socket.room()
            + self.mysql.memory()
            + self.out.len()
            + self.slots.capacity() * size_of::<Slot>()
            + self.prepared_bytes
            + self.rows_bytes;
        self.counted.resize(bytes);
        self.events.extend(memory.news());
    }

    fn is_full(&self) -> bool {
        self.out.len() + self.mysql.output_len() >= OUTPUT_MAX
    }

    fn has_output(&self) -> bool {
        !self.out.is_empty() || self.mysql.output_len() > 0
    }

    // Input.

    /// True: there was some input.
    fn take_inputs(&mut self) -> ControlFlow<End, bool> {
        let mut taken = false;
        while !self.barrier && self.slots.len() < PIPELINE_MAX && self.events.len() < BATCH_MAX {
            match self.mysql.next_input() {
                Ok(Some(input)) => {
                    taken = true;
                    self.input(input)?;
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(session = self.id.0, %error, "closed");
                    self.eof = true;
                    break;
                }
            }
        }
        ControlFlow::Continue(taken)
    }

    fn input(&mut self, input: Input) -> Step {
        let limits = self.shard.shared.limits;
        match input {
            Input::TlsRequested { rest } => return Step::Break(End::Tls(rest)),
            Input::Login(login) => return self.login(decide(&self.shard.shared, self.peer, &login)),
            Input::LoginTooOld => return self.login(Err(NotLetIn::Wrong(ErrorCode::LoginRefused.into()))),
            Input::Quit => self.eof = true,
            // Nothing of it costs the core anything: no password was needed (protocol.md 7.1).
            Input::StatementClosed(_) | Input::Reset if self.health_check_ends.is_some() => {}
            Input::Query(_)
            | Input::InitDb(_)
            | Input::Statistics
            | Input::Prepare(_)
            | Input::Execute { .. }
            | Input::TooLarge
                if self.health_check_ends.is_some() =>
            {
                self.slots.push_back(Slot::Refused);
            }
            Input::Query(text) => {
                self.query(statement::parse(self.dev, &text, &limits));
            }
            Input::InitDb(name) => self.query(cometql::use_database(&name, limits.dev_index_size)),
            Input::Statistics => self.slots.push_back(Slot::Statistics),
            Input::Prepare(text) => self.prepare(&text),
            Input::Execute {
                statement,
                params: sent,
            } => {
                let prepared = self.prepared.get(&statement);
                let prepared = prepared.ok_or_else(|| QueryError::from(ErrorCode::Internal));
                let bound = prepared.and_then(|prepared| prepared.bind(&params(&sent)?, &limits));
                self.query(bound);
            }
            Input::StatementClosed(statement) => {
                if let Some(closed) = self.prepared.remove(&statement) {
                    self.not_prepared(closed.memory());
                }
            }
            Input::Reset => {
                self.forget_prepared();
                // The transaction flag is the core's.
                self.ask_core(Ok(Statement::End), Slot::Ignored);
            }
            Input::TooLarge => self.query(Err(ErrorCode::TooLong.into())),
        }
        Step::Continue(())
    }

    /// A login or a change of user; nothing else is unanswered then.
    fn login(&mut self, decision: Result<(Login, Arc<str>), NotLetIn>) -> Step {
        let decision = match decision {
            Ok(_) if !self.logged_in && !may_come(&self.shard.shared.metrics) => return self.turn_away(),
            decision => decision,
        };
        let (login, database) = match decision {
            Ok(allowed) => allowed,
            Err(why) => {
                let metrics = &self.shard.shared.metrics;
                metrics.logins_refused.inc();
                if let NotLetIn::Throttled(_) = why {
                    metrics.logins_throttled.inc();
                }
                let refusal = refusal(why);
                tracing::info!(session = self.id.0, peer = %self.peer, code = refusal.code(), "login refused");
                self.mysql.reject_login(&refusal);
                self.eof = true;
                return Step::Continue(());
            }
        };
        self.mysql.accept_login();
        self.forget_prepared();
        // Logging in again does not move the end.
        let end = self
            .health_check_ends
            .unwrap_or_else(|| self.end_of_health_check());
        (self.dev, self.health_check_ends) = match login {
            Login::Tenant(dev) => (dev, None),
            Login::HealthCheck => (DevId::default(), Some(end)),
        };
        if login == Login::HealthCheck && !self.logged_in {
            // No password was needed: it keeps its place among those that are not logged in, and the core hears nothing.
            return Step::Continue(());
        }
        self.events.push(Event::SessionOpened {
            session: self.id,
            login,
            database,
        });
        if std::mem::replace(&mut self.logged_in, true) {
            Step::Continue(())
        } else {
            Step::Break(End::LoggedIn)
        }
    }

    /// There is no memory for one more session.
    fn turn_away(&mut self) -> Step {
        self.shard.shared.metrics.turned_away("session");
        self.mysql
            .reject_login(&ErrorPacket::new(1040, b"08004", "Too many connections"));
        self.eof = true;
        Step::Continue(())
    }

    /// What it takes counts from now on: the next one may come before this one is answered.
    fn prepare(&mut self, text: &[u8]) {
        let shared = &self.shard.shared;
        let memory = &shared.metrics.memory;
        let (is_full, since) = (memory.is_full(), memory.times_full());
        if std::mem::replace(&mut self.full_since, since) != since {
            self.prepared_while_full = 0;
        }
        let is_much =
            text.len() > SHORT_STATEMENT_BYTES || self.prepared_while_full > PREPARED_WHILE_FULL_MAX;
        let prepared = if is_full && is_much {
            shared.metrics.turned_away("preparation");
            Err(ErrorCode::Full.into())
        } else {
            cometql::prepare(text, &shared.limits)
        };
        match &prepared {
            Ok(prepared) => {
                self.prepared_bytes += prepared.memory();
                self.prepared_while_full += if is_full { prepared.memory() } else { 0 };
            }
            Err(error) => shared.metrics.query_error(error.code),
        }
        self.slots.push_back(Slot::Prepared(prepared));
    }

    /// A statement is closed, or was never told the client. One from before gives room, too.
    fn not_prepared(&mut self, bytes: usize) {
        self.prepared_bytes -= bytes;
        self.prepared_while_full = self.prepared_while_full.saturating_sub(bytes);
    }

    fn forget_prepared(&mut self) {
        self.prepared.clear();
        self.prepared_bytes = 0;
        self.prepared_while_full = 0;
    }

    fn end_of_health_check(&self) -> Mono {
        let shared = &self.shard.shared;
        let port = shared.cometql.as_ref();
        let limit_ms = port.map(|port| port.handshake_timeout_ms);
        shared.clock.mono().plus_ms(limit_ms.unwrap_or(0))
    }

    fn query(&mut self, mut statement: Result<Statement, QueryError>) {
        statement::complete(&mut statement, &mut self.dev);
        self.barrier = matches!(statement, Ok(Statement::Select(_) | Statement::Explain { .. }));
        self.ask_core(statement, Slot::Waiting);
    }

    fn ask_core(&mut self, statement: Result<Statement, QueryError>, slot: Slot) {
        let req = RequestId(self.first + self.slots.len() as u64);
        self.slots.push_back(slot);
        self.events.push(Event::Query {
            session: self.id,
            req,
            statement,
        });
    }

    fn open(&self) {
        self.shard.register_session(self.id, self.mailbox.clone());
        self.shard.shared.metrics.sessions.inc();
        self.shard.shared.metrics.sessions_opened.inc();
    }

    async fn close(mut self) {
        self.shard.forget_session(self.id);
        self.shard.shared.metrics.sessions.dec();
        self.events.push(Event::SessionClosed { session: self.id });
        let events = std::mem::take(&mut self.events);
        // The core may have stopped before; then nobody counts any more.
        let _ = self.shard.shared.events.send(events, |_| {}).await;
        self.last_words().await;
    }
}
