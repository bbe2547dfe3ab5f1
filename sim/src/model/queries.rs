//! What a statement does and what it is answered (protocol.md 7).

use comet_core::cometql::{Cell, Rows};
use comet_core::{Answer, Record};

use super::channels::Publication;
use super::delivery::tells;
use super::facts::{get, set, unset};
use super::sessions::closes;
use super::{Due, Expected, Failure, Model, Out, wrong};
use crate::backend::{Ask, Look, NewMessage};
use crate::profile::Knob;

/// An OK with these counts.
pub(super) const fn done(affected: u64, insert: u64) -> Expected {
    Expected::Done {
        affected: Some(affected),
        insert: Some(insert),
        delivered: None,
    }
}

impl Model {
    /// A session sent a statement.
    pub(super) fn query(&mut self, session: u64, req: u64, ask: &Ask, outs: &[Out]) {
        let refused = |out: &Out| matches!(out, Out::Reply { req: r, reply: Err(500), .. } if *r == req);
        let mut due = Due {
            session,
            req,
            expected: Expected::Error(500),
            op: None,
            messages: vec![],
            may_fail: false,
        };
        let Some(at) = self.sessions.iter().position(|known| known.id == session) else {
            due.expected = Expected::Error(403);
            self.due.push(due);
            return;
        };
        let dev = self.sessions[at].dev;
        if self.sessions[at].is_health_check {
            due.expected = Expected::Error(403);
        } else if !self.sessions[at].is_admitted {
            due.expected = Expected::Error(1203);
            if !closes(outs, session) {
                self.trouble = wrong::<()>("session", format!("{session} has no place and stays")).err();
            }
        } else if self.is_statement_too_fast(dev, ask) {
            due.expected = Expected::Error(429);
        } else if self.is_too_long(ask) {
            due.expected = Expected::Error(11);
        } else if !(self.failing && self.needs_disk(dev, ask) && outs.iter().any(refused)) {
            due.expected = if self.is_over_quota(dev, ask) {
                Expected::Error(1226)
            } else if self.no_room_for(dev, ask) {
                Expected::Error(1114)
            } else if let Ask::Look(look) = ask {
                Expected::Rows(self.look(dev, look))
            } else if let Ask::Console(console) = ask {
                self.console(&self.sessions[at], *console)
            } else if let Ask::Use { dev: to } = ask
                && *to != dev
                && self.is_over_sessions(*to)
            {
                Expected::Error(1203)
            } else if let Ask::Use { dev } = ask {
                self.sessions[at].dev = *dev;
                self.sessions[at].database = format!("db_{dev}");
                done(0, 0)
            } else if let Ask::Delivery { ids, words } = ask {
                let (ids, words) = (ids.clone(), *words);
                Expected::Delivery { dev, ids, words }
            } else if let Ask::DeliveryOf { channel, user } = ask {
                let (channel, user) = (channel.clone(), *user);
                Expected::DeliveryOf { dev, channel, user }
            } else if let Ask::Wrong { code, .. } = ask {
                Expected::Error(*code)
            } else {
                let expected = self.write(dev, ask, outs, &mut due.messages);
                if let (Ask::Private(_) | Ask::Publish(_), Expected::Done { .. }) = (ask, &expected) {
                    self.sessions[at].last_message = self.last_message(dev, ask, outs);
                }
                expected
            };
            due.op = self.waits_for(dev, ask, outs);
        }
        self.due.push(due);
    }

    /// The id of the newest message of an INSERT. One that nobody keeps has none.
    fn last_message(&self, dev: u32, ask: &Ask, outs: &[Out]) -> String {
        if let Ask::Publish(rows) = ask
            && rows
                .last()
                .is_none_or(|row| self.told.length(dev, &row.channel) == 0)
        {
            return String::new();
        }
        let id = |out: &Out| {
            let Out::Record { record, .. } = out else {
                return None;
            };
            if let Record::MessageQueued { message, .. } = record {
                return Some(message.id.to_string());
            }
            let Record::HistoryAppended { message, .. } = record else {
                return None;
            };
            Some(message.id.to_string())
        };
        outs.iter().rev().find_map(id).unwrap_or_default()
    }

    fn write(&mut self, dev: u32, ask: &Ask, outs: &[Out], messages: &mut Vec<u64>) -> Expected {
        match ask {
            Ask::Private(rows) => self.insert_private(dev, rows, messages),
            Ask::Publish(rows) => self.insert_messages(dev, rows),
            Ask::SetKey { user, hash } => {
                set(&mut self.told.keys, dev, *user, hash.clone());
                done(1, u64::from(*user))
            }
            Ask::DelKey { user } => {
                let rows = unset(&mut self.told.keys, dev, user);
                if rows > 0 || closes_somebody(outs) {
                    self.kick(dev, *user, outs);
                }
                done(rows, 0)
            }
            Ask::SetData { user, data } => {
                set(&mut self.told.data, dev, *user, data.clone());
                done(1, u64::from(*user))
            }
            Ask::DelData { user } => done(unset(&mut self.told.data, dev, user), 0),
            Ask::SetLength { channel, length } => {
                set(&mut self.told.lengths, dev, channel.clone(), (*length).min(99));
                self.told.trim(dev, channel);
                done(1, 0)
            }
            Ask::DelLength { channel } => self.delete_length(dev, channel, outs),
            Ask::DelHistory { channel } => {
                self.told
                    .history
                    .retain(|kept| !(kept.dev == dev && kept.channel == *channel));
                Expected::Done {
                    affected: None,
                    insert: Some(0),
                    delivered: None,
                }
            }
            Ask::DelMessage { id, .. } => {
                let before = self.told.history.len();
                self.told
                    .history
                    .retain(|kept| !(kept.dev == dev && kept.id == *id));
                done((before - self.told.history.len()) as u64, 0)
            }
            Ask::DelQueue { user } => {
                let of = |queued: &&super::facts::Queued| queued.dev == dev && queued.user == *user;
                let rows = self.written.queue.iter().filter(of).count() as u64;
                self.emptied = Some((dev, *user));
                done(rows, 0)
            }
            Ask::Revoke { token } => {
                self.revoke(dev, token, outs);
                done(1, 1)
            }
            Ask::Restore { token } => {
                let before = self.told.revoked.len();
                self.told.revoked.retain(|(d, t)| !(*d == dev && t == token));
                done((before - self.told.revoked.len()) as u64, 0)
            }
            Ask::Look(_)
            | Ask::Delivery { .. }
            | Ask::DeliveryOf { .. }
            | Ask::Console(_)
            | Ask::Use { .. }
            | Ask::Begin
            | Ask::End
            | Ask::Wrong { .. } => done(0, 0),
        }
    }

    fn delete_length(&mut self, dev: u32, channel: &String, outs: &[Out]) -> Expected {
        let rows = unset(&mut self.told.lengths, dev, channel);
        let deleted = |out: &Out| {
            matches!(
                out,
                Out::Record {
                    record: Record::HistorySettingDeleted { .. },
                    ..
                }
            )
        };
        if rows > 0 || outs.iter().any(deleted) {
            self.told
                .history
                .retain(|kept| !(kept.dev == dev && kept.channel == *channel));
        }
        done(rows, 0)
    }

    /// A text in it is longer than the server takes.
    fn is_too_long(&self, ask: &Ask) -> bool {
        let max = self.profile.get(Knob::BodyMax) as usize;
        match ask {
            Ask::Private(rows) => rows.iter().any(|row| row.body.len() > max),
            Ask::Publish(rows) => rows.iter().any(|row| row.body.len() > max),
            Ask::SetData { data, .. } => data.len() > max,
            Ask::SetKey { .. }
            | Ask::DelKey { .. }
            | Ask::DelData { .. }
            | Ask::SetLength { .. }
            | Ask::DelLength { .. }
            | Ask::DelHistory { .. }
            | Ask::DelMessage { .. }
            | Ask::DelQueue { .. }
            | Ask::Revoke { .. }
            | Ask::Restore { .. }
            | Ask::Look(_)
            | Ask::Delivery { .. }
            | Ask::DeliveryOf { .. }
            | Ask::Console(_)
            | Ask::Use { .. }
            | Ask::Begin
            | Ask::End
            | Ask::Wrong { .. } => false,
        }
    }

    fn revoke(&mut self, dev: u32, token: &str, outs: &[Out]) {
        let row = (dev, token.to_owned());
        if self.told.revoked.contains(&row) {
            return;
        }
        self.told.revoked.push(row);
        let known = self
            .tokens
            .iter()
            .find(|(d, _, text, _)| *d == dev && text == token);
        if let Some(&(_, user, _, expires)) = known
            && self.unix / 1000 <= expires
        {
            unset(&mut self.told.keys, dev, &user);
            self.kick(dev, user, outs);
        }
    }

    fn insert_messages(&mut self, dev: u32, rows: &[NewMessage]) -> Expected {
        let mut receivers = 0;
        for row in rows {
            let published = self.publish(&Publication {
                dev,
                channel: &row.channel,
                event: &row.event,
                body: &row.body,
                sender: None,
                except: None,
                identity: None,
            });
            receivers += published.count;
        }
        let affected = Some(rows.len() as u64);
        Expected::Done {
            affected,
            insert: Some(0),
            delivered: Some((receivers, 0)),
        }
    }

    fn look(&self, dev: u32, look: &Look) -> Vec<Vec<String>> {
        let n = |number: u64| number.to_string();
        match look {
            Look::Queue { user } => {
                let of = |queued: &&super::facts::Queued| queued.dev == dev && queued.user == *user;
                let queue = self.written.queue.iter().filter(of).enumerate();
                queue
                    .map(|(at, q)| {
                        vec![
                            n(u64::from(*user)),
                            at.to_string(),
                            q.event.clone(),
                            q.body.clone(),
                        ]
                    })
                    .collect()
            }
            Look::History { channel } => {
                let row = |(at, k): (usize, &super::facts::Kept)| {
                    let sender = n(u64::from(k.sender));
                    vec![
                        n(k.time),
                        k.channel.clone(),
                        at.to_string(),
                        k.event.clone(),
                        k.body.clone(),
                        sender,
                    ]
                };
                self.told.history_of(dev, channel).enumerate().map(row).collect()
            }
            Look::Times { users } => {
                let time =
                    |user: &u32| get(&self.told.times, dev, user).map_or_else(|| "-1".to_owned(), |t| n(*t));
                users
                    .iter()
                    .map(|user| vec![user.to_string(), time(user)])
                    .collect()
            }
            Look::Counts { channels } => {
                let count = |channel: &String| n(self.subscribers(dev, channel).len() as u64);
                channels
                    .iter()
                    .map(|channel| vec![channel.clone(), count(channel)])
                    .collect()
            }
            Look::Members { channel } => self
                .members(dev, channel)
                .into_iter()
                .map(|(user, uuid)| vec![n(user), uuid])
                .collect(),
            Look::Key { user } => get(&self.told.keys, dev, user)
                .map(|hash| vec![hash.clone()])
                .into_iter()
                .collect(),
            Look::Data { user } => get(&self.told.data, dev, user)
                .map(|data| vec![user.to_string(), data.clone()])
                .into_iter()
                .collect(),
            Look::Length { channel } => {
                let row =
                    get(&self.told.lengths, dev, channel).map(|length| vec![channel.clone(), n(*length)]);
                row.into_iter().collect()
            }
        }
    }

    /// A statement was answered.
    pub(super) fn reply(
        &mut self,
        session: u64,
        req: u64,
        reply: &Result<Answer, u16>,
    ) -> Result<(), Failure> {
        let Some(at) = self
            .due
            .iter()
            .position(|due| due.session == session && due.req == req)
        else {
            return wrong(
                "reply",
                format!("statement {req} of session {session} is answered twice: {reply:?}"),
            );
        };
        let due = self.due.swap_remove(at);
        self.compared += 1;
        if reply.as_ref().is_err_and(|code| *code == 500) && due.may_fail {
            self.untold.extend(due.op.map(|op| (op, due.messages)));
            return Ok(());
        }
        let fits = match (&due.expected, reply) {
            (Expected::Error(code), Err(seen)) => code == seen,
            (
                Expected::Done {
                    affected,
                    insert,
                    delivered,
                },
                Ok(Answer::Done(seen)),
            ) => {
                let told = seen.delivered.map(|told| (told.connections, told.queued));
                affected.is_none_or(|affected| affected == seen.affected)
                    && insert.is_none_or(|insert| insert == seen.insert_id)
                    && *delivered == told
            }
            (Expected::Delivery { dev, ids, words }, Ok(Answer::Rows(seen))) => {
                let stories: Vec<_> = ids.iter().map(|id| self.story(*dev, id)).collect();
                if !tells(&stories, *words, seen) {
                    return wrong("delivery", format!("{seen:?} of tenant {dev}, but {stories:?}"));
                }
                true
            }
            (Expected::DeliveryOf { dev, channel, user }, Ok(Answer::Rows(seen))) => {
                self.delivery_of(*dev, channel, *user, seen)?;
                true
            }
            (Expected::DeliveryOf { dev, .. }, Err(11)) => self.is_too_much_to_tell(*dev),
            (Expected::Rows(rows), Ok(Answer::Rows(seen))) => same_rows(rows, seen),
            (Expected::Count(rows), Ok(Answer::Rows(seen))) => *rows == seen.rows.len(),
            (Expected::Named(pairs), Ok(Answer::Rows(seen))) => pairs.iter().all(|pair| has(seen, pair)),
            _ => false,
        };
        if !fits {
            return wrong(
                "answer",
                format!("expected {:?}, was answered {reply:?}", due.expected),
            );
        }
        if reply.is_ok() && due.op.is_some_and(|op| op > self.persisted) {
            return wrong("early", format!("OK before {:?} was safe: {reply:?}", due.op));
        }
        if reply.is_ok() {
            for message in self
                .private
                .iter_mut()
                .filter(|message| due.messages.contains(&message.n))
            {
                message.acknowledged = true;
            }
        }
        Ok(())
    }
}

fn closes_somebody(outs: &[Out]) -> bool {
    outs.iter().any(|out| {
        matches!(
            out,
            Out::Close {
                cause: comet_core::CloseCause::Kicked,
                ..
            }
        )
    })
}

/// One of the rows is this name with this value, or with this and another one.
fn has(rows: &Rows, (name, value): &(String, String)) -> bool {
    let is = |cell: &Cell, text: &str| matches!(cell, Cell::Text(cell) if **cell == *text);
    let row = |row: &Vec<Cell>| {
        let (a, values) = row
            .split_first()
            .map_or((None, &[][..]), |(a, values)| (Some(a), values));
        a.is_some_and(|a| is(a, name)) && values.iter().any(|b| is(b, value))
    };
    rows.rows.iter().any(row)
}

/// Rows in the expected order, or any order where the specification leaves it open (all cells are compared as text).
fn same_rows(expected: &[Vec<String>], seen: &Rows) -> bool {
    let cell = |cell: &Cell| match cell {
        Cell::Int(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
    };
    let mut seen_rows: Vec<Vec<String>> = seen
        .rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect();
    if seen.columns.iter().any(|column| &**column == "user_uuid") {
        seen_rows.sort();
    }
    let mut expected = expected.to_vec();
    if seen.columns.iter().any(|column| &**column == "user_uuid") {
        expected.sort();
    }
    expected == seen_rows
}
