//! Open browser connections.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::event::ClientInfo;
use crate::id::{ConnId, DevId, MessageId, Seq, UserId};
use crate::name::{ChannelName, ClientUuid, Marker};
use crate::time::Mono;
use crate::wire::Dialect;

/// One open connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) dev: DevId,
    /// The proven user; `None` = anonymous.
    pub(crate) user: Option<UserId>,
    pub(crate) dialect: Dialect,
    pub(crate) uuid: ClientUuid,
    pub(crate) client: Arc<ClientInfo>,
    /// In the order of subscribing.
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) opened: Mono,
    /// Private messages on their way, ascending.
    pub(crate) in_flight: InFlight,
    /// Private messages that are owed and wait for room in the window, ascending, newer than all in flight.
    pub(crate) unsent: VecDeque<Seq>,
    /// The probe on its way, if any (protocol.md 5.1: at most one).
    pub(crate) probe: Option<Probe>,
    /// Histories the page asked for and has not got completely.
    pub(crate) replay: Replay,
    /// Commands in the second that began then (Q63).
    pub(crate) command_window: (Mono, u32),
}

/// A probe that was sent and has not come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Probe {
    /// Its payload.
    pub(crate) id: MessageId,
    /// The newest private message before it.
    pub(crate) upto: Seq,
    /// When the connection is dropped if it has not come back.
    pub(crate) deadline: Mono,
}

impl Conn {
    /// Everything owed to this connection, ascending.
    pub(crate) fn owed(&self) -> impl Iterator<Item = Seq> {
        self.in_flight.seqs().chain(self.unsent.iter().copied())
    }
}

/// Private messages sent and not acknowledged, with the bytes of their frames.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    sent: VecDeque<(Seq, usize)>,
    bytes: usize,
}

impl InFlight {
    /// The message was sent in a frame of this many bytes.
    pub(crate) fn push(&mut self, seq: Seq, bytes: usize) {
        assert!(
            self.newest().is_none_or(|newest| newest < seq),
            "private messages out of order"
        );
        self.sent.push_back((seq, bytes));
        self.bytes += bytes;
    }

    /// Takes off everything up to `upto`.
    pub(crate) fn acknowledge(&mut self, upto: Seq) -> Vec<Seq> {
        let count = self.sent.partition_point(|&(seq, _)| seq <= upto);
        let acknowledged = self.sent.drain(..count);
        let mut seqs = Vec::with_capacity(count);
        for (seq, bytes) in acknowledged {
            self.bytes -= bytes;
            seqs.push(seq);
        }
        seqs
    }

    /// Takes the newest message off: it is not owed any more.
    pub(crate) fn forget_newest(&mut self) {
        if let Some((_, bytes)) = self.sent.pop_back() {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn newest(&self) -> Option<Seq> {
        self.sent.back().map(|&(seq, _)| seq)
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.sent.iter().map(|&(seq, _)| seq)
    }

    /// Asserts that the sum is right.
    pub(crate) fn check(&self) {
        assert_eq!(
            self.bytes,
            self.sent.iter().map(|&(_, bytes)| bytes).sum::<usize>(),
            "bytes in flight drifted"
        );
    }
}

/// Histories on their way to a page, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) readings: VecDeque<Reading>,
    /// The probe that must come back before more is sent.
    pub(crate) probe: Option<MessageId>,
}

/// One history being read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) channel: ChannelName,
    pub(crate) marker: Marker,
    /// The newest message sent.
    pub(crate) after: Seq,
    /// The newest message there was when the page asked.
    pub(crate) upto: Seq,
}

/// All open connections. A connection that is not here is gone, whatever events about it still arrive.
#[derive(Debug, Default)]
pub(crate) struct Conns {
    open: BTreeMap<ConnId, Conn>,
}

impl Conns {
    pub(crate) fn insert(&mut self, id: ConnId, conn: Conn) {
        let previous = self.open.insert(id, conn);
        assert!(previous.is_none(), "a connection id was used twice");
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.open.remove(&id)
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.open.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.open.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.open.iter().map(|(&id, conn)| (id, conn))
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
