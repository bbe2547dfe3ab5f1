//! Channels: subscribing, publishing, track events, history (protocol.md 2.6.1, 2.6.2, 3, 6).

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Frame, Recipients};
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, UserId};
use crate::name::{Body, ChannelKind, ChannelName, ClientUuid, EventName};
use crate::record::{HistoryMessage, Record};
use crate::state::{Audience, Author, Conn, Published, effective_length};
use crate::wire::{self, BadReason, CommandNumber, Content, ErrorExtra, FrameBody, Subscribe, SubscribeMode};

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
    /// The same, for EXPLAIN DELIVERY.
    pub(super) author: Author,
    /// What the send key makes of it (protocol-v5.md 3).
    pub(super) id: Option<MessageId>,
}

/// A message that went into a history.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) op: OpId,
    pub(super) id: MessageId,
    pub(super) seq: Seq,
}

/// Names a connection may not subscribe to. An empty name stands for several.
#[derive(Default)]
struct Refused(Vec<(BadReason, Arc<str>)>);

impl Refused {
    fn push(&mut self, reason: BadReason, name: &str) {
        self.0.push((reason, name.into()));
    }

    /// The first ones by name, the rest together.
    fn push_all(&mut self, reason: BadReason, names: &[ChannelName]) {
        for name in names.iter().take(REFUSALS_MAX) {
            self.push(reason, name.as_str());
        }
        if names.len() > REFUSALS_MAX {
            self.push(reason, "");
        }
    }
}

/// What a command does to the channels of a connection.
struct Change {
    gone: Vec<ChannelName>,
    come: Vec<ChannelName>,
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
        let (change, refused) = self.change_of(conn, state, request);
        let for_room = refused
            .0
            .iter()
            .filter(|(reason, _)| *reason == BadReason::ServerFull);
        let for_room = for_room.count();
        self.count_refused(for_room);
        if number.is_none() {
            self.tell_refused(conn, &refused, out);
        }
        self.apply_change(conn, &change, out);
        if number.is_some() {
            let channels = self.conns.get(conn).map_or(0, |state| state.channels.len());
            let body = FrameBody::Subscribed {
                channels,
                refused: &refused.0,
            };
            self.answer(conn, number, body, out);
        }
    }

    /// What a request changes, and what of it is refused. Costs what the request is long; only a complete set is
    /// compared with all that was there.
    fn change_of(&self, id: ConnId, conn: &Conn, request: Subscribe) -> (Change, Refused) {
        let has = |channel: &ChannelName| {
            let subscribers = self.tenants.channel(conn.dev, channel);
            subscribers.is_some_and(|subscribers| subscribers.contains(id))
        };
        let mut request = request;
        let mut unwelcome = Vec::new();
        if self.is_full() && request.mode != SubscribeMode::Remove {
            let (kept, new) = request.names.into_iter().partition(has);
            (request.names, unwelcome) = (kept, new);
        }
        let (change, mut refused) = self.change_to(conn, request, has);
        refused.push_all(BadReason::ServerFull, &unwelcome);
        (change, refused)
    }

    fn change_to(
        &self,
        conn: &Conn,
        request: Subscribe,
        has: impl Fn(&ChannelName) -> bool,
    ) -> (Change, Refused) {
        match request.mode {
            SubscribeMode::Replace => {
                let room = self
                    .subscriptions_left(conn.dev)
                    .saturating_add(conn.channels.len());
                let room = room.min(self.config.subscriptions_max);
                let (new, refused) = self.accept_names(room, conn.user, request);
                let wanted: BTreeSet<&ChannelName> = new.iter().collect();
                let gone = conn.channels.iter().filter(|channel| !wanted.contains(channel));
                let gone = gone.cloned().collect();
                let come = new.into_iter().filter(|channel| !has(channel)).collect();
                (Change { gone, come }, refused)
            }
            SubscribeMode::Add => {
                let mut request = request;
                request.names.retain(|channel| !has(channel));
                let room = self.config.subscriptions_max.saturating_sub(conn.channels.len());
                let room = room.min(self.subscriptions_left(conn.dev));
                let (come, refused) = self.accept_names(room, conn.user, request);
                let gone = Vec::new();
                (Change { gone, come }, refused)
            }
            SubscribeMode::Remove => {
                let gone = request.names.into_iter().filter(has).collect();
                let come = Vec::new();
                (Change { gone, come }, Refused::default())
            }
        }
    }

    /// Leaves what is gone, then enters what has come, both in order.
    fn apply_change(&mut self, conn: ConnId, change: &Change, out: &mut Vec<Action>) {
        let Some(state) = self.conns.get(conn) else { return };
        let (dev, user, uuid, dialect) = (state.dev, state.user, state.uuid.clone(), state.dialect);
        let piece_max = self.config.recipients_piece_max;
        for channel in &change.gone {
            self.tenants.unsubscribe(dev, channel, conn, dialect, piece_max);
            self.announce_track(dev, channel, false, user, &uuid, out);
        }
        let mut come = Vec::with_capacity(change.come.len());
        for channel in &change.come {
            self.announce_track(dev, channel, true, user, &uuid, out);
            come.push(self.tenants.subscribe(dev, channel, conn, dialect, piece_max));
        }
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        if change.gone.is_empty() && come.is_empty() {
            return;
        }
        let mut channels = core::mem::take(&mut state.channels).into_vec();
        if !change.gone.is_empty() {
            let gone: BTreeSet<&ChannelName> = change.gone.iter().collect();
            channels.retain(|channel| !gone.contains(channel));
        }
        channels.append(&mut come);
        state.channels = channels.into_boxed_slice();
    }

    /// The names this connection may subscribe to (Q21, Q22), at most `room`.
    fn accept_names(
        &self,
        room: usize,
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
        let mut accepted = Vec::with_capacity(request.names.len().min(room));
        let mut private = Vec::new();
        let mut surplus = Vec::new();
        for name in request.names {
            match name.kind() {
                ChannelKind::Msg => {}
                ChannelKind::Private if user.is_none() => private.push(name),
                ChannelKind::Plain
                | ChannelKind::Web
                | ChannelKind::WebAuth
                | ChannelKind::Track
                | ChannelKind::Private
                | ChannelKind::Trust
                | ChannelKind::Answer => {
                    if accepted.len() < room {
                        accepted.push(name);
                    } else {
                        surplus.push(name);
                    }
                }
            }
        }
        refused.push_all(BadReason::NotAuthorized, &private);
        refused.push_all(BadReason::TooManySubscriptions, &surplus);
        (accepted, refused)
    }

    /// One F14 for each refused name, but one for the whole surplus.
    fn tell_refused(&mut self, conn: ConnId, refused: &Refused, out: &mut Vec<Action>) {
        let mut surplus = false;
        for (reason, name) in &refused.0 {
            let is_surplus = *reason == BadReason::TooManySubscriptions;
            if is_surplus && surplus {
                continue;
            }
            surplus |= is_surplus;
            let body = FrameBody::Error {
                reason: *reason,
                extra: ErrorExtra::Code403,
                detail: if is_surplus { "" } else { name },
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

    /// Sends a frame to everybody on a channel but `except`. Returns to how many. One encoding per dialect, whatever the
    /// number of subscribers.
    pub(super) fn broadcast(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        body: FrameBody<'_>,
        except: Option<ConnId>,
        out: &mut Vec<Action>,
    ) -> u64 {
        let content = Content {
            body,
            answers: None,
            time: self.now.unix.seconds(),
        };
        let Some(subscribers) = self.tenants.channel_mut(dev, channel) else {
            return 0;
        };
        let except = except.filter(|&conn| subscribers.contains(conn));
        let receivers = subscribers.len() as u64 - u64::from(except.is_some());
        for (dialect, audience) in subscribers.audiences() {
            if audience.is_somebody(except) {
                send_to(&audience, except, wire::encode(&content, dialect), out);
            }
        }
        self.count_sent(dev, receivers);
        receivers
    }

    /// A message into a channel: into its history, then to its subscribers.
    pub(super) fn publish(&mut self, message: &Publication<'_>, out: &mut Vec<Action>) -> Published {
        let stored = self.append_history(message, out);
        let id = stored.map(|kept| kept.id).or(message.id);
        let body = FrameBody::Message {
            channel: message.channel.as_str(),
            event: message.event.as_str(),
            body: message.body.as_str(),
            sender: message.sender,
            id,
        };
        let receivers = self.broadcast(message.dev, message.channel, body, message.from, out);
        if let Some(id) = id {
            self.note_published(message, id, stored, receivers);
        }
        Published {
            receivers,
            op: stored.map(|kept| kept.op),
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

    fn append_history(&mut self, message: &Publication<'_>, out: &mut Vec<Action>) -> Option<Kept> {
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
        self.note_overwritten(message.dev, message.channel, keep_from);
        let op = self.commit(record, out);
        Some(Kept { op, id, seq })
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

/// Sends a frame to everybody in an audience but `except`.
fn send_to(audience: &Audience<'_>, except: Option<ConnId>, frame: Frame, out: &mut Vec<Action>) {
    match audience {
        Audience::One(conn) => out.push(Action::Send {
            to: Recipients::One(*conn),
            frame,
        }),
        Audience::Lists(lists) => {
            for list in *lists {
                let except = except.filter(|conn| list.binary_search(conn).is_ok());
                if list.len() > usize::from(except.is_some()) {
                    let (list, frame) = (list.clone(), frame.clone());
                    let to = Recipients::Many { list, except };
                    out.push(Action::Send { to, frame });
                }
            }
        }
    }
}
