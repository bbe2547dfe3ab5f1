//! Open browser connections.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::event::ClientInfo;
use crate::id::{ConnId, DevId, MessageId, Seq, UserId};
use crate::name::{ChannelName, ClientUuid};
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
    /// Private messages sent and not acknowledged, ascending.
    pub(crate) unacknowledged: VecDeque<Seq>,
    /// The probe on its way, if any (protocol.md 5.1: at most one).
    pub(crate) probe: Option<Probe>,
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
    /// Takes everything up to `upto` off the list of unacknowledged messages.
    pub(crate) fn take_acknowledged(&mut self, upto: Seq) -> Vec<Seq> {
        let count = self.unacknowledged.partition_point(|&seq| seq <= upto);
        self.unacknowledged.drain(..count).collect()
    }
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
