//! The counters of protocol.md 8.5 and whole tables, concluded from what happened (Q85).

use comet_core::{CloseCause, ConnId};

use super::sessions::Session;
use super::{Cause, Expected, Model, Out};
use crate::console::{Console, FIXED, Fixed};
use crate::profile::Knob;
use crate::seen::Seen;

/// What a server that was started counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// When it was started.
    pub(super) started: u64,
    /// Connections that were let in.
    pub(super) opened: u64,
    /// Frames sent to pages and commands of pages, per tenant.
    pub(super) messages: Vec<u64>,
    /// Sessions that logged in.
    pub(super) logins: u64,
    /// Statements.
    pub(super) statements: u64,
    /// Events that came from a socket.
    pub(super) network: u64,
}

impl Model {
    /// Counts a step before anything is concluded from it: what a statement answers includes itself, and what timers
    /// sent before it.
    pub(super) fn count(&mut self, cause: &Cause, outs: &[Out]) {
        match cause {
            Cause::Opened(_) | Cause::Intruder { .. } | Cause::Pong { .. } | Cause::Closed { .. } => {
                self.counts.network += 1;
            }
            Cause::Command { conn, .. } => {
                if let Some(dev) = self.alive(*conn).map(|conn| conn.dev) {
                    self.counts.network += 1;
                    self.count_messages(dev, 1);
                }
            }
            Cause::SessionOpened { .. } => self.counts.network += 1,
            Cause::Query { .. } => {
                self.counts.network += 1;
                self.counts.statements += 1;
            }
            Cause::SessionClosed { .. }
            | Cause::Persisted { .. }
            | Cause::PersistFailed
            | Cause::Memory { .. }
            | Cause::Shutdown
            | Cause::Tick => {}
        }
        for out in outs {
            if let Out::Frame { to, told, .. } = out
                && !matches!(told.seen, Seen::Fatal { .. })
                && let Some(first) = to.first()
                && !is_turned_away(cause, outs, *first)
            {
                self.count_messages(self.dev_of(cause, *first), to.len() as u64);
            }
        }
    }

    fn dev_of(&self, cause: &Cause, id: ConnId) -> u32 {
        if let Cause::Opened(claim) = cause
            && claim.conn == id
        {
            return claim.dev;
        }
        self.conn(id).map_or(0, |conn| conn.dev)
    }

    fn count_messages(&mut self, dev: u32, count: u64) {
        let messages = &mut self.counts.messages;
        let at = dev as usize;
        if messages.len() <= at {
            messages.resize(at + 1, 0);
        }
        messages[at] += count;
    }

    /// The answer to a question about the server.
    pub(super) fn console(&self, session: &Session, console: Console) -> Expected {
        let dev = session.dev;
        let n = |number: u64| number.to_string();
        let (pages, sessions) = (self.living.len() as u64, self.sessions.len() as u64);
        let service =
            |name: &str, id: u64, count: u64| vec![name.to_owned(), n(id), "running".into(), n(count)];
        match console {
            Console::ProcessList => Expected::Rows(vec![
                service("frontend", 0, pages),
                service("backend", 1, sessions),
            ]),
            Console::SessionStatus => {
                let messages = self.counts.messages.get(dev as usize).copied().unwrap_or(0);
                let online = self.living().filter(|conn| conn.dev == dev).count() as u64;
                let places = self
                    .sessions
                    .iter()
                    .filter(|other| other.is_admitted && other.dev == dev);
                let sessions = places.count() as u64;
                named(&[
                    ("flag", "session".into()),
                    ("id", n(u64::from(dev))),
                    ("user_online", n(online)),
                    ("server_online", n(sessions)),
                    ("messages", n(messages)),
                ])
            }
            Console::GlobalStatus => self.global_status(pages, sessions),
            Console::Memory => {
                let online = self.living().filter(|conn| conn.dev == dev).count() as u64;
                let tokens = self.told.revoked.iter().filter(|row| row.0 == dev).count() as u64;
                named(&[("connections", n(online)), ("tokens", n(tokens))])
            }
            Console::GlobalMemory => named(&[
                ("connections", n(pages)),
                ("sessions", n(sessions)),
                ("tokens", n(self.told.revoked.len() as u64)),
                ("frames", n(self.memory.outside)),
                ("limit", n(self.profile.memory_limit())),
                ("state", self.memory.state().to_owned()),
            ]),
            Console::Database => Expected::Rows(vec![vec![session.database.clone(), n(session.id)]]),
            Console::LastMessage => Expected::Rows(vec![vec![session.last_message.clone()]]),
            Console::Fixed(at) => match FIXED[at].1 {
                Fixed::Done(affected) => super::queries::done(affected, 0),
                Fixed::Rows(count) => Expected::Count(count),
                Fixed::Error(code) => Expected::Error(code),
            },
            Console::Times | Console::Pipes | Console::Members | Console::Lengths | Console::Tokens => {
                Expected::Rows(self.whole_table(dev, console))
            }
        }
    }

    fn global_status(&self, pages: u64, sessions: u64) -> Expected {
        let n = |number: u64| number.to_string();
        let counts = &self.counts;
        let uptime = (self.now - counts.started) / 1_000_000;
        let interval = self.profile.get(Knob::Statistics) / 1000;
        named(&[
            ("flag", "global".into()),
            ("uptime", n(uptime)),
            ("uptime_in_hours", n(uptime / 3600)),
            ("frontend_stat_interval", n(interval)),
            ("frontend_online", n(pages)),
            ("frontend_messages", n(counts.messages.iter().sum())),
            ("frontend_add_client", n(counts.opened)),
            ("frontend_delete_client", n(counts.opened - pages)),
            ("backend_online", n(sessions)),
            ("backend_messages", n(counts.statements)),
            ("backend_add_client", n(counts.logins)),
            ("backend_delete_client", n(counts.logins - sessions)),
            ("network_events", n(counts.network)),
        ])
    }

    /// All rows of a table that need no key, in the order of the keys.
    fn whole_table(&self, dev: u32, console: Console) -> Vec<Vec<String>> {
        let mut channels: Vec<&String> = self
            .living()
            .filter(|conn| conn.dev == dev)
            .flat_map(|conn| &conn.channels)
            .collect();
        channels.sort();
        channels.dedup();
        let mut rows: Vec<Vec<String>> = match console {
            Console::Times => {
                let mut times: Vec<_> = self.told.times.iter().filter(|row| row.0 == dev).collect();
                times.sort();
                times
                    .iter()
                    .map(|(_, user, time)| vec![user.to_string(), time.to_string()])
                    .collect()
            }
            Console::Pipes => channels
                .iter()
                .map(|name| vec![(*name).clone(), self.subscribers(dev, name).len().to_string()])
                .collect(),
            Console::Members => channels
                .iter()
                .flat_map(|name| {
                    let members = self.members(dev, name).into_iter();
                    members.map(|(user, uuid)| vec![(*name).clone(), user.to_string(), uuid])
                })
                .collect(),
            Console::Lengths => {
                let lengths = self.told.lengths.iter().filter(|row| row.0 == dev);
                lengths
                    .map(|(_, name, length)| vec![name.clone(), length.to_string()])
                    .collect()
            }
            Console::Tokens => {
                let tokens = self.told.revoked.iter().filter(|row| row.0 == dev);
                tokens.map(|(_, token)| vec![token.clone()]).collect()
            }
            Console::ProcessList
            | Console::SessionStatus
            | Console::GlobalStatus
            | Console::Memory
            | Console::GlobalMemory
            | Console::Database
            | Console::LastMessage
            | Console::Fixed(_) => Vec::new(),
        };
        if matches!(console, Console::Lengths | Console::Tokens) {
            rows.sort();
        }
        rows
    }
}

/// A page that was not let in, and belongs to no tenant's figures.
fn is_turned_away(cause: &Cause, outs: &[Out], id: ConnId) -> bool {
    let ends = |out: &Out| matches!(out, Out::Close { conn, cause: CloseCause::Throttled | CloseCause::Quota } if *conn == id);
    matches!(cause, Cause::Opened(claim) if claim.conn == id) && outs.iter().any(ends)
}

/// Rows of names and values that must be among those of the answer.
fn named(pairs: &[(&str, String)]) -> Expected {
    let pairs = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Expected::Named(pairs.collect())
}
