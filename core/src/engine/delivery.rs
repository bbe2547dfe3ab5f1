//! What goes into the journal, for EXPLAIN DELIVERY and `messages_delivery` (protocol.md 7.17). The rules call these where
//! something happens to a message; nothing comes back.

use super::Core;
use super::channel::{Kept, Publication};
use super::private::Leaving;
use crate::event::CloseCause;
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, SessionId, UserId};
use crate::name::{ChannelName, ClientUuid};
use crate::state::{Address, Author, Conn, Device, Message, What};

/// A private message as the journal knows it.
pub(super) const fn private_message(id: MessageId, seq: Seq, user: UserId) -> Message {
    let to = Address::User(user);
    Message { id, seq, to }
}

impl Core {
    /// A page, as the author of a message whose user is `user`.
    pub(super) fn page_of(&self, conn: ConnId, user: Option<UserId>) -> Device {
        let uuid = self
            .conns
            .get(conn)
            .map_or_else(ClientUuid::default, |state| state.uuid.clone());
        Device { conn, user, uuid }
    }

    /// A session's message INSERT made this message; `None` if it has no id.
    pub(super) fn remember_last(&mut self, by: SessionId, id: Option<MessageId>) {
        if let Some(session) = self.sessions.get_mut(&by) {
            session.last_message = id;
        }
    }

    pub(super) fn note_accepted_private(
        &mut self,
        dev: DevId,
        (id, seq, user): (MessageId, Seq, UserId),
        by: SessionId,
        op: OpId,
        devices: usize,
    ) {
        self.remember_last(by, Some(id));
        let what = What::Accepted {
            by: Author::Session(by),
            op: Some(op),
            connections: devices as u64,
        };
        let message = private_message(id, seq, user);
        self.journal.note(self.now.unix, dev, message, what);
    }

    /// A device has these messages of its user.
    pub(super) fn note_acknowledged(&mut self, dev: DevId, user: UserId, seqs: &[Seq], by: &Device) {
        self.note_private(dev, user, seqs.iter().copied(), |_| What::Acknowledged {
            by: by.clone(),
        });
    }

    /// A connection ended: what was sent to it and is still owed, it may not have.
    pub(super) fn note_unacknowledged(&mut self, id: ConnId, conn: &Conn, user: UserId, cause: CloseCause) {
        let by = conn.device(id);
        let seqs = conn.pending().in_flight.seqs();
        self.note_private(conn.dev, user, seqs, |_| What::Unacknowledged {
            by: by.clone(),
            cause,
        });
    }

    /// These messages are about to leave the queue.
    pub(super) fn note_removed(&mut self, dev: DevId, user: UserId, seqs: &[Seq], why: Leaving) {
        self.note_private(dev, user, seqs.iter().copied(), |_| match why {
            Leaving::Paid => What::Paid,
            Leaving::Expired => What::Expired,
            Leaving::Deleted(by) => What::Deleted { by },
        });
    }

    /// The same happened to several messages of a queue.
    fn note_private(
        &mut self,
        dev: DevId,
        user: UserId,
        seqs: impl Iterator<Item = Seq>,
        what: impl Fn(Seq) -> What,
    ) {
        if !self.journal.is_on() {
            return;
        }
        let stored = self.durable.user(dev, user);
        for seq in seqs {
            if let Some(message) = stored.and_then(|stored| stored.queued(seq)) {
                let message = private_message(message.id, seq, user);
                self.journal.note(self.now.unix, dev, message, what(seq));
            }
        }
    }

    /// A message that has an id went to a channel.
    pub(super) fn note_published(
        &mut self,
        message: &Publication<'_>,
        id: MessageId,
        kept: Option<Kept>,
        connections: u64,
    ) {
        let what = What::Accepted {
            by: message.author.clone(),
            op: kept.map(|kept| kept.op),
            connections,
        };
        let told = Message {
            id,
            seq: kept.map_or(Seq::START, |kept| kept.seq),
            to: Address::Channel(message.channel.clone()),
        };
        self.journal.note(self.now.unix, message.dev, told, what);
    }

    /// A page sent again what was accepted before.
    pub(super) fn note_repeated(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        id: Option<MessageId>,
        by: Device,
    ) {
        let Some(id) = id else { return };
        let to = Address::Channel(channel.clone());
        let seq = Seq::START;
        let message = Message { id, seq, to };
        self.journal
            .note(self.now.unix, dev, message, What::Repeated { by });
    }

    /// Messages before this place are about to leave the history, because newer ones come.
    pub(super) fn note_overwritten(&mut self, dev: DevId, channel: &ChannelName, keep_from: Seq) {
        self.note_history(dev, channel, keep_from, &What::Overwritten, |_| true);
    }

    /// Messages before this place are about to leave the history, because a session made it shorter.
    pub(super) fn note_shortened(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        by: SessionId,
        keep_from: Seq,
    ) {
        self.note_history(dev, channel, keep_from, &What::Shortened { by }, |_| true);
    }

    /// A session is about to delete messages of a history.
    pub(super) fn note_deleted(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        by: SessionId,
        which: impl Fn(Seq) -> bool,
    ) {
        self.note_history(dev, channel, Seq::END, &What::Deleted { by }, which);
    }

    /// The same happens to messages of a history that are before a place.
    fn note_history(
        &mut self,
        dev: DevId,
        channel: &ChannelName,
        before: Seq,
        what: &What,
        which: impl Fn(Seq) -> bool,
    ) {
        if !self.journal.is_on() {
            return;
        }
        let stored = self.durable.channel(dev, channel);
        let history = stored.into_iter().flat_map(|stored| &stored.history);
        for kept in history.take_while(|kept| kept.seq < before) {
            if which(kept.seq) {
                let to = Address::Channel(channel.clone());
                let (id, seq) = (kept.id, kept.seq);
                let message = Message { id, seq, to };
                self.journal.note(self.now.unix, dev, message, what.clone());
            }
        }
    }
}
