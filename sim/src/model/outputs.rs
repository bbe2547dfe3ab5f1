//! What the core wants from the world, understood: frames are read once, as the pages that get them would.

use std::rc::Rc;

use comet_core::{Action, Answer, CloseCause, ConnId, OpId, Record, Room};

use super::{Cause, Failure, Model};
use crate::browser::Version;
use crate::seen::{Told, read};

/// One output of the core, understood.
#[derive(Clone, Debug)]
pub enum Out {
    Frame {
        to: Vec<ConnId>,
        told: Rc<Told>,
        /// The version whose form it has.
        version: Version,
        bytes: u64,
    },
    Probe {
        conn: ConnId,
        probe: u128,
    },
    Close {
        conn: ConnId,
        cause: CloseCause,
    },
    Reply {
        session: u64,
        req: u64,
        reply: Result<Answer, u16>,
    },
    CloseSession {
        session: u64,
    },
    Record {
        op: OpId,
        record: Record,
    },
    Ready(bool),
    Room(Room),
}

impl Model {
    /// Reads the frames of the actions, once each, in the version of whoever is the first to get them.
    pub(super) fn understand(&self, cause: &Cause, actions: &[Action]) -> Result<Vec<Out>, Failure> {
        let mut outs = Vec::with_capacity(actions.len());
        for action in actions {
            outs.push(match action {
                Action::Send { to, frame } => {
                    let to = crate::world::recipients(to);
                    let version = self.version_of(cause, to.first());
                    let told =
                        read(frame.as_str(), version).map_err(|text| Failure { kind: "frame", text })?;
                    Out::Frame {
                        to,
                        told: Rc::new(told),
                        version,
                        bytes: frame.bytes().len() as u64,
                    }
                }
                Action::Probe { conn, probe } => Out::Probe {
                    conn: *conn,
                    probe: probe.0,
                },
                Action::Close { conn, cause } => Out::Close {
                    conn: *conn,
                    cause: *cause,
                },
                Action::Reply { session, req, reply } => Out::Reply {
                    session: session.0,
                    req: req.0,
                    reply: reply.result.clone().map_err(|error| error.code.number()),
                },
                Action::CloseSession { session } => Out::CloseSession { session: session.0 },
                Action::Persist { op, record } => Out::Record {
                    op: *op,
                    record: record.clone(),
                },
                Action::Ready(ready) => Out::Ready(*ready),
                Action::Room(room) => Out::Room(*room),
            });
        }
        Ok(outs)
    }

    /// A connection that opens in this step is not in the list yet.
    fn version_of(&self, cause: &Cause, conn: Option<&ConnId>) -> Version {
        match (cause, conn) {
            (Cause::Opened(claim), Some(conn)) if claim.conn == *conn => claim.version,
            (Cause::Intruder { conn: intruder, kind }, Some(conn)) if intruder == conn => kind.version(),
            (_, Some(conn)) => self.conn(*conn).map_or(Version::V4, |conn| conn.version),
            (_, None) => Version::V4,
        }
    }
}
