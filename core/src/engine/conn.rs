//! Connections come and go (protocol.md 2.3, 2.4, 4.5).

use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::event::{ClientInfo, CloseCause};
use crate::id::ConnId;
use crate::state::{Conn, Timer};
use crate::wire::{FrameBody, Hello, Refusal};

impl Core {
    /// A browser connected: decide who it is, greet it, register it, pay what is owed (2.3, in this order). Every page
    /// is told by F1 whether it is authorized (S5, S16, S19).
    pub(super) fn opened(
        &mut self,
        id: ConnId,
        hello: Result<Hello, Refusal>,
        client: &ClientInfo,
        out: &mut Vec<Action>,
    ) {
        self.statistics.network_events += 1;
        if self.stopping {
            out.push(Action::Close {
                conn: id,
                cause: CloseCause::Shutdown,
            });
            return;
        }
        let hello = match hello {
            Ok(hello) => hello,
            Err(refusal) => return self.refuse(id, refusal, out),
        };
        let identity = self.identify(&hello);
        let user = identity.user();
        let client = self.clients.enter(client);
        self.conns
            .insert(id, Conn::new(&hello, user, client, self.now.mono));
        self.tenants.entry(hello.dev).connections += 1;
        self.statistics.ws.accepted += 1;
        let server = self.config.product.clone();
        let info = FrameBody::ServerInfo {
            server: &server,
            authorized: user.is_some(),
            key: identity.told_key(),
        };
        self.send(id, info, out);
        if let Some(user) = user {
            self.register_device(id, hello.dev, user, out);
            self.pay_queue(id, hello.dev, user, out);
        }
    }

    /// Fatal errors are told over the WebSocket, then the connection is closed (Q16).
    fn refuse(&mut self, id: ConnId, refusal: Refusal, out: &mut Vec<Action>) {
        let frame = self.encode(
            FrameBody::Fatal {
                reason: refusal.reason,
            },
            None,
            refusal.dialect,
        );
        out.push(Action::Send {
            to: Recipients::One(id),
            frame,
        });
        out.push(Action::Close {
            conn: id,
            cause: CloseCause::Refused,
        });
    }

    /// The runtime reports a dead connection. One that the core closed itself is forgotten already.
    pub(super) fn closed(&mut self, id: ConnId, _cause: CloseCause, out: &mut Vec<Action>) {
        self.statistics.network_events += 1;
        self.forget_conn(id, out);
    }

    /// Closes a connection from our side.
    pub(super) fn close(&mut self, id: ConnId, cause: CloseCause, out: &mut Vec<Action>) {
        out.push(Action::Close { conn: id, cause });
        self.forget_conn(id, out);
    }

    /// A connection is gone: first the offline event, then the track events (4.6).
    fn forget_conn(&mut self, id: ConnId, out: &mut Vec<Action>) {
        let Some(conn) = self.conns.remove(id) else { return };
        self.statistics.ws.closed += 1;
        let tenant = self.tenants.entry(conn.dev);
        tenant.connections -= 1;
        for channel in &conn.channels {
            tenant.unsubscribe(channel, id, conn.dialect, self.config.recipients_piece_max);
        }
        if let Some(probe) = conn.pending().probe {
            self.timers.disarm(probe.deadline, Timer::Probe(id));
        }
        if let Some(user) = conn.user {
            self.keep_claim(id, &conn, user, out);
            self.unregister_device(id, conn.dev, user, out);
        }
        for channel in &conn.channels {
            self.announce_track(conn.dev, channel, false, conn.user, &conn.uuid, out);
        }
        self.clients.leave(conn.client);
    }

    /// Drops connections older than `maxUptime` (Q51).
    pub(super) fn sweep_connections(&mut self, out: &mut Vec<Action>) {
        let (max, every) = (self.config.ws_uptime_max_ms, self.config.ws_uptime_sweep_ms);
        let now = self.now.mono;
        let old = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.opened.plus_ms(max) <= now)
            .map(|(id, _)| id);
        for id in old.collect::<Vec<_>>() {
            self.close(id, CloseCause::TooOld, out);
        }
        self.arm_period(every, Timer::WsUptime);
    }

    /// The server stops. No events: everybody is going away.
    pub(super) fn close_everybody(&mut self, out: &mut Vec<Action>) {
        let open: Vec<ConnId> = self.conns.iter().map(|(id, _)| id).collect();
        for &conn in &open {
            out.push(Action::Close {
                conn,
                cause: CloseCause::Shutdown,
            });
        }
        let mut silenced = Vec::new();
        for conn in open {
            self.forget_conn(conn, &mut silenced);
        }
        assert!(
            silenced
                .iter()
                .all(|action| matches!(action, Action::Send { .. })),
            "stopping changed something durable behind the store's back"
        );
    }
}
