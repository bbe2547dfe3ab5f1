//! What browsers ask and send (protocol.md 2.6, protocol-v5.md 1).

use alloc::vec::Vec;

use super::Core;
use crate::action::Action;
use crate::id::{ConnId, DevId, UserId};
use crate::name::{ChannelName, ClientUuid, Marker};
use crate::state::LastSeen;
use crate::wire::{
    BadReason, BadRequest, ClientRequest, Command, CommandNumber, Dialect, ErrorExtra, FrameBody,
    SubscribeMode,
};

/// A command that asks for nothing more than its answer.
struct Asked {
    conn: ConnId,
    number: Option<CommandNumber>,
    dev: DevId,
}

impl Core {
    /// A command arrived. Whatever is wrong with it, the connection stays open (Q18).
    pub(super) fn request(&mut self, conn: ConnId, command: Command, out: &mut Vec<Action>) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, user, dialect) = (state.dev, state.user, state.dialect);
        self.count_command(dev);
        let Command { number, request } = command;
        // For the older dialects neither numbers nor the new words exist.
        let known = dialect == Dialect::V5 || is_old(number, &request);
        let number = number.filter(|_| known);
        // It stands in the place of a Pong, which nobody counts either, and a page does not repeat it.
        let is_ack = matches!(request, Ok(ClientRequest::Ack(_)));
        if !is_ack && (self.is_too_fast(conn) || self.is_over_rate(conn, &request)) {
            return self.reject(conn, number, plain(BadReason::TooManyCommands), out);
        }
        if !known {
            return self.reject(conn, None, plain(BadReason::UnknownCommand), out);
        }
        let request = match request {
            Ok(request) => request,
            Err(bad) => return self.reject(conn, number, bad, out),
        };
        let asked = Asked { conn, number, dev };
        match request {
            ClientRequest::Subscribe(names) => self.subscribe(conn, number, names, out),
            ClientRequest::Send(message) => self.send_from_browser(conn, number, message, out),
            ClientRequest::History { channel, marker } => {
                self.tell_history(conn, number, channel, marker, out)
            }
            ClientRequest::Count { channel, marker } => self.tell_count(&asked, &channel, &marker, out),
            ClientRequest::TrackUsers { channel, marker } => {
                self.tell_track_users(&asked, &channel, &marker, out)
            }
            ClientRequest::UserData { marker, user } => self.tell_user_data(&asked, user, &marker, out),
            ClientRequest::UserStatus { user } => self.tell_last_online(&asked, user, out),
            ClientRequest::Statistics => self.done(&asked, "statistics", out),
            ClientRequest::Ack(id) => {
                if user.is_some() {
                    self.acknowledged(conn, id, out);
                }
                self.done(&asked, "ack", out);
            }
        }
    }

    /// The result of a command that has nothing to tell. Without a number there is none.
    fn done(&mut self, asked: &Asked, command: &'static str, out: &mut Vec<Action>) {
        if asked.number.is_some() {
            self.answer(asked.conn, asked.number, FrameBody::Done { command }, out);
        }
    }

    /// F14, and for a refused message its copy on the report channel (Q23), which V5 does not need: its F14 says which
    /// command failed. One error, one frame (Q61).
    pub(super) fn reject(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        bad: BadRequest,
        out: &mut Vec<Action>,
    ) {
        let (reason, extra) = (bad.reason, bad.extra);
        let error = FrameBody::Error {
            reason,
            extra,
            detail: "",
        };
        self.answer(conn, number, error, out);
        let is_v5 = self
            .conns
            .get(conn)
            .is_some_and(|state| state.dialect == Dialect::V5);
        if let Some(channel) = bad.report_to.filter(|_| !is_v5) {
            let copy = FrameBody::ErrorReport {
                channel: channel.as_str(),
                reason,
                extra,
            };
            self.send(conn, copy, out);
        }
    }

    /// Counts a command against `max_commands_per_second` (Q63).
    fn is_too_fast(&mut self, conn: ConnId) -> bool {
        let max = self.config.commands_per_second_max;
        let now = self.now.mono;
        let Some(state) = self.conns.get_mut(conn) else {
            return false;
        };
        if max == 0 {
            return false;
        }
        if now >= state.second_began.plus_ms(1000) {
            (state.second_began, state.commands) = (now, 0);
        }
        let before = state.commands;
        state.commands = before.saturating_add(1);
        before >= max
    }

    /// `pipe_count` (S57).
    fn tell_count(&mut self, asked: &Asked, channel: &ChannelName, marker: &Marker, out: &mut Vec<Action>) {
        let users = self
            .tenants
            .channel(asked.dev, channel)
            .map_or(0, |subscribers| subscribers.len() as u64);
        self.answer(asked.conn, asked.number, FrameBody::Count { marker, users }, out);
    }

    /// `track_pipe_users` (S40).
    fn tell_track_users(
        &mut self,
        asked: &Asked,
        channel: &ChannelName,
        marker: &Marker,
        out: &mut Vec<Action>,
    ) {
        let mut present: Vec<ConnId> = self
            .tenants
            .channel(asked.dev, channel)
            .into_iter()
            .flat_map(|subscribers| subscribers.iter())
            .collect();
        present.sort_unstable();
        let users: Vec<(Option<UserId>, ClientUuid)> = present
            .into_iter()
            .filter_map(|id| self.conns.get(id))
            .map(|state| (state.user, state.uuid.clone()))
            .collect();
        self.answer(
            asked.conn,
            asked.number,
            FrameBody::TrackUsers {
                channel: channel.as_str(),
                marker,
                users: &users,
            },
            out,
        );
    }

    /// `user_data`.
    fn tell_user_data(&mut self, asked: &Asked, user: UserId, marker: &Marker, out: &mut Vec<Action>) {
        let data = self
            .durable
            .user(asked.dev, user)
            .and_then(|stored| stored.data.clone());
        let data = data.as_ref().map_or("", |body| body.as_str());
        self.answer(
            asked.conn,
            asked.number,
            FrameBody::UserData { marker, user, data },
            out,
        );
    }

    /// `user_status` (Q25): seconds since the user was last online.
    fn tell_last_online(&mut self, asked: &Asked, user: UserId, out: &mut Vec<Action>) {
        let seconds = match self
            .durable
            .user(asked.dev, user)
            .and_then(|stored| stored.last_seen)
        {
            Some(LastSeen::Online) => 0,
            // 0 would mean that he is online.
            Some(LastSeen::Offline(time)) => {
                i64::try_from(self.now.unix.seconds().0.saturating_sub(time.0).max(1)).unwrap_or(i64::MAX)
            }
            None => -1,
        };
        self.answer(
            asked.conn,
            asked.number,
            FrameBody::LastOnline { user, seconds },
            out,
        );
    }
}

fn plain(reason: BadReason) -> BadRequest {
    BadRequest {
        reason,
        extra: ErrorExtra::Plain,
        report_to: None,
    }
}

/// True for what the dialects before V5 know.
fn is_old(number: Option<CommandNumber>, request: &Result<ClientRequest, BadRequest>) -> bool {
    let is_word = match request {
        Ok(ClientRequest::Subscribe(names)) => names.mode == SubscribeMode::Replace,
        Ok(ClientRequest::Ack(_)) => false,
        Ok(
            ClientRequest::Send(_)
            | ClientRequest::History { .. }
            | ClientRequest::Count { .. }
            | ClientRequest::TrackUsers { .. }
            | ClientRequest::UserData { .. }
            | ClientRequest::UserStatus { .. }
            | ClientRequest::Statistics,
        ) => true,
        Err(bad) => bad.reason != BadReason::BadMessageId,
    };
    is_word && number.is_none()
}
