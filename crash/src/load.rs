//! The load under which the real server is killed: several back ends with pipelines of different depth, and a page of
//! version 5 with its own back end, each with a book of what it sent and what it was told.

mod chat;

use std::collections::BTreeMap;
use std::io;

use comet_core::{ChannelName, DevId, Durable, UserId};
use comet_sim::prng::Prng;

pub(crate) use chat::Chat;

use crate::marks::Marks;
use crate::process::{Addresses, Ending};
use crate::sql::{Reply, Session};
use crate::statement::{Book, Holdings, Statement, USERS, channel, first_user};

/// Statements that each worker has under way at once.
pub(crate) const DEPTHS: [usize; 4] = [1, 4, 16, 50];

/// A back end.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) number: u32,
    depth: usize,
    pub(crate) book: Book,
    /// Statements of its whole life.
    pub(crate) statements: u64,
    luck: Prng,
}

/// How long a worker goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// The server is gone.
    Gone,
    /// So many statements were sent.
    Count(usize),
}

impl Worker {
    pub(crate) fn all(seed: u64) -> Vec<Self> {
        let worker = |(number, depth)| Self {
            number,
            depth,
            book: Book::default(),
            statements: 0,
            luck: Prng::keyed(seed, 100 + u64::from(number)),
        };
        (0..).zip(DEPTHS).map(worker).collect()
    }

    /// Sends statements until the server is gone, or there were enough. An error is a finding.
    pub(crate) fn work(
        &mut self,
        to: Addresses,
        until: Until,
        ending: &Ending,
        marks: Option<&Marks>,
    ) -> Result<(), String> {
        let mut session = match Session::connect(to.sql) {
            Ok(session) => session,
            Err(error) => return ending.explains(&error),
        };
        loop {
            let left = match until {
                Until::Gone => self.depth,
                Until::Count(count) => self.depth.min(count.saturating_sub(self.book.sent.len())),
            };
            if left == 0 {
                return Ok(());
            }
            let statements: Vec<Statement> = (0..left).map(|_| self.statement()).collect();
            let texts: Vec<String> = statements.iter().map(Statement::sql).collect();
            self.book.sent.extend(statements);
            if let Some(marks) = marks {
                marks.sent(self.number, self.book.sent.len())?;
            }
            if let Err(error) = session.send(&texts) {
                return ending.explains(&error);
            }
            for text in &texts {
                match session.reply() {
                    Ok(Reply::Ok) => self.book.acknowledged += 1,
                    // A server that is stopping may refuse what it cannot store any more.
                    Ok(Reply::Refused(500)) if ending.has_begun() => return Ok(()),
                    Err(error) => return ending.explains(&error),
                    Ok(reply) => return Err(format!("{text}: {reply:?}")),
                }
                if let Some(marks) = marks {
                    marks.acknowledged(self.number, self.book.acknowledged)?;
                }
            }
        }
    }

    fn statement(&mut self) -> Statement {
        self.statements += 1;
        Statement::drawn(self.number, self.statements, &mut self.luck)
    }

    /// Compares the book with what the server says.
    pub(crate) fn check(&mut self, session: &mut Session) -> Result<(), String> {
        let found = ask(session, self.number).map_err(|error| format!("asking failed: {error}"))?;
        self.book
            .check(found)
            .map_err(|finding| format!("worker {}: {finding}", self.number))
    }
}

fn users(worker: u32) -> std::ops::Range<u32> {
    first_user(worker)..first_user(worker) + USERS
}

fn channels(worker: u32) -> Vec<String> {
    (0..3).map(|number| channel(worker, number)).collect()
}

/// What the server holds of a worker.
fn ask(session: &mut Session, worker: u32) -> io::Result<Holdings> {
    let users: Vec<String> = users(worker).map(|user| user.to_string()).collect();
    let users = users.join(", ");
    let names: Vec<String> = channels(worker).iter().map(|name| format!("'{name}'")).collect();
    let names = names.join(", ");
    let mut pairs = |statement: String| -> io::Result<Vec<(String, String)>> {
        let rows = session.rows(statement)?;
        let pair = |row: Vec<String>| Some((row.first()?.clone(), row.get(1).cloned().unwrap_or_default()));
        Ok(rows.into_iter().filter_map(pair).collect())
    };
    let by_user = |rows: Vec<(String, String)>| -> Vec<(u32, String)> {
        let parse = |(user, text): (String, String)| Some((user.parse().ok()?, text));
        rows.into_iter().filter_map(parse).collect()
    };
    let keys = pairs(format!("SELECT id, hash FROM users_auth WHERE id IN ({users})"))?;
    let data = pairs(format!("SELECT id, data FROM users_data WHERE id IN ({users})"))?;
    let queued = pairs(format!(
        "SELECT id, message FROM users_messages WHERE id IN ({users})"
    ))?;
    let lengths = pairs(format!(
        "SELECT name, length FROM pipes_settings WHERE name IN ({names})"
    ))?;
    let stored = pairs(format!(
        "SELECT name, message FROM pipes_messages WHERE name IN ({names})"
    ))?;
    let tokens = pairs("SELECT token FROM revoked_tokens".to_owned())?;
    let ours = format!("token_w{worker}_");
    let length = |(name, length): (String, String)| Some((name, length.parse().ok()?));
    Ok(Holdings {
        keys: by_user(keys).into_iter().collect(),
        data: by_user(data).into_iter().collect(),
        queues: lists(by_user(queued)),
        lengths: lengths.into_iter().filter_map(length).collect(),
        histories: lists(stored),
        tokens: tokens
            .into_iter()
            .map(|(token, _)| token)
            .filter(|token| token.starts_with(&ours))
            .collect(),
    })
}

fn lists<K: Ord>(rows: Vec<(K, String)>) -> BTreeMap<K, Vec<String>> {
    let mut lists: BTreeMap<K, Vec<String>> = BTreeMap::new();
    for (key, text) in rows {
        lists.entry(key).or_default().push(text);
    }
    lists
}

/// The same from a store that was opened without a server.
pub(crate) fn holdings(found: &Durable, worker: u32) -> Holdings {
    let mut holdings = Holdings::default();
    let dev = DevId(0);
    for number in users(worker) {
        let Some(user) = UserId::new(number).and_then(|user| found.user(dev, user)) else {
            continue;
        };
        if let Some(hash) = &user.hash {
            holdings.keys.insert(number, hash.reveal().to_owned());
        }
        if let Some(data) = &user.data {
            holdings.data.insert(number, data.as_str().to_owned());
        }
        if !user.queue.is_empty() {
            let texts = user.queue.iter().map(|message| message.body.as_str().to_owned());
            holdings.queues.insert(number, texts.collect());
        }
    }
    for name in channels(worker) {
        let Some(channel) = ChannelName::from_cometql(&name)
            .ok()
            .and_then(|name| found.channel(dev, &name))
        else {
            continue;
        };
        if let Some(length) = channel.setting {
            holdings.lengths.insert(name.clone(), usize::from(length.get()));
        }
        if !channel.history.is_empty() {
            let texts = channel
                .history
                .iter()
                .map(|message| message.body.as_str().to_owned());
            holdings.histories.insert(name, texts.collect());
        }
    }
    let ours = format!("token_w{worker}_");
    let tokens = found
        .tenant(dev)
        .into_iter()
        .flat_map(|tenant| tenant.revoked.keys());
    let tokens = tokens.map(|token| token.reveal().to_owned());
    holdings.tokens = tokens.filter(|token| token.starts_with(&ours)).collect();
    holdings
}
