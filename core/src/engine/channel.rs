//! Channels: subscribing, publishing, track events, history (protocol.md 2.6.1, 2.6.2, 3, 6).

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, UserId};
use crate::name::{Body, ChannelKind, ChannelName, ClientUuid, EventName};
use crate::record::{HistoryMessage, Record};
use crate::state::{Published, effective_length};
use crate::wire::{BadReason, CommandNumber, ErrorExtra, FrameBody, Subscribe, SubscribeMode};

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
    /// What the send key makes of it (protocol-v5.md 3).
    pub(super) id: Option<MessageId>,
}

/// Names a connection may not subscribe to. An empty name stands for several.
#[derive(Default)]
struct Refused(Vec<(BadReason, Arc<str>)>);

impl Refused {
    fn push(&mut self, reason: BadReason, name: &str) {
        self.0.push((reason, name.into()));
    }
}

impl Core {
    /// `subscription`: the complete new set replaces the old one; `subscribe` and `unsubscribe` change it (protocol-v5.md 1).
    /// Only the difference is seen by others (Q20). Whoever knows the name of an open channel may have it (S1, S26), any
    /// number of them at once (S66).
    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        request: Subscribe,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get(conn) else { return };
        let (user, old) = (state.user, state.channels.clone());
        let (new, refused) = self.change_names(&old, user, request);
        if number.is_none() {
            self.tell_refused(conn, &refused, out);
        }
        self.move_to(conn, &old, &new, out);
        if number.is_some() {
            let body = FrameBody::Subscribed {
                channels: new.len(),
                refused: &refused.0,
            };
            self.answer(conn, number, body, out);
        }
    }

    /// The set a request makes of the old one, and what of it is refused.
    fn change_names(
        &self,
        old: &[ChannelName],
        user: Option<UserId>,
        request: Subscribe,
    ) -> (Vec<ChannelName>, Refused) {
        match request.mode {
            SubscribeMode::Replace => self.accept_names(Vec::new(), user, request),
            SubscribeMode::Add => self.accept_names(old.to_vec(), user, request),
            SubscribeMode::Remove => {
                let gone: BTreeSet<&ChannelName> = request.names.iter().collect();
                let left = old.iter().filter(|channel| !gone.contains(channel));
                (left.cloned().collect(), Refused::default())
            }
        }
    }

    /// Leaves what is not in the new set, enters what was not in the old one.
    fn move_to(&mut self, conn: ConnId, old: &[ChannelName], new: &[ChannelName], out: &mut Vec<Action>) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, user, uuid, dialect) = (state.dev, state.user, state.uuid.clone(), state.dialect);
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

    /// Adds the names this connection may subscribe to (Q21, Q22) to those it has.
    fn accept_names(
        &self,
        mut accepted: Vec<ChannelName>,
        user: Option<UserId>,
        request: Subscribe,
    ) -> (Vec<ChannelName>, Refused) {
        let mut refused = Refused::default();
        for name in &request.refused {
            refused.push(BadReason::BadChannel, name);
        }
        if request.refused_more > 0 {
            refused.push(BadReason::BadChannel, "");
        }
        let had: BTreeSet<ChannelName> = accepted.iter().cloned().collect();
        let mut surplus = false;
        let mut private_refused = 0;
        for name in request.names {
            match name.kind() {
                ChannelKind::Msg => {}
                ChannelKind::Private if user.is_none() => {
                    private_refused += 1;
                    if private_refused <= REFUSALS_MAX {
                        refused.push(BadReason::NotAuthorized, name.as_str());
                    }
                }
                ChannelKind::Plain
                | ChannelKind::Web
                | ChannelKind::WebAuth
                | ChannelKind::Track
                | ChannelKind::Private
                | ChannelKind::Trust
                | ChannelKind::Answer => {
                    if had.contains(&name) {
                        continue;
                    }
                    if accepted.len() < self.config.subscriptions_max {
                        accepted.push(name);
                    } else {
                        surplus = true;
                    }
                }
            }
        }
        if private_refused > REFUSALS_MAX {
            refused.push(BadReason::NotAuthorized, "");
        }
        if surplus {
            refused.push(BadReason::TooManySubscriptions, "");
        }
        (accepted, refused)
    }

    /// One F14 for each refused name.
    fn tell_refused(&mut self, conn: ConnId, refused: &Refused, out: &mut Vec<Action>) {
        for (reason, name) in &refused.0 {
            let body = FrameBody::Error {
                reason: *reason,
                extra: ErrorExtra::Code403,
                detail: name,
            };
            self.send(conn, body, out);
        }
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
                let frame = self.encode(body, None, audience.dialect);
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

    /// A message into a channel: into its history, then to its subscribers.
    pub(super) fn publish(&mut self, message: &Publication<'_>, out: &mut Vec<Action>) -> Published {
        let stored = self.append_history(message, out);
        let id = stored.map(|(_, id)| id).or(message.id);
        let body = FrameBody::Message {
            channel: message.channel.as_str(),
            event: message.event.as_str(),
            body: message.body.as_str(),
            sender: message.sender,
            id,
        };
        let receivers = self.broadcast(message.dev, message.channel, body, message.from, out);
        Published {
            receivers,
            op: stored.map(|(op, _)| op),
            id,
        }
    }

    /// How many messages the channel keeps at present.
    pub(super) fn history_length(&self, dev: DevId, channel: &ChannelName) -> usize {
        let setting = self
            .durable
            .channel(dev, channel)
            .and_then(|stored| stored.setting);
        effective_length(channel, setting)
    }

    fn append_history(
        &mut self,
        message: &Publication<'_>,
        out: &mut Vec<Action>,
    ) -> Option<(OpId, MessageId)> {
        let length = self.history_length(message.dev, message.channel);
        if length == 0 {
            return None;
        }
        let seq = self.next_seq();
        let keep_from = self.first_kept(message.dev, message.channel, length - 1, seq);
        let id = match message.id {
            Some(id) => id,
            None => self.message_ids.next(self.now.unix),
        };
        let stored = HistoryMessage {
            seq,
            id,
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
        Some((self.commit(record, out), id))
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
