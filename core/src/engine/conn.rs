//! Connections come and go (protocol.md 2.3, 2.4, 4.5).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::Core;
use super::memory::CONNECTION;
use crate::action::{Action, Recipients};
use crate::event::{ClientInfo, CloseCause};
use crate::id::ConnId;
use crate::limit::is_private;
use crate::state::{Category, Conn, Timer, Usage};
use crate::wire::{BadReason, Dialect, ErrorExtra, FrameBody, Hello, Refusal};

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
        if self.is_full() {
            self.count_refused(1);
            return out.push(Action::Close {
                conn: id,
                cause: CloseCause::NoMemory,
            });
        }
        if self.is_crowded(client.ip) {
            self.statistics.refused.address += 1;
            let (reason, cause) = (BadReason::TooManyConnections, CloseCause::Throttled);
            return self.turn_away(id, hello.dialect, reason, cause, out);
        }
        if !self.has_room_for_connection(hello.dev) {
            return self.turn_away_full(id, hello.dialect, out);
        }
        let Ok(identity) = self.authenticate(&hello, client.ip) else {
            self.statistics.refused.keys += 1;
            let (reason, cause) = (BadReason::TooManyFailures, CloseCause::Throttled);
            return self.turn_away(id, hello.dialect, reason, cause, out);
        };
        let user = identity.user();
        if user.is_some_and(|user| !self.has_room_for_user(hello.dev, user)) {
            return self.turn_away_full(id, hello.dialect, out);
        }
        if let Some(ip) = self.counted(client.ip) {
            self.addresses.enter(ip);
        }
        let client = self.clients.enter(client);
        self.conns
            .insert(id, Conn::new(&hello, user, client, self.now.mono));
        self.tenants.entry(hello.dev).connections += 1;
        self.tenants
            .charge(hello.dev, Category::Connections, Usage::NONE, CONNECTION);
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

    /// The address has as many connections as it may have.
    fn is_crowded(&self, ip: Option<IpAddr>) -> bool {
        self.counted(ip)
            .is_some_and(|ip| self.addresses.count(ip) >= self.config.address_connections_max)
    }

    /// The address, if its connections are counted.
    pub(super) fn counted(&self, ip: Option<IpAddr>) -> Option<IpAddr> {
        let is_client = |ip: &IpAddr| self.config.private_addresses_are_clients || !is_private(*ip);
        ip.filter(|ip| self.config.address_connections_max > 0 && is_client(ip))
    }

    /// The tenant has no room for it.
    fn turn_away_full(&mut self, id: ConnId, dialect: Dialect, out: &mut Vec<Action>) {
        self.statistics.refused.quota += 1;
        self.turn_away(id, dialect, BadReason::QuotaExceeded, CloseCause::Quota, out);
    }

    /// Not now: told by an error that is not fatal, so that the page comes back by itself, then the connection is closed
    /// (protocol.md 2.3).
    fn turn_away(
        &mut self,
        id: ConnId,
        dialect: Dialect,
        reason: BadReason,
        cause: CloseCause,
        out: &mut Vec<Action>,
    ) {
        let error = FrameBody::Error {
            reason,
            extra: ErrorExtra::Plain,
            detail: "",
        };
        let frame = self.encode(error, None, dialect);
        let to = Recipients::One(id);
        out.push(Action::Send { to, frame });
        out.push(Action::Close { conn: id, cause });
    }

    /// The runtime reports a dead connection. One that the core closed itself is forgotten already.
    pub(super) fn closed(&mut self, id: ConnId, cause: CloseCause, out: &mut Vec<Action>) {
        self.statistics.network_events += 1;
        self.forget_conn(id, cause, out);
    }

    /// Closes a connection from our side.
    pub(super) fn close(&mut self, id: ConnId, cause: CloseCause, out: &mut Vec<Action>) {
        out.push(Action::Close { conn: id, cause });
        self.forget_conn(id, cause, out);
    }

    /// A connection is gone: first the offline event, then the track events (4.6).
    fn forget_conn(&mut self, id: ConnId, cause: CloseCause, out: &mut Vec<Action>) {
        let Some(conn) = self.conns.remove(id) else { return };
        self.statistics.ws.closed += 1;
        self.tenants.entry(conn.dev).connections -= 1;
        let piece_max = self.config.recipients_piece_max;
        for channel in &conn.channels {
            self.tenants
                .unsubscribe(conn.dev, channel, id, conn.dialect, piece_max);
        }
        self.tenants
            .charge(conn.dev, Category::Connections, CONNECTION, Usage::NONE);
        let pending = conn.pending_usage();
        self.tenants
            .charge(conn.dev, Category::Deliveries, pending, Usage::NONE);
        if let Some(probe) = conn.pending().probe {
            self.timers.disarm(probe.deadline, Timer::Probe(id));
        }
        if let Some(user) = conn.user {
            self.note_unacknowledged(id, &conn, user, cause);
            self.keep_claim(id, &conn, user, out);
            self.unregister_device(id, conn.dev, user, out);
        }
        for channel in &conn.channels {
            self.announce_track(conn.dev, channel, false, conn.user, &conn.uuid, out);
        }
        if let Some(ip) = self.counted(conn.client.ip) {
            self.addresses.leave(ip);
        }
        self.forget_turns(id);
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
            self.forget_conn(conn, CloseCause::Shutdown, &mut silenced);
        }
        assert!(
            silenced
                .iter()
                .all(|action| matches!(action, Action::Send { .. })),
            "stopping changed something durable behind the store's back"
        );
    }
}
