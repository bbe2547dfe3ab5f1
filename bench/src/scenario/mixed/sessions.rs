//! The CometQL sessions of the mixed load: each writes at a steady rate to channels, to users and to the tables that
//! must survive, and notes in the ledger what it sent and what was acknowledged.

use std::collections::VecDeque;

use super::ledger::{Ledger, Row, Wrote};
use super::plan::{Dice, Plan};
use crate::clock;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::net::{Id, Net};
use crate::server::Server;
use crate::sql::packet::{self, Reply};
use crate::stamp::{self, Stamp};

/// Statements under way per session; a server that falls behind slows its writers.
const DEPTH: usize = 256;

struct Session {
    id: Id,
    due: u64,
    under_way: VecDeque<(Wrote, u64)>,
}

pub(super) struct Sessions {
    sessions: Vec<Session>,
    /// Nanoseconds between two statements of a session.
    pace: u64,
    pub(super) latency: Latency,
    text: String,
}

impl Sessions {
    pub(super) fn open(net: &mut Net, server: &Server, count: usize, rate: f64) -> Result<Self, Failure> {
        let mut sessions = Vec::new();
        for _ in 0..count {
            sessions.push(Session {
                id: net.adopt(server.client()?)?,
                due: 0,
                under_way: VecDeque::new(),
            });
        }
        Ok(Self {
            sessions,
            pace: (1e9 / rate.max(0.001)) as u64,
            latency: Latency::new(),
            text: String::new(),
        })
    }

    /// Sends what is due.
    pub(super) fn write(&mut self, net: &mut Net, plan: &Plan, ledger: &mut Ledger, dice: &mut Dice) {
        let now = clock::nanos();
        for (number, session) in self.sessions.iter_mut().enumerate() {
            if session.due == 0 {
                // Spread the sessions over one interval.
                session.due = now + dice.below(self.pace);
            }
            while session.due <= now && session.under_way.len() < DEPTH {
                session.due += self.pace;
                self.text.clear();
                let wrote = statement(number, plan, ledger, dice, &mut self.text);
                net.query(session.id, &self.text);
                session.under_way.push_back((wrote, now));
            }
        }
    }

    pub(super) fn answered(&mut self, id: Id, reply: &Reply, ledger: &mut Ledger) -> Result<(), String> {
        let Some(number) = self.sessions.iter().position(|session| session.id == id) else {
            return Err("an answer on an unknown session".into());
        };
        let Some((wrote, sent)) = self.sessions[number].under_way.pop_front() else {
            return Err("an answer to nothing".into());
        };
        let affected = match wrote {
            Wrote::Channel(_) | Wrote::Row(_) => 1,
            Wrote::Private { count, .. } => u64::from(count),
        };
        if *reply != (Reply::Ok { affected }) {
            return Err(format!("{wrote:?} was answered with {reply:?}"));
        }
        self.latency.record(clock::nanos() - sent);
        ledger.acknowledged(number, wrote);
        Ok(())
    }

    pub(super) fn owns(&self, id: Id) -> bool {
        self.sessions.iter().any(|session| session.id == id)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sessions.iter().all(|session| session.under_way.is_empty())
    }
}

/// Writes one statement and notes it as sent.
fn statement(session: usize, plan: &Plan, ledger: &mut Ledger, dice: &mut Dice, text: &mut String) -> Wrote {
    match dice.below(100) {
        0..45 => {
            let channel = plan.shared_channel(dice);
            channel_statement(session, channel, plan, ledger, text)
        }
        45..55 => channel_statement(session, session, plan, ledger, text),
        55..95 => {
            let user =
                u32::try_from(dice.below(u64::from(plan.users)) + 1).expect("users are numbered in 32 bits");
            // One in ten statements carries two messages.
            let count = if dice.below(10) == 0 { 2 } else { 1 };
            text.push_str("INSERT INTO users_messages (id, event, message) VALUES ");
            for group in 0..count {
                text.push_str(if group == 0 { "(" } else { ", (" });
                text.push_str(&user.to_string());
                text.push_str(", 'mix', ");
                put_body(session, ledger.private(session, user).next(), user, text);
                text.push(')');
            }
            Wrote::Private { user, count }
        }
        other => {
            let row = match other {
                95..97 => Row::UserData,
                97..99 => Row::AuthKey,
                _ => Row::Setting,
            };
            let number = ledger.row(session, row).next();
            text.push_str(&write_row(row, session, number));
            Wrote::Row(row)
        }
    }
}

fn channel_statement(
    session: usize,
    channel: usize,
    plan: &Plan,
    ledger: &mut Ledger,
    text: &mut String,
) -> Wrote {
    text.push_str("INSERT INTO pipes_messages (name, event, message) VALUES ('");
    text.push_str(&plan.channels[channel]);
    text.push_str("', 'mix', ");
    let slot = u32::try_from(channel).expect("there are few channels");
    put_body(session, ledger.channel(channel, session).next(), slot, text);
    text.push(')');
    Wrote::Channel(channel)
}

fn put_body(session: usize, sequence: u32, slot: u32, text: &mut String) {
    let publisher = u16::try_from(session).expect("sessions are counted in 16 bits");
    packet::quoted(
        &stamp::body(Stamp {
            publisher,
            sequence,
            slot,
            nanos: clock::nanos(),
        }),
        text,
    );
}

/// The statement that writes version `number` of a session's row.
fn write_row(row: Row, session: usize, number: u32) -> String {
    let id = row_id(row, session);
    let value = row_value(row, number);
    match row {
        Row::UserData => format!("INSERT INTO users_data (id, data) VALUES ({id}, '{value}')"),
        Row::AuthKey => format!("INSERT INTO users_auth (id, hash) VALUES ({id}, '{value}')"),
        Row::Setting => format!("INSERT INTO pipes_settings (name, length) VALUES ('{id}', {value})"),
    }
}

/// The question for a session's row; its only cell is the value.
pub(super) fn ask_row(row: Row, session: usize) -> String {
    let id = row_id(row, session);
    match row {
        Row::UserData => format!("SELECT data FROM users_data WHERE id = {id}"),
        Row::AuthKey => format!("SELECT hash FROM users_auth WHERE id = {id}"),
        Row::Setting => format!("SELECT length FROM pipes_settings WHERE name = '{id}'"),
    }
}

fn row_id(row: Row, session: usize) -> String {
    match row {
        Row::UserData => format!("{}", 1_000_000 + session),
        Row::AuthKey => format!("{}", 2_000_000 + session),
        Row::Setting => format!("mix_setting_{session}"),
    }
}

pub(super) fn row_value(row: Row, number: u32) -> String {
    match row {
        Row::UserData => format!("data version {number}"),
        Row::AuthKey => format!("key_{number}"),
        Row::Setting => format!("{}", number % 99 + 1),
    }
}
