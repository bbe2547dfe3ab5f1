//! What browsers ask and send (protocol.md 2.6).

use alloc::vec::Vec;

use super::Core;
use super::channel::Publication;
use super::durability::Waiter;
use crate::action::Action;
use crate::id::{ConnId, DevId, UserId};
use crate::name::{ChannelKind, ChannelName, ClientUuid, Marker};
use crate::state::LastSeen;
use crate::wire::{BadReason, BadRequest, ClientRequest, ErrorExtra, FrameBody, SendRequest};

impl Core {
    /// A command arrived. Whatever is wrong with it, the connection stays open (Q18).
    pub(super) fn request(
        &mut self,
        conn: ConnId,
        request: Result<ClientRequest, BadRequest>,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, user) = (state.dev, state.user);
        self.count_command(dev);
        if self.is_too_fast(conn) {
            let extra = ErrorExtra::Plain;
            return self.reject(
                conn,
                BadRequest {
                    reason: BadReason::TooManyCommands,
                    extra,
                    report_to: None,
                },
                out,
            );
        }
        let request = match request {
            Ok(request) => request,
            Err(bad) => return self.reject(conn, bad, out),
        };
        match request {
            ClientRequest::Subscribe(names) => self.subscribe(conn, names, out),
            ClientRequest::Send(message) => self.send_from_browser(conn, dev, user, &message, out),
            ClientRequest::History { channel, marker } => self.tell_history(conn, channel, marker, out),
            ClientRequest::Count { channel, marker } => self.tell_count(conn, &channel, &marker, out),
            ClientRequest::TrackUsers { channel, marker } => {
                self.tell_track_users(conn, &channel, &marker, out)
            }
            ClientRequest::UserData { marker, user } => self.tell_user_data(conn, user, &marker, out),
            ClientRequest::UserStatus { user } => self.tell_last_online(conn, user, out),
            ClientRequest::Statistics => {}
        }
    }

    /// F14, and for a refused message its copy on the report channel (Q23). One error, one frame (Q61).
    pub(super) fn reject(&mut self, conn: ConnId, bad: BadRequest, out: &mut Vec<Action>) {
        self.send(
            conn,
            FrameBody::Error {
                reason: bad.reason,
                extra: bad.extra,
                detail: "",
            },
            out,
        );
        if let Some(channel) = bad.report_to {
            let (reason, extra) = (bad.reason, bad.extra);
            self.send(
                conn,
                FrameBody::ErrorReport {
                    channel: channel.as_str(),
                    reason,
                    extra,
                },
                out,
            );
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
        let (began, count) = state.command_window;
        let (began, count) = if now >= began.plus_ms(1000) {
            (now, 0)
        } else {
            (began, count)
        };
        state.command_window = (began, count.saturating_add(1));
        count >= max
    }

    /// `web_pipe2` (S42, S43, S46): history, then F3 to the others, then F9 to the sender.
    fn send_from_browser(
        &mut self,
        conn: ConnId,
        dev: DevId,
        user: Option<UserId>,
        request: &SendRequest,
        out: &mut Vec<Action>,
    ) {
        if let Err(reason) = self.may_send(dev, user, request) {
            let bad = BadRequest {
                reason,
                extra: ErrorExtra::NumberMessages,
                report_to: Some(request.channel.clone()),
            };
            return self.reject(conn, bad, out);
        }
        let sender = if request.anonymous { None } else { user };
        let message = Publication {
            dev,
            channel: &request.channel,
            event: &request.event,
            body: &request.body,
            sender: Some(sender),
            from: Some(conn),
        };
        let (op, receivers) = self.publish(&message, out);
        let (channel, body) = (request.channel.clone(), request.body.clone());
        match op {
            Some(op) => self.durability.wait(
                op,
                Waiter::Report {
                    conn,
                    channel,
                    receivers,
                    body,
                },
            ),
            None => self.report(conn, &channel, receivers, &body, "", out),
        }
    }

    fn may_send(&self, dev: DevId, user: Option<UserId>, request: &SendRequest) -> Result<(), BadReason> {
        match request.channel.kind() {
            ChannelKind::Web => {}
            ChannelKind::WebAuth if request.anonymous => return Err(BadReason::ChannelRefused),
            ChannelKind::WebAuth if user.is_none() => return Err(BadReason::NotAuthorized),
            ChannelKind::WebAuth => {}
            ChannelKind::Plain
            | ChannelKind::Track
            | ChannelKind::Private
            | ChannelKind::Trust
            | ChannelKind::Msg
            | ChannelKind::Answer => return Err(BadReason::ChannelRefused),
        }
        if !self.durability.is_healthy() && self.history_length(dev, &request.channel) > 0 {
            return Err(BadReason::StoreUnavailable);
        }
        Ok(())
    }

    /// `pipe_count` (S57).
    fn tell_count(&mut self, conn: ConnId, channel: &ChannelName, marker: &Marker, out: &mut Vec<Action>) {
        let Some(dev) = self.conns.get(conn).map(|state| state.dev) else {
            return;
        };
        let users = self
            .tenants
            .channel(dev, channel)
            .map_or(0, |subscribers| subscribers.len() as u64);
        self.send(conn, FrameBody::Count { marker, users }, out);
    }

    /// `track_pipe_users` (S40).
    fn tell_track_users(
        &mut self,
        conn: ConnId,
        channel: &ChannelName,
        marker: &Marker,
        out: &mut Vec<Action>,
    ) {
        let Some(dev) = self.conns.get(conn).map(|state| state.dev) else {
            return;
        };
        let mut present: Vec<ConnId> = self
            .tenants
            .channel(dev, channel)
            .into_iter()
            .flat_map(|subscribers| subscribers.iter())
            .collect();
        present.sort_unstable();
        let users: Vec<(Option<UserId>, ClientUuid)> = present
            .into_iter()
            .filter_map(|id| self.conns.get(id))
            .map(|state| (state.user, state.uuid.clone()))
            .collect();
        self.send(
            conn,
            FrameBody::TrackUsers {
                channel: channel.as_str(),
                marker,
                users: &users,
            },
            out,
        );
    }

    /// `user_data`.
    fn tell_user_data(&mut self, conn: ConnId, user: UserId, marker: &Marker, out: &mut Vec<Action>) {
        let Some(dev) = self.conns.get(conn).map(|state| state.dev) else {
            return;
        };
        let data = self
            .durable
            .user(dev, user)
            .and_then(|stored| stored.data.clone());
        let data = data.as_ref().map_or("", |body| body.as_str());
        self.send(conn, FrameBody::UserData { marker, user, data }, out);
    }

    /// `user_status` (Q25): seconds since the user was last online.
    fn tell_last_online(&mut self, conn: ConnId, user: UserId, out: &mut Vec<Action>) {
        let Some(dev) = self.conns.get(conn).map(|state| state.dev) else {
            return;
        };
        let seconds = match self.durable.user(dev, user).and_then(|stored| stored.last_seen) {
            Some(LastSeen::Online) => 0,
            // 0 would mean that he is online.
            Some(LastSeen::Offline(time)) => {
                i64::try_from(self.now.unix.seconds().0.saturating_sub(time.0).max(1)).unwrap_or(i64::MAX)
            }
            None => -1,
        };
        self.send(conn, FrameBody::LastOnline { user, seconds }, out);
    }
}
