//! `pipe_log`: the stored messages of a channel to one page (protocol.md 2.6.3, S55, S56).
//!
//! A history may be larger than a send buffer. It leaves in windows, each behind the Pong of the one before, so that a
//! page of any speed gets all of it, and a page that asks and does not read costs nothing.

use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::id::ConnId;
use crate::name::{ChannelKind, ChannelName, Marker};
use crate::state::Reading;
use crate::wire::{self, BadReason, BadRequest, Content, ErrorExtra, FrameBody};

/// Histories one page may be waiting for.
const READINGS_MAX: usize = 64;

impl Core {
    /// Each message stored now as F6, oldest first, no terminator.
    pub(super) fn tell_history(
        &mut self,
        conn: ConnId,
        channel: ChannelName,
        marker: Marker,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let refused = if channel.kind() == ChannelKind::Private && state.user.is_none() {
            Some(BadReason::NotAuthorized)
        } else if state.replay.readings.len() >= READINGS_MAX {
            Some(BadReason::TooManyCommands)
        } else {
            None
        };
        if let Some(reason) = refused {
            let bad = BadRequest {
                reason,
                extra: ErrorExtra::Plain,
                report_to: None,
            };
            return self.reject(conn, bad, out);
        }
        let stored = self.durable.channel(state.dev, &channel);
        let Some(upto) = stored
            .and_then(|stored| stored.history.back())
            .map(|newest| newest.seq)
        else {
            return;
        };
        state.replay.readings.push_back(Reading {
            channel,
            marker,
            after: crate::id::Seq::START,
            upto,
        });
        self.send_history(conn, out);
    }

    /// Sends the next window of what a page asked for.
    pub(super) fn send_history(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        let window = self.config.private_window_bytes;
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        if state.replay.probe.is_some() {
            return;
        }
        let (dev, dialect) = (state.dev, state.dialect);
        let (mut bytes, mut sent, mut newest) = (0, 0, None);
        while bytes < window {
            let Some(reading) = state.replay.readings.front_mut() else {
                break;
            };
            let stored = self.durable.channel(dev, &reading.channel);
            let next = stored.and_then(|stored| stored.next_after(reading.after, reading.upto));
            let Some(message) = next else {
                state.replay.readings.pop_front();
                continue;
            };
            let body = FrameBody::History {
                channel: reading.channel.as_str(),
                event: message.event.as_str(),
                body: message.body.as_str(),
                sender: message.sender,
                marker: &reading.marker,
            };
            let frame = wire::encode(
                &Content {
                    body,
                    time: message.time,
                },
                dialect,
            );
            bytes += frame.bytes().len();
            out.push(Action::Send {
                to: Recipients::One(conn),
                frame,
            });
            sent += 1;
            newest = Some(message.id);
            reading.after = message.seq;
            if reading.after >= reading.upto {
                state.replay.readings.pop_front();
            }
        }
        if let Some(probe) = newest.filter(|_| !state.replay.readings.is_empty()) {
            state.replay.probe = Some(probe);
            out.push(Action::Probe { conn, probe });
        }
        self.count_sent(dev, sent);
    }
}
