//! Channels: subscribing, publishing, track events, history (protocol.md 2.6.1, 2.6.2, 3, 6).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::id::{ConnId, DevId, OpId, Seq, UserId};
use crate::name::{Body, ChannelKind, ChannelName, ClientUuid, EventName};
use crate::record::{HistoryMessage, Record};
use crate::state::effective_length;
use crate::wire::{BadReason, ErrorExtra, FrameBody, Subscribe};

/// Names of one `subscription` that are refused one by one; the rest of them together get one F14.
const REFUSALS_MAX: usize = 32;

/// A message on its way into a channel.
pub(super) struct Publication<'a> {
    pub(super) dev: DevId,
    pub(super) channel: &'a ChannelName,
    pub(super) event: &'a EventName,
    pub(super) body: &'a Body,
    /// `None` = CometQL; `Some(None)` = a browser without a proven user, or with `@`.
    pub(super) sender: Option<Option<UserId>>,
    /// The sending connection, which does not get its own message (Q58).
    pub(super) from: Option<ConnId>,
}

impl Core {
    /// `subscription`: the complete new set replaces the old one; only the difference is seen by others (Q20). Whoever
    /// knows the name of an open channel may have it (S1, S26), any number of them at once (S66).
    pub(super) fn subscribe(&mut self, conn: ConnId, request: Subscribe, out: &mut Vec<Action>) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, user, uuid, dialect) = (state.dev, state.user, state.uuid.clone(), state.dialect);
        let old = state.channels.clone();
        let new = self.accept_names(conn, user, request, out);
        let wanted: BTreeSet<&ChannelName> = new.iter().collect();
        let had: BTreeSet<&ChannelName> = old.iter().collect();
        for channel in old.iter().filter(|channel| !wanted.contains(channel)) {
            self.tenants.entry(dev).unsubscribe(channel, conn, dialect);
            self.announce_track(dev, channel, false, user, &uuid, out);
        }
        let mut channels: Vec<ChannelName> = old.iter().filter(|c| wanted.contains(c)).cloned().collect();
        for channel in new.iter().filter(|channel| !had.contains(channel)) {
            self.announce_track(dev, channel, true, user, &uuid, out);
            channels.push(self.tenants.entry(dev).subscribe(channel, conn, dialect));
        }
        channels.shrink_to_fit();
        if let Some(state) = self.conns.get_mut(conn) {
            state.channels = channels;
        }
    }

    /// The names this connection may subscribe to; one F14 for each that it may not (Q21, Q22).
    fn accept_names(
        &mut self,
        conn: ConnId,
        user: Option<UserId>,
        request: Subscribe,
        out: &mut Vec<Action>,
    ) -> Vec<ChannelName> {
        for name in &request.refused {
            self.refuse_subscription(conn, BadReason::BadChannel, name, out);
        }
        if request.refused_more > 0 {
            self.refuse_subscription(conn, BadReason::BadChannel, "", out);
        }
        let mut accepted = Vec::with_capacity(request.names.len().min(self.config.subscriptions_max));
        let mut surplus = false;
        let mut private_refused = 0;
        for name in request.names {
            match name.kind() {
                ChannelKind::Msg => {}
                ChannelKind::Private if user.is_none() => {
                    private_refused += 1;
                    if private_refused <= REFUSALS_MAX {
                        self.refuse_subscription(conn, BadReason::NotAuthorized, name.as_str(), out);
                    }
                }
                ChannelKind::Plain
                | ChannelKind::Web
                | ChannelKind::WebAuth
                | ChannelKind::Track
                | ChannelKind::Private
                | ChannelKind::Trust
                | ChannelKind::Answer => {
                    if accepted.len() < self.config.subscriptions_max {
                        accepted.push(name);
                    } else {
                        surplus = true;
                    }
                }
            }
        }
        if private_refused > REFUSALS_MAX {
            self.refuse_subscription(conn, BadReason::NotAuthorized, "", out);
        }
        if surplus {
            self.refuse_subscription(conn, BadReason::TooManySubscriptions, "", out);
        }
        accepted
    }

    fn refuse_subscription(&mut self, conn: ConnId, reason: BadReason, name: &str, out: &mut Vec<Action>) {
        self.send(
            conn,
            FrameBody::Error {
                reason,
                extra: ErrorExtra::Code403,
                detail: name,
            },
            out,
        );
    }

    /// F8 to the present subscribers of a `track_*` channel (S38, S39).
    pub(super) fn announce_track(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        joined: bool,
        user: Option<UserId>,
        uuid: &ClientUuid,
        out: &mut Vec<Action>,
    ) {
        if channel.kind() == ChannelKind::Track {
            let body = FrameBody::Track {
                channel: channel.as_str(),
                joined,
                user,
                uuid,
            };
            self.broadcast(dev, channel, body, None, out);
        }
    }

    /// Sends a frame to everybody on a channel but `except`. Returns to how many. One encoding per dialect, one
    /// action per dialect, whatever the number of subscribers.
    pub(super) fn broadcast(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        body: FrameBody<'_>,
        except: Option<ConnId>,
        out: &mut Vec<Action>,
    ) -> u64 {
        let Some(subscribers) = self.tenants.channel_mut(dev, channel) else {
            return 0;
        };
        let except = except.filter(|&conn| subscribers.contains(conn));
        let receivers = subscribers.len() as u64 - u64::from(except.is_some());
        for audience in subscribers.audiences() {
            let except = except.filter(|conn| audience.list.binary_search(conn).is_ok());
            if audience.list.len() > usize::from(except.is_some()) {
                let frame = self.encode(body, audience.dialect);
                out.push(Action::Send {
                    to: Recipients::Many {
                        list: audience.list,
                        except,
                    },
                    frame,
                });
            }
        }
        self.count_sent(dev, receivers);
        receivers
    }

    /// A message into a channel: into its history, then to its subscribers. Returns the record to wait for, if the
    /// channel has history, and the number of receivers.
    pub(super) fn publish(
        &mut self,
        message: &Publication<'_>,
        out: &mut Vec<Action>,
    ) -> (Option<OpId>, u64) {
        let op = self.append_history(message, out);
        let body = FrameBody::Message {
            channel: message.channel.as_str(),
            event: message.event.as_str(),
            body: message.body.as_str(),
            sender: message.sender,
        };
        let receivers = self.broadcast(message.dev, message.channel, body, message.from, out);
        (op, receivers)
    }

    /// How many messages the channel keeps at present.
    pub(super) fn history_length(&self, dev: DevId, channel: &ChannelName) -> usize {
        let setting = self
            .durable
            .channel(dev, channel)
            .and_then(|stored| stored.setting);
        effective_length(channel, setting)
    }

    fn append_history(&mut self, message: &Publication<'_>, out: &mut Vec<Action>) -> Option<OpId> {
        let length = self.history_length(message.dev, message.channel);
        if length == 0 {
            return None;
        }
        let seq = self.next_seq();
        let keep_from = self.first_kept(message.dev, message.channel, length - 1, seq);
        let stored = HistoryMessage {
            seq,
            id: self.message_ids.next(self.now.unix),
            time: self.now.unix.seconds(),
            event: message.event.clone(),
            body: message.body.clone(),
            sender: message.sender.flatten(),
        };
        let record = Record::HistoryAppended {
            dev: message.dev,
            channel: message.channel.clone(),
            message: stored,
            keep_from,
        };
        Some(self.commit(record, out))
    }

    /// The position from which messages stay if only the newest `keep` do; `next` if none does.
    pub(super) fn first_kept(&self, dev: DevId, channel: &ChannelName, keep: usize, next: Seq) -> Seq {
        let Some(stored) = self.durable.channel(dev, channel) else {
            return Seq::START;
        };
        match stored.history.len().checked_sub(keep) {
            None | Some(0) => Seq::START,
            Some(drop) => stored.history.get(drop).map_or(next, |message| message.seq),
        }
    }
}
