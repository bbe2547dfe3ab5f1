//! Channel messages: to every subscriber as of acceptance, in order, not to the sender, kept as protocol.md 6 says.

use comet_core::{ConnId, OpId, Record, Removal};

use super::facts::Kept;
use super::{Model, Out, Wanted};
use crate::names::view;
use crate::seen::{Extra, Seen};

/// A message on its way into a channel.
pub(super) struct Publication<'a> {
    pub dev: u32,
    pub channel: &'a str,
    pub event: &'a str,
    pub body: &'a str,
    /// The sender: `None` for CometQL, else the user, 0 = anonymous.
    pub sender: Option<u32>,
    pub except: Option<ConnId>,
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
        | Out::Ready(_) => None,
    })
}

impl Model {
    /// Delivers and keeps a message; the number of receivers.
    pub(super) fn publish(&mut self, message: &Publication<'_>) -> u64 {
        let time = self.unix / 1000;
        let mut receivers = self.subscribers(message.dev, message.channel);
        receivers.retain(|conn| Some(*conn) != message.except);
        let seen = Seen::Message {
            pipe: message.channel.to_owned(),
            event: message.event.to_owned(),
            view: view(message.body),
            user: message.sender.map(u64::from),
            time,
        };
        for conn in &receivers {
            self.want(*conn, seen.clone());
        }
        if self.told.length(message.dev, message.channel) > 0 {
            self.told.history.push(Kept {
                seq: 0,
                dev: message.dev,
                channel: message.channel.to_owned(),
                event: message.event.to_owned(),
                body: message.body.to_owned(),
                sender: message.sender.unwrap_or(0),
                time,
            });
            self.told.trim(message.dev, message.channel);
        }
        receivers.len() as u64
    }

    /// `web_pipe2` (protocol.md 2.6.2).
    pub(super) fn send(&mut self, id: ConnId, message: &Publication<'_>, anonymous: bool, outs: &[Out]) {
        let Some(conn) = self.conn(id) else { return };
        let user = conn.user;
        let channel = message.channel;
        let allowed =
            channel.starts_with("web_") || (channel.starts_with("webauth_") && !anonymous && user > 0);
        let kept = self.told.length(message.dev, channel) > 0;
        if !allowed || (self.failing && kept && refused(id, outs)) {
            self.want(id, Seen::Error { extra: Extra::Number });
            self.want(
                id,
                Seen::ErrorReport {
                    pipe: channel.to_owned(),
                },
            );
            return;
        }
        let sender = if anonymous { 0 } else { user };
        let count = self.publish(&Publication {
            sender: Some(sender),
            ..*message
        });
        let seen = Seen::Report {
            pipe: channel.to_owned(),
            count,
            body: message.body.to_owned(),
            failed: false,
        };
        let after = if kept { newest_record(outs) } else { None };
        self.wanted.push(Wanted {
            conn: id,
            seen,
            after,
            may_fail: false,
        });
    }
}

fn refused(id: ConnId, outs: &[Out]) -> bool {
    outs.iter().any(|out| match out {
        Out::Frame { to, seen, .. } => to == &[id] && matches!(**seen, Seen::Error { extra: Extra::Number }),
        Out::Probe { .. }
        | Out::Close { .. }
        | Out::Reply { .. }
        | Out::CloseSession { .. }
        | Out::Record { .. }
        | Out::Ready(_) => false,
    })
}
