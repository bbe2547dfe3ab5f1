//! CometQL sessions and their statements (protocol.md 7). Exactly one reply per statement.

use alloc::collections::BTreeMap;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Core;
use super::durability::{STORE_FAILED, Waiter};
use super::memory::SESSIONS_KEPT;
use crate::action::{Action, Answer, Done, Reply};
use crate::cometql::{self, Cell, Constant, Limit, Rows, Statement};
use crate::error::{ErrorCode, QueryError};
use crate::event::Login;
use crate::id::{DevId, MessageId, OpId, RequestId, SessionId};
use crate::state::{Category, Timer, Usage, cost, text};
use crate::time::Mono;

/// Open CometQL sessions.
pub(crate) type Sessions = BTreeMap<SessionId, Session>;

/// One CometQL session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) login: Login,
    /// The tenant of the login, or of the last `USE db_<n>`.
    pub(crate) dev: DevId,
    /// What `SELECT DATABASE()` shows.
    database: Arc<str>,
    in_transaction: bool,
    /// What `SELECT @@last_message_id` shows: the message of its last message INSERT.
    pub(super) last_message: Option<MessageId>,
    opened: Mono,
    /// False: its tenant had no room for it, and its first statement is its last; or it is a health check, which needs no
    /// password and so takes nobody's place. It is not counted.
    pub(crate) is_admitted: bool,
}

impl Session {
    /// What it takes.
    pub(super) fn usage(&self) -> Usage {
        Usage::new(1, cost::SESSION + text(self.database.len()))
    }
}

/// How a statement is answered.
pub(super) enum Outcome {
    /// At once.
    Now(Answer),
    /// When the record is on disk.
    After(OpId, Answer),
}

impl Outcome {
    /// OK, and nothing was changed.
    pub(super) fn done() -> Self {
        Self::Now(Answer::Done(Done::default()))
    }

    /// OK as soon as the last record of the statement is on disk, at once if there is none.
    pub(super) fn after(last: Option<OpId>, done: Done) -> Self {
        match last {
            Some(op) => Self::After(op, Answer::Done(done)),
            None => Self::Now(Answer::Done(done)),
        }
    }
}

impl From<Rows> for Outcome {
    fn from(rows: Rows) -> Self {
        Self::Now(Answer::Rows(rows))
    }
}

impl Core {
    /// A login, or the change of user of a known session.
    pub(super) fn session_opened(
        &mut self,
        session: SessionId,
        login: Login,
        database: Arc<str>,
        out: &mut Vec<Action>,
    ) {
        self.statistics.network_events += 1;
        let dev = match login {
            Login::Tenant(dev) => dev,
            Login::HealthCheck => DevId::default(),
        };
        let is_known = self.sessions.contains_key(&session);
        self.session_closed(session);
        if !is_known && self.is_full() && self.sessions.len() >= SESSIONS_KEPT {
            self.count_refused(1);
            return out.push(Action::CloseSession { session });
        }
        let is_admitted = login != Login::HealthCheck && self.check_sessions(dev).is_ok();
        self.tenants.entry(dev).sessions += u64::from(is_admitted);
        self.statistics.sql.accepted += 1;
        let opened = self.now.mono;
        let state = Session {
            login,
            dev,
            database,
            in_transaction: false,
            last_message: None,
            opened,
            is_admitted,
        };
        self.tenants
            .charge(dev, Category::Sessions, Usage::NONE, state.usage());
        self.sessions.insert(session, state);
    }

    /// A session is gone. Its statements in flight are answered all the same.
    pub(super) fn session_closed(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.remove(&session) {
            self.tenants.entry(state.dev).sessions -= u64::from(state.is_admitted);
            self.tenants
                .charge(state.dev, Category::Sessions, state.usage(), Usage::NONE);
            self.statistics.sql.closed += 1;
        }
    }

    /// Drops sessions older than `maxUptime` (Q51).
    pub(super) fn sweep_sessions(&mut self, out: &mut Vec<Action>) {
        let (max, every) = (
            self.config.cometql_uptime_max_ms,
            self.config.cometql_uptime_sweep_ms,
        );
        let now = self.now.mono;
        let old = self
            .sessions
            .iter()
            .filter(|(_, state)| state.opened.plus_ms(max) <= now)
            .map(|(&id, _)| id);
        for session in old.collect::<Vec<_>>() {
            out.push(Action::CloseSession { session });
            self.session_closed(session);
        }
        self.arm_period(every, Timer::SqlUptime);
    }

    /// A statement arrived.
    pub(super) fn query(
        &mut self,
        session: SessionId,
        req: RequestId,
        statement: Result<Statement, QueryError>,
        out: &mut Vec<Action>,
    ) {
        self.statistics.network_events += 1;
        self.statistics.sql.messages += 1;
        let outcome = self.run(session, statement, out);
        let in_transaction = self
            .sessions
            .get(&session)
            .is_some_and(|state| state.in_transaction);
        let reply = |result| Action::Reply {
            session,
            req,
            reply: Reply {
                result,
                in_transaction,
            },
        };
        match outcome {
            Ok(Outcome::Now(answer)) => out.push(reply(Ok(answer))),
            Ok(Outcome::After(op, answer)) => {
                let waiter = Waiter::Reply {
                    session,
                    req,
                    answer,
                    in_transaction,
                };
                let dev = self.sessions.get(&session).map(|state| state.dev);
                self.wait_for(op, dev.unwrap_or_default(), waiter);
            }
            Err(error) => {
                let of_quota = matches!(error.code, ErrorCode::TooManySessions | ErrorCode::QuotaExceeded);
                self.statistics.refused.quota += u64::from(of_quota);
                out.push(reply(Err(error)));
                // Behind the answer, so that it can still be written.
                let has_no_place = |state: &Session| !state.is_admitted && state.login != Login::HealthCheck;
                if self.sessions.get(&session).is_some_and(has_no_place) {
                    out.push(Action::CloseSession { session });
                }
            }
        }
    }

    fn run(
        &mut self,
        session: SessionId,
        statement: Result<Statement, QueryError>,
        out: &mut Vec<Action>,
    ) -> Result<Outcome, QueryError> {
        let Some(state) = self.sessions.get_mut(&session) else {
            return Err(ErrorCode::AccessDenied.into());
        };
        if state.login == Login::HealthCheck {
            return Err(ErrorCode::AccessDenied.into());
        }
        if !state.is_admitted {
            return Err(ErrorCode::TooManySessions.into());
        }
        let dev = state.dev;
        self.take_statement_turn(dev, &statement)?;
        let statement = statement?;
        self.apply_statement(session, dev, statement, out)
    }

    /// What makes no record of its own is answered behind those it was decided by, if it `waits` for them: the server may
    /// die before they are safe, and then the answer has not been given.
    fn behind(&self, waits: bool, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Now(answer) if waits => {
                // What was made since is waited for, too: it comes last in the line.
                Outcome::After(self.durability.newest(), answer)
            }
            Outcome::Now(_) | Outcome::After(..) => outcome,
        }
    }

    fn apply_statement(
        &mut self,
        session: SessionId,
        dev: DevId,
        statement: Statement,
        out: &mut Vec<Action>,
    ) -> Result<Outcome, QueryError> {
        match statement {
            Statement::Nothing => Ok(Outcome::done()),
            Statement::Begin => {
                self.set_in_transaction(session, true);
                Ok(Outcome::done())
            }
            Statement::End => {
                self.set_in_transaction(session, false);
                Ok(Outcome::done())
            }
            Statement::Use { dev, database } => {
                self.use_database(session, dev, database)?;
                Ok(Outcome::done())
            }
            Statement::Insert(insert) => {
                let waits = self.unsafe_end_of_history(dev).is_some();
                let is_healthy = self.durability.is_healthy();
                if !is_healthy && (waits || self.stores_something(dev, &insert)) {
                    return Err(STORE_FAILED);
                }
                self.check_quota(dev, &insert)?;
                self.check_room(dev, &insert)?;
                let outcome = self.insert((dev, session), insert, out)?;
                Ok(self.behind(waits, outcome))
            }
            Statement::Delete(delete) => {
                if !self.durability.is_healthy() {
                    return Err(STORE_FAILED);
                }
                // What it does not find may have been taken by any of them.
                let waits = !self.durability.is_safe(self.durability.newest());
                let outcome = self.delete((dev, session), &delete, out)?;
                Ok(self.behind(waits, outcome))
            }
            Statement::Select(select) => {
                let candidates = self.rows_of(dev, select.table, &select.keys)?;
                let rows = candidates.into_iter().map(|(_, row)| row).collect();
                Ok(cometql::select(&select, rows).into())
            }
            Statement::Constants { columns, limit } => Ok(self.constants(session, &columns, limit).into()),
            Statement::Explain { message } => Ok(self.explain(dev, message)?.into()),
            Statement::Show(show) => Ok(self.show(dev, &show).into()),
            Statement::ShowHost { scope: _, facts } => {
                Ok(pairs(facts.iter().map(|(n, v)| (&**n, v.as_str()))).into())
            }
            Statement::EmptySet { columns } => Ok(Rows {
                columns,
                rows: Vec::new(),
            }
            .into()),
        }
    }

    /// USE and COM_INIT_DB. `db_<n>` moves the session to another tenant.
    fn use_database(
        &mut self,
        session: SessionId,
        dev: Option<DevId>,
        database: Arc<str>,
    ) -> Result<(), QueryError> {
        let old = self.sessions.get(&session).map(|state| state.dev);
        if let Some(dev) = dev.filter(|&dev| old != Some(dev)) {
            self.check_sessions(dev)?;
        }
        let Some(state) = self.sessions.get_mut(&session) else {
            return Ok(());
        };
        let (from, to) = (state.dev, dev.unwrap_or(state.dev));
        let before = state.usage();
        state.database = database;
        state.dev = to;
        let after = state.usage();
        self.tenants.entry(from).sessions -= 1;
        self.tenants.entry(to).sessions += 1;
        self.tenants.charge(from, Category::Sessions, before, Usage::NONE);
        self.tenants.charge(to, Category::Sessions, Usage::NONE, after);
        Ok(())
    }

    fn set_in_transaction(&mut self, session: SessionId, on: bool) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.in_transaction = on;
        }
    }

    fn constants(&self, session: SessionId, columns: &[Constant], limit: Option<Limit>) -> Rows {
        let state = self.sessions.get(&session);
        let database = state.map(|state| state.database.clone()).unwrap_or_default();
        let last = state.and_then(|state| state.last_message);
        let last = last.map(|id| id.to_string()).unwrap_or_default();
        let (labels, row): (Vec<Arc<str>>, Vec<Cell>) = columns
            .iter()
            .map(|column| match column {
                Constant::Known { label, value } => (label.clone(), value.clone()),
                Constant::LastMessage { label } => (label.clone(), Cell::text(&last)),
                Constant::Database { label } => (label.clone(), Cell::Text(database.clone())),
                Constant::ConnectionId { label } => (
                    label.clone(),
                    Cell::Int(i64::try_from(session.0).unwrap_or(i64::MAX)),
                ),
            })
            .unzip();
        let visible = limit.is_none_or(|limit| limit.offset == 0 && limit.count > 0);
        Rows {
            columns: labels,
            rows: if visible { vec![row] } else { Vec::new() },
        }
    }
}

/// A result set of names and values.
pub(super) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Rows {
    Rows {
        columns: vec!["Variable_name".into(), "Value".into()],
        rows: pairs
            .map(|(name, value)| vec![Cell::text(name), Cell::text(value)])
            .collect(),
    }
}
