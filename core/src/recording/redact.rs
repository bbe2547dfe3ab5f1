//! Takes out of a recording what users said and what proves who they are, so that it can be given away, and still every
//! decision of the core comes out as it did.
//!
//! * Messages and user data become texts of the same shape (`text`).
//! * Keys become other keys of the same length: the same key always the same one within a recording, without a way back.
//! * JWTs that are valid for their tenant become tokens with the same user and end, signed with a password that is known;
//!   others are treated as keys.
//! * The password becomes that known one.
//!
//! Who, when, to whom, in which channel, how long: that stays, as do user agents, addresses and the names of databases. A
//! statement whose WHERE looks into redacted texts may find other rows in a replay.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::read::{Entries, Part};
use super::text::stand_in;
use super::{Scribe, answer};
use crate::cometql::{Cell, Delete, Expr, Insert, Keys, Select, Statement, Table};
use crate::engine::{CheckpointError, Core, jwt};
use crate::event::{Event, Login};
use crate::id::{DevId, SessionId};
use crate::name::{AuthHash, Body, Secret, Token};
use crate::wire::{ClientRequest, Hello};

/// The password of a redacted recording.
const PASSWORD: &str = "redacted";

/// Knows what has to be the same throughout a recording.
pub struct Redactor {
    key: [u8; 32],
    password: Secret,
    /// Whose tokens a session's statements name.
    sessions: BTreeMap<SessionId, DevId>,
    read: Entries,
    scribe: Scribe,
}

impl core::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// `key` is chance, and kept nowhere.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            password: Secret::new(""),
            sessions: BTreeMap::new(),
            read: Entries::default(),
            scribe: Scribe::default(),
        }
    }

    /// The checkpoint a segment begins with.
    ///
    /// # Errors
    /// It is none of this program.
    pub fn checkpoint(&mut self, checkpoint: &[u8]) -> Result<Vec<u8>, CheckpointError> {
        let mut core = Core::restore(checkpoint)?;
        self.password = core.replace_password(Secret::new(PASSWORD));
        self.sessions = core.session_tenants();
        core.replace_texts(self);
        self.read = Entries::default();
        self.scribe = Scribe::default();
        let mut out = Vec::new();
        core.checkpoint(&mut out);
        Ok(out)
    }

    /// The entries that follow it, so many as there are. `None` if they are none.
    pub fn entries(&mut self, entries: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(entries.len());
        let mut rest = entries;
        while !rest.is_empty() {
            match self.read.next(&mut rest)? {
                Part::Event(now, mut event) => {
                    self.event(&mut event);
                    self.scribe.event(now, &event, &mut out);
                }
                Part::Answer(digests) => answer(&digests, &mut out),
            }
        }
        Some(out)
    }

    fn event(&mut self, event: &mut Event) {
        match event {
            Event::Opened { hello: Ok(hello), .. } => self.hello(hello),
            Event::Request { command, .. } => {
                if let Ok(ClientRequest::Send(send)) = &mut command.request {
                    self.body(&mut send.body);
                }
            }
            Event::SessionOpened { session, login, .. } => {
                let dev = match login {
                    Login::Tenant(dev) => *dev,
                    Login::HealthCheck => DevId::default(),
                };
                self.sessions.insert(*session, dev);
            }
            Event::Query {
                session,
                statement: Ok(statement),
                ..
            } => self.statement(*session, statement),
            Event::SessionClosed { session } => {
                self.sessions.remove(session);
            }
            Event::Opened { hello: Err(_), .. }
            | Event::Query {
                statement: Err(_), ..
            }
            | Event::ProbeAnswered { .. }
            | Event::Closed { .. }
            | Event::Persisted { .. }
            | Event::PersistFailed { .. }
            | Event::Memory(_)
            | Event::Shutdown
            | Event::Tick => {}
        }
    }

    fn hello(&self, hello: &mut Hello) {
        if let Some(key) = &mut hello.key {
            self.token(hello.dev, key);
        }
    }

    fn statement(&mut self, session: SessionId, statement: &mut Statement) {
        let dev = self.sessions.get(&session).copied().unwrap_or_default();
        match statement {
            Statement::Use { dev: Some(dev), .. } => {
                self.sessions.insert(session, *dev);
            }
            Statement::Insert(insert) => self.insert(dev, insert),
            Statement::Select(Select {
                table, keys, filter, ..
            })
            | Statement::Delete(Delete {
                table, keys, filter, ..
            }) => {
                if let Keys::Tokens(tokens) = keys {
                    tokens.iter_mut().for_each(|token| self.token(dev, token));
                }
                if let Some(filter) = filter {
                    self.condition(dev, *table, filter);
                }
            }
            Statement::Nothing
            | Statement::Begin
            | Statement::End
            | Statement::Use { dev: None, .. }
            | Statement::Constants { .. }
            | Statement::Show(_)
            | Statement::ShowHost { .. }
            | Statement::Explain { .. }
            | Statement::EmptySet { .. } => {}
        }
    }

    fn insert(&self, dev: DevId, insert: &mut Insert) {
        match insert {
            Insert::UsersAuth(rows) => rows.iter_mut().for_each(|row| self.hash(&mut row.hash)),
            Insert::UsersData(rows) => rows.iter_mut().for_each(|row| self.body(&mut row.data)),
            Insert::UsersMessages(rows) => rows.iter_mut().for_each(|row| self.body(&mut row.body)),
            Insert::PipesMessages(rows) => rows.iter_mut().for_each(|row| self.body(&mut row.body)),
            Insert::RevokedTokens(tokens) => tokens.iter_mut().for_each(|token| self.token(dev, token)),
            Insert::PipesSettings(_) | Insert::Conference => {}
        }
    }

    fn condition(&self, dev: DevId, table: Table, expr: &mut Expr) {
        let is = |column: u8, names: [&str; 2]| {
            let column = table.columns().get(usize::from(column));
            column.is_some_and(|column| names.contains(&column.name))
        };
        let text = |column: u8, text: &mut Arc<str>| {
            if is(column, ["hash", "token"]) {
                *text = self.secret(dev, text).into();
            } else if is(column, ["data", "message"]) {
                *text = stand_in(text).into();
            }
        };
        let cell = |column: u8, cell: &mut Cell| match cell {
            Cell::Text(value) => text(column, value),
            Cell::Int(_) => {}
        };
        match expr {
            Expr::And(all) | Expr::Or(all) => {
                all.iter_mut().for_each(|expr| self.condition(dev, table, expr));
            }
            Expr::Not(expr) => self.condition(dev, table, expr),
            Expr::Compare { column, value, .. } => cell(*column, value),
            Expr::In { column, values, .. } => {
                values.iter_mut().for_each(|value| cell(*column, value));
                values.sort();
                values.dedup();
            }
            Expr::Between {
                column, low, high, ..
            } => {
                cell(*column, low);
                cell(*column, high);
            }
            Expr::Like { column, pattern, .. } => {
                if is(*column, ["hash", "token"]) || is(*column, ["data", "message"]) {
                    *pattern = stand_in(pattern).into();
                }
            }
            Expr::IsNull { .. } => {}
        }
    }

    /// A message or user data.
    pub(crate) fn body(&self, body: &mut Body) {
        *body = Body::new(&stand_in(body.as_str()));
    }

    /// A key of `users_auth`.
    pub(crate) fn hash(&self, hash: &mut AuthHash) {
        *hash = AuthHash::parse(&self.keyed(hash.reveal()))
            .expect("a stand-in has the length and the alphabet of keys");
    }

    /// A token, or a key that might be one.
    pub(crate) fn token(&self, dev: DevId, token: &mut Token) {
        *token = Token::parse(&self.secret(dev, token.reveal())).expect("a stand-in is as long as the token");
    }

    fn secret(&self, dev: DevId, text: &str) -> String {
        let keyed = self.keyed(text);
        jwt::resigned(text, &self.password, &Secret::new(PASSWORD), dev, &keyed).unwrap_or(keyed)
    }

    /// Letters and digits in the number of the text's bytes, which only this key makes of this text.
    fn keyed(&self, text: &str) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut out = String::with_capacity(text.len());
        let mut round = 0u32;
        while out.len() < text.len() {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&self.key).expect("every key has a length that is good");
            mac.update(&round.to_le_bytes());
            mac.update(text.as_bytes());
            let bytes: Vec<u8> = mac.finalize().into_bytes().to_vec();
            let room = text.len() - out.len();
            let letters = bytes
                .iter()
                .take(room)
                .map(|byte| ALPHABET[usize::from(byte % 62)]);
            out.extend(letters.map(char::from));
            round += 1;
        }
        out
    }
}
