//! Acknowledgements: of the browser by a Pong (protocol.md 5.1), of the page of version 5 by its `ack`
//! (docs/protocol-v5.md 4). Something that is on its way is always waited for, and not for too long.

use comet_core::{ConnId, MessageId};

use super::{Failure, Model, wrong};
use crate::browser::Version;

/// The acknowledgement a connection owes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    /// The payload of the probe; `None` = an `ack` of the page.
    payload: Option<u128>,
    /// How many of the messages sent it covers.
    covered: usize,
    /// Since when.
    pub(super) since: u64,
}

impl Model {
    /// A probe is sent: it covers everything sent before.
    pub(super) fn probe_sent(&mut self, id: ConnId, probe: u128) -> Result<(), Failure> {
        let now = self.now;
        let Some(conn) = self.alive(id) else {
            return wrong("probe", format!("a probe to {id:?}, which is gone"));
        };
        let newest = conn
            .sent
            .last()
            .filter(|sent| !sent.acknowledged && conn.version != Version::V5);
        let place = newest.and_then(|newest| self.place(newest.n));
        let expected = place.and_then(|at| self.private[at].id.clone());
        let covered = conn.sent.len();
        if expected.as_deref() != Some(MessageId(probe).to_string().as_str()) {
            if self.reading_probe(id, probe) {
                return Ok(());
            }
            let conn = self.conn(id);
            return wrong("probe", format!("a probe with {} to {conn:?}", MessageId(probe)));
        }
        if conn.awaited.is_some() {
            return wrong("probe", format!("a second probe to {conn:?}"));
        }
        if let Some(conn) = self.conn_mut(id) {
            conn.awaited = Some(Awaited {
                payload: Some(probe),
                covered,
                since: now,
            });
        }
        Ok(())
    }

    /// A Pong arrived. In version 5 it says nothing about private messages.
    pub(super) fn pong(&mut self, id: ConnId, probe: u128) {
        let Some(conn) = self.conn_mut(id).filter(|conn| conn.gone.is_none()) else {
            return;
        };
        if conn.reading_probe == Some(probe) {
            conn.reading_probe = None;
            return;
        }
        let awaited = conn.awaited.filter(|awaited| awaited.payload == Some(probe));
        if let Some(awaited) = awaited {
            self.has_first(id, awaited.covered);
        }
    }

    /// A page of version 5 acknowledges a message and all before it; whatever is not on its way means nothing.
    pub(super) fn acknowledge(&mut self, id: ConnId, uuid: &str) {
        let Some(conn) = self.alive(id).filter(|conn| conn.user > 0) else {
            return;
        };
        let named = |n: u64| {
            self.place(n)
                .is_some_and(|at| self.private[at].id.as_deref() == Some(uuid))
        };
        let found = conn
            .sent
            .iter()
            .position(|sent| !sent.acknowledged && named(sent.n));
        if let Some(at) = found {
            self.has_first(id, at + 1);
        }
    }

    /// A connection has the first `count` messages that were sent to it.
    fn has_first(&mut self, id: ConnId, count: usize) {
        let Some(conn) = self.conn_mut(id) else { return };
        conn.awaited = None;
        let speaks_for_all = conn.version == Version::V5 && !conn.uuid.is_empty();
        let uuid = conn.uuid.clone();
        let mut covered = Vec::new();
        for sent in conn.sent.iter_mut().take(count).filter(|sent| !sent.acknowledged) {
            sent.acknowledged = true;
            covered.push(sent.n);
        }
        for n in covered {
            self.private_happened(n, "acknowledged", id);
            if let Some(at) = self.place(n) {
                self.private[at].somebody_has_it = true;
                if speaks_for_all {
                    self.private[at].done_by.push(uuid.clone());
                }
            }
        }
    }

    /// From now on pages of version 5 are waited for that were sent something in this step, or acknowledged a part.
    pub(super) fn wait_for_pages(&mut self) {
        let now = self.now;
        for at in &self.living {
            let conn = &mut self.conns[*at];
            let flying = conn.sent.last().is_some_and(|sent| !sent.acknowledged);
            if conn.version == Version::V5 && flying && conn.awaited.is_none() {
                conn.awaited = Some(Awaited {
                    payload: None,
                    covered: conn.sent.len(),
                    since: now,
                });
            }
        }
    }
}
