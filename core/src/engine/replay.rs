//! `pipe_log`: the stored messages of a channel to one page (protocol.md 2.6.3, S55, S56).
//!
//! A history may be larger than a send buffer. It leaves in windows, each behind the Pong of the one before, so that a
//! page of any speed gets all of it, and a page that asks and does not read costs nothing.

use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::id::{ConnId, MessageId};
use crate::name::{ChannelKind, ChannelName, Marker};
use crate::state::Reading;
use crate::wire::{self, BadReason, BadRequest, CommandNumber, Content, ErrorExtra, FrameBody};

/// Histories one page may be waiting for.
const READINGS_MAX: usize = 64;

impl Core {
    /// Each message stored now as F6, oldest first; to a numbered command its result behind them.
    pub(super) fn tell_history(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        channel: ChannelName,
        marker: Marker,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let refused = if channel.kind() == ChannelKind::Private && state.user.is_none() {
            Some(BadReason::NotAuthorized)
        } else if state.pending().replay.len() >= READINGS_MAX {
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
            return self.reject(conn, number, bad, out);
        }
        let stored = self.durable.channel(state.dev, &channel);
        let Some(upto) = stored
            .and_then(|stored| stored.history.back())
            .map(|newest| newest.seq)
        else {
            return self.end_history(conn, number, 0, out);
        };
        state.pending_mut().replay.begin(Reading {
            channel,
            marker,
            number,
            sent: 0,
            after: crate::id::Seq::START,
            upto,
        });
        self.send_history(conn, out);
    }

    /// Sends the next window of what a page asked for.
    pub(super) fn send_history(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        self.fill_history_window(conn, out);
        self.tidy(conn);
    }

    fn fill_history_window(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        let window = self.config.private_window_bytes;
        let (mut bytes, mut newest) = (0, None);
        while bytes < window {
            let Some(state) = self.conns.get_mut(conn) else {
                return;
            };
            let (dev, dialect, device) = (state.dev, state.dialect, state.device(conn));
            let replay = &mut state.pending_mut().replay;
            let waits = replay.probe.is_some();
            let Some(reading) = replay.current().filter(|_| !waits) else {
                return;
            };
            let stored = self.durable.channel(dev, &reading.channel);
            let next = stored.and_then(|stored| stored.next_after(reading.after, reading.upto));
            let Some(message) = next else {
                self.end_reading(conn, out);
                continue;
            };
            let body = FrameBody::History {
                channel: reading.channel.as_str(),
                event: message.event.as_str(),
                body: message.body.as_str(),
                sender: message.sender,
                marker: &reading.marker,
                id: message.id,
            };
            let content = Content {
                body,
                answers: reading.number,
                time: message.time,
            };
            let frame = wire::encode(&content, dialect);
            bytes += frame.bytes().len();
            newest = Some(message.id);
            let (at, seq) = (self.now.unix, message.seq);
            self.journal.note_read(at, dev, &reading.channel, &device, seq);
            reading.after = message.seq;
            reading.sent += 1;
            let complete = reading.after >= reading.upto;
            out.push(Action::Send {
                to: Recipients::One(conn),
                frame,
            });
            self.count_sent(dev, 1);
            if complete {
                self.end_reading(conn, out);
            }
        }
        self.probe_history(conn, newest, out);
    }

    /// A window is full: if there is more, it follows when this has arrived.
    fn probe_history(&mut self, conn: ConnId, newest: Option<MessageId>, out: &mut Vec<Action>) {
        let state = self.conns.get_mut(conn);
        let waiting = state.filter(|state| state.pending().replay.len() > 0);
        if let (Some(state), Some(probe)) = (waiting, newest) {
            state.pending_mut().replay.probe = Some(probe);
            out.push(Action::Probe { conn, probe });
        }
    }

    /// The history a page is reading has come to its end.
    fn end_reading(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        let state = self.conns.get_mut(conn);
        if let Some(reading) = state.and_then(|state| state.pending_mut().replay.end()) {
            self.end_history(conn, reading.number, reading.sent, out);
        }
    }

    fn end_history(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        messages: u64,
        out: &mut Vec<Action>,
    ) {
        if number.is_some() {
            self.answer(conn, number, FrameBody::HistoryEnd { messages }, out);
        }
    }
}
