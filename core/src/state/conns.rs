//! Open browser connections.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::memory::{Usage, cost, shrink, text};
use super::{Client, Device, Party};
use crate::id::{ConnId, DevId, MessageId, Seq, UserId};
use crate::name::{ChannelName, ClientUuid, Marker};
use crate::time::Mono;
use crate::wire::{CommandNumber, Dialect, Hello};

/// One open connection. There are very many and nearly all are idle, so it is kept small.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Conn {
    pub(crate) dev: DevId,
    /// The proven user; `None` = anonymous.
    pub(crate) user: Option<UserId>,
    pub(crate) dialect: Dialect,
    pub(crate) uuid: ClientUuid,
    pub(crate) client: Client,
    /// In the order of subscribing.
    pub(crate) channels: Box<[ChannelName]>,
    pub(crate) opened: Mono,
    /// When the second began in which commands are counted (Q63), and how many came in it.
    pub(crate) second_began: Mono,
    pub(crate) commands: u32,
    /// What is on its way to the page, if anything is.
    pending: Option<Box<Pending>>,
    /// What is counted for it.
    pending_usage: Usage,
}

/// What is on its way to a page and has not come to its end.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// Private messages on their way, ascending.
    pub(crate) in_flight: InFlight,
    /// Private messages that are owed and wait for room in the window, ascending, newer than all in flight.
    pub(crate) unsent: VecDeque<Seq>,
    /// What must come back of it, if anything is in flight (protocol.md 5.1: at most one probe; protocol-v5.md 4: an
    /// acknowledgement of the page).
    pub(crate) probe: Option<Probe>,
    /// Histories the page asked for and has not got completely.
    pub(crate) replay: Replay,
}

static NOTHING: Pending = Pending {
    in_flight: InFlight {
        sent: VecDeque::new(),
        bytes: 0,
    },
    unsent: VecDeque::new(),
    probe: None,
    replay: Replay {
        readings: VecDeque::new(),
        probe: None,
        bytes: 0,
    },
};

impl Pending {
    /// Everything owed to this connection, ascending.
    pub(crate) fn owed(&self) -> impl Iterator<Item = Seq> {
        self.in_flight.seqs().chain(self.unsent.iter().copied())
    }

    fn owed_len(&self) -> usize {
        self.in_flight.sent.len() + self.unsent.len()
    }

    fn bytes(&self) -> u64 {
        let timer = if self.probe.is_some() { cost::TIMER } else { 0 };
        cost::PENDING + timer + cost::OWED * self.owed_len() as u64 + self.replay.bytes
    }

    fn is_nothing(&self) -> bool {
        let replay = &self.replay;
        self.owed().next().is_none()
            && self.probe.is_none()
            && replay.readings.is_empty()
            && replay.probe.is_none()
    }
}

/// A probe that was sent and has not come back; for V5 the acknowledgement that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Probe {
    /// Its payload.
    pub(crate) id: MessageId,
    /// The newest private message before it.
    pub(crate) upto: Seq,
    /// When the connection is dropped if it has not come back.
    pub(crate) deadline: Mono,
}

impl Conn {
    /// A connection that was opened at `now` and is subscribed to nothing.
    pub(crate) fn new(hello: &Hello, user: Option<UserId>, client: Client, now: Mono) -> Self {
        Self {
            dev: hello.dev,
            user,
            dialect: hello.dialect,
            uuid: hello.uuid.clone(),
            client,
            channels: Box::default(),
            opened: now,
            second_began: now,
            commands: 0,
            pending: None,
            pending_usage: Usage::NONE,
        }
    }

    /// It speaks for all tabs of its browser, which have one connection (protocol-v5.md 4).
    pub(crate) fn is_sole(&self) -> bool {
        self.dialect == Dialect::V5
    }

    /// This connection before the debts of its user.
    pub(crate) fn party(&self, conn: ConnId) -> Party<'_> {
        Party {
            conn,
            uuid: &self.uuid,
            sole: self.is_sole(),
        }
    }

    /// This connection for those who look back.
    pub(crate) fn device(&self, conn: ConnId) -> Device {
        Device {
            conn,
            user: self.user,
            uuid: self.uuid.clone(),
        }
    }

    /// What is on its way.
    pub(crate) fn pending(&self) -> &Pending {
        self.pending.as_deref().unwrap_or(&NOTHING)
    }

    /// What is on its way, to be changed; `tidy` follows when it may have come to its end.
    pub(crate) fn pending_mut(&mut self) -> &mut Pending {
        self.pending.get_or_insert_default()
    }

    /// An idle connection keeps no room for what might be on its way. Says what was counted for that, and what is to be
    /// counted now.
    #[must_use]
    pub(crate) fn tidy(&mut self) -> (Usage, Usage) {
        if self.pending().is_nothing() {
            self.pending = None;
        }
        if let Some(pending) = &mut self.pending {
            shrink(&mut pending.in_flight.sent);
            shrink(&mut pending.unsent);
        }
        let after = self.usage_of_pending();
        (core::mem::replace(&mut self.pending_usage, after), after)
    }

    /// What is counted for what is on its way.
    pub(crate) const fn pending_usage(&self) -> Usage {
        self.pending_usage
    }

    fn usage_of_pending(&self) -> Usage {
        let Some(pending) = &self.pending else {
            return Usage::NONE;
        };
        Usage::new(pending.owed_len(), pending.bytes())
    }

    /// Asserts the invariants that need nothing but the connection.
    pub(crate) fn check(&self) {
        assert!(
            self.pending.as_ref().is_none_or(|pending| !pending.is_nothing()),
            "an idle connection occupies memory"
        );
        let pending = self.pending();
        assert!(
            pending.owed().is_sorted_by(|a, b| a < b),
            "private messages out of order"
        );
        pending.in_flight.check();
        let readings = pending.replay.readings.iter().map(Reading::bytes).sum::<u64>();
        assert_eq!(pending.replay.bytes, readings, "the memory of readings drifted");
        assert_eq!(
            self.pending_usage,
            self.usage_of_pending(),
            "the memory of what is on its way drifted"
        );
    }
}

/// Private messages sent and not acknowledged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct InFlight {
    sent: VecDeque<Sent>,
    bytes: usize,
}

/// A private message that was sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) seq: Seq,
    pub(crate) id: MessageId,
    /// Bytes of its frame.
    pub(crate) bytes: usize,
}

impl InFlight {
    /// The message was sent.
    pub(crate) fn push(&mut self, sent: Sent) {
        assert!(
            self.newest().is_none_or(|newest| newest.seq < sent.seq),
            "private messages out of order"
        );
        self.sent.push_back(sent);
        self.bytes += sent.bytes;
    }

    /// The place of a message that is in flight.
    pub(crate) fn find(&self, id: MessageId) -> Option<Seq> {
        self.sent.iter().find(|sent| sent.id == id).map(|sent| sent.seq)
    }

    /// Takes off everything up to `upto`.
    pub(crate) fn acknowledge(&mut self, upto: Seq) -> Vec<Seq> {
        let count = self.sent.partition_point(|sent| sent.seq <= upto);
        let acknowledged = self.sent.drain(..count);
        let mut seqs = Vec::with_capacity(count);
        for sent in acknowledged {
            self.bytes -= sent.bytes;
            seqs.push(sent.seq);
        }
        seqs
    }

    pub(crate) fn newest(&self) -> Option<Sent> {
        self.sent.back().copied()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.sent.iter().map(|sent| sent.seq)
    }

    /// Asserts that the sum is right.
    pub(crate) fn check(&self) {
        assert_eq!(
            self.bytes,
            self.sent.iter().map(|sent| sent.bytes).sum::<usize>(),
            "bytes in flight drifted"
        );
    }
}

/// Histories on their way to a page, one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Replay {
    readings: VecDeque<Reading>,
    /// The probe that must come back before more is sent.
    pub(crate) probe: Option<MessageId>,
    bytes: u64,
}

impl Replay {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.readings.len()
    }

    /// The one whose turn it is.
    pub(crate) fn current(&mut self) -> Option<&mut Reading> {
        self.readings.front_mut()
    }

    pub(crate) fn begin(&mut self, reading: Reading) {
        self.bytes += reading.bytes();
        self.readings.push_back(reading);
    }

    pub(crate) fn end(&mut self) -> Option<Reading> {
        let ended = self.readings.pop_front()?;
        self.bytes -= ended.bytes();
        Some(ended)
    }
}

/// One history being read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) channel: ChannelName,
    pub(crate) marker: Marker,
    /// V5: the number of the command, to be answered after the last message.
    pub(crate) number: Option<CommandNumber>,
    /// How many messages were sent.
    pub(crate) sent: u64,
    /// The newest message sent.
    pub(crate) after: Seq,
    /// The newest message there was when the page asked.
    pub(crate) upto: Seq,
}

impl Reading {
    fn bytes(&self) -> u64 {
        cost::READING + text(self.channel.as_str().len()) + text(self.marker.as_str().len())
    }
}

/// All open connections. A connection that is not here is gone, whatever events about it still arrive.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Conns {
    /// Boxed: the nodes of a tree are half empty.
    open: BTreeMap<ConnId, Box<Conn>>,
}

impl Conns {
    pub(crate) fn insert(&mut self, id: ConnId, conn: Conn) {
        let previous = self.open.insert(id, Box::new(conn));
        assert!(previous.is_none(), "a connection id was used twice");
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.open.remove(&id)
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.open.get(&id).map(|conn| &**conn)
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.open.get_mut(&id).map(|conn| &mut **conn)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.open.iter().map(|(&id, conn)| (id, &**conn))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Conn)> {
        self.open.iter_mut().map(|(&id, conn)| (id, &mut **conn))
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Probe = Probe {
        id: MessageId(1),
        upto: Seq(1),
        deadline: Mono::from_micros(0),
    };

    fn reading() -> Reading {
        Reading {
            channel: ChannelName::from_browser("web_chat").expect("a name"),
            marker: Marker::parse("").expect("a marker"),
            number: None,
            sent: 0,
            after: Seq::START,
            upto: Seq(9),
        }
    }

    /// What a page waits for is kept, whichever part of it is all there is.
    #[test]
    fn each_part_of_what_is_on_its_way_is_something() {
        let some = |change: fn(&mut Pending)| {
            let mut pending = Pending::default();
            assert!(pending.is_nothing());
            change(&mut pending);
            !pending.is_nothing()
        };
        assert!(some(|pending| pending.unsent.extend([Seq(1)])));
        assert!(some(|pending| pending.probe = Some(PROBE)));
        assert!(some(|pending| pending.replay.begin(reading())));
    }

    /// `SHOW MEMORY` tells what is on its way to a page: each message, each deadline, each history it reads.
    #[test]
    fn what_is_on_its_way_is_counted() {
        let mut pending = Pending::default();
        assert_eq!(pending.bytes(), cost::PENDING);
        pending.unsent.extend([Seq(1), Seq(2)]);
        assert_eq!(pending.bytes(), cost::PENDING + 2 * cost::OWED);
        pending.probe = Some(PROBE);
        assert_eq!(pending.bytes(), cost::PENDING + 2 * cost::OWED + cost::TIMER);
        assert_eq!(reading().bytes(), cost::READING + text(8) + text(0));
        let before = pending.bytes();
        pending.replay.begin(reading());
        assert_eq!(pending.bytes(), before + cost::READING + text(8) + text(0));
        pending.replay.end();
        assert_eq!(pending.bytes(), before);
    }
}
