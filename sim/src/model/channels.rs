//! Channel messages: to every subscriber as of acceptance, in order, not to the sender, kept as protocol.md 6 says.

use comet_core::{ConnId, OpId, Record, Removal};

use super::facts::Kept;
use super::sends::{Identity, Published};
use super::{Model, Out};
use crate::backend::Ask;
use crate::browser::Version;
use crate::names::view;
use crate::seen::Seen;

/// A message on its way into a channel.
pub(super) struct Publication<'a> {
    pub dev: u32,
    pub channel: &'a str,
    pub event: &'a str,
    pub body: &'a str,
    /// The sender: `None` for CometQL, else the user, 0 = anonymous.
    pub sender: Option<u32>,
    pub except: Option<ConnId>,
    /// What makes its id.
    pub identity: Option<&'a Identity>,
}

/// The newest record of a statement or command among the outputs of its step.
pub(super) fn newest_record(outs: &[Out]) -> Option<OpId> {
    outs.iter().rev().find_map(|out| match out {
        Out::Record {
            record:
                Record::UserOnline { .. }
                | Record::UserOffline { .. }
                | Record::MessagesRemoved {
                    why: Removal::Paid | Removal::Expired,
                    ..
                },
            ..
        } => None,
        Out::Record { op, .. } => Some(*op),
        Out::Frame { .. }
        | Out::Probe { .. }
        | Out::Close { .. }
        | Out::Reply { .. }
        | Out::CloseSession { .. }
        | Out::Ready(_)
        | Out::Room(_) => None,
    })
}

/// What only time removes, whichever event it was that let it pass.
fn is_expiry(out: &Out) -> bool {
    matches!(
        out,
        Out::Record {
            record: Record::MessagesRemoved {
                why: Removal::Expired,
                ..
            },
            ..
        }
    )
}

impl Model {
    /// The newest record of all, those of this step included.
    pub(super) fn newest(&self, outs: &[Out]) -> OpId {
        let ops = outs.iter().filter_map(|out| {
            let Out::Record { op, .. } = out else {
                return None;
            };
            Some(*op)
        });
        ops.fold(self.last_op, OpId::max)
    }

    /// The record that has to be safe before this statement may be answered OK: its own, or, if it made none, all by
    /// which there may be nothing left for it to do.
    pub(super) fn waits_for(&self, dev: u32, ask: &Ask, outs: &[Out]) -> Option<OpId> {
        if !ask.writes() {
            return None;
        }
        newest_record(outs).or_else(|| {
            let is_unsafe = if matches!(ask, Ask::Publish(_)) {
                self.unsafe_end(dev).is_some()
            } else {
                self.last_op > self.persisted || outs.iter().any(is_expiry)
            };
            is_unsafe.then(|| self.newest(outs))
        })
    }

    /// The record by which a channel of the tenant stopped to keep messages, if it is not safe yet.
    pub(super) fn unsafe_end(&self, dev: u32) -> Option<OpId> {
        let ended = self.history_ended.get(&dev).copied();
        ended.filter(|op| *op > self.persisted)
    }

    /// True if a statement may be refused because the disk fails.
    pub(super) fn needs_disk(&self, dev: u32, ask: &Ask) -> bool {
        if let Ask::Publish(rows) = ask {
            let kept = rows.iter().any(|row| self.told.length(dev, &row.channel) > 0);
            return kept || self.unsafe_end(dev).is_some();
        }
        ask.writes()
    }

    /// Notes the records by which a tenant's channels stop to keep messages.
    pub(super) fn note_end_of_history(&mut self, op: OpId, record: &Record) {
        if let Record::HistorySettingDeleted { dev, channel } | Record::HistoryLengthSet { dev, channel, .. } =
            record
            && self.written.length(dev.0, channel.as_str()) == 0
        {
            self.history_ended.insert(dev.0, op);
        }
    }

    /// Delivers and keeps a message.
    pub(super) fn publish(&mut self, message: &Publication<'_>) -> Published {
        let time = self.unix / 1000;
        let mut receivers = self.subscribers(message.dev, message.channel);
        receivers.retain(|conn| Some(*conn) != message.except);
        let kept = self.told.length(message.dev, message.channel) > 0;
        let (op, id) = if kept {
            self.appended(message.identity)
        } else {
            (None, message.identity.map(|identity| self.name(identity)))
        };
        for &conn in &receivers {
            let exact = self.conn(conn).is_some_and(|conn| conn.version == Version::V5);
            let seen = Seen::Message {
                pipe: message.channel.to_owned(),
                event: message.event.to_owned(),
                view: view(message.body),
                user: message.sender.map(u64::from),
                id: id.clone().filter(|_| exact),
                time,
            };
            self.want(conn, seen);
        }
        if kept {
            self.told.history.push(Kept {
                seq: 0,
                dev: message.dev,
                channel: message.channel.to_owned(),
                event: message.event.to_owned(),
                body: message.body.to_owned(),
                sender: message.sender.unwrap_or(0),
                time,
                id: id.clone().unwrap_or_default(),
                op,
            });
            self.told.trim(message.dev, message.channel);
        }
        Published {
            count: receivers.len() as u64,
            id,
            op,
        }
    }

    /// The record and the id of the next message that went into a history in this step.
    fn appended(&mut self, identity: Option<&Identity>) -> (Option<OpId>, Option<String>) {
        let (op, id) = self.appended.pop_front().unzip();
        let Some(identity) = identity else {
            if let Some(id) = &id {
                self.new_id(id);
            }
            return (op, id);
        };
        let named = self.name(identity);
        if id.as_ref().is_some_and(|id| *id != named) {
            self.complain(format!("{identity:?} has the id {id:?} instead of {named}"));
        }
        (op, Some(named))
    }
}
