//! Private messages: a debt until a Pong proves that they arrived (protocol.md 5, 5.1). The heart of the product.
//!
//! Every unpaid message is in the user's durable queue. `Debts` says which devices were sent it. Per connection the
//! messages leave in ascending `seq`, across queue and live delivery: a device is owed the whole queue when it
//! registers and everything newer as it is accepted, with nothing in between (Q8).
//!
//! At most `private_window_bytes` are on their way to a connection; the rest follows as Pongs come back. So a queue of
//! any length reaches a slow reader, whose send buffer it would overflow at once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Core;
use crate::action::{Action, Recipients};
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, UserId};
use crate::name::{Body, EventName};
use crate::record::{QueuedMessage, Record, Removal};
use crate::state::{Conn, GoneId, Probe, Timer};
use crate::time::UnixSeconds;
use crate::wire::{self, Content, FrameBody};

impl Core {
    /// Accepts a private message: stores it, and sends it to all devices of the user (S7). Returns the record to wait
    /// for and the number of devices.
    pub(super) fn accept_private(
        &mut self,
        dev: DevId,
        user: UserId,
        event: EventName,
        body: Body,
        out: &mut Vec<Action>,
    ) -> (OpId, u64) {
        let id = self.message_ids.next(self.now.unix);
        let seq = self.next_seq();
        let message = QueuedMessage {
            seq,
            id,
            time: self.now.unix.seconds(),
            event,
            body,
        };
        let op = self.commit(Record::MessageQueued { dev, user, message }, out);
        self.watch_ttl(dev, user);
        let devices = self
            .tenants
            .user(dev, user)
            .map(|live| live.devices.clone())
            .unwrap_or_default();
        for &conn in &devices {
            self.tenants
                .edit_user(dev, user, |live| live.debts.sent(seq, conn));
            if let Some(state) = self.conns.get_mut(conn) {
                state.unsent.push_back(seq);
            }
            self.send_owed(conn, Some(seq), out);
        }
        (op, devices.len() as u64)
    }

    /// A device has just registered: everything it is owed leaves, in order (S10, S11, S12, Q31).
    pub(super) fn pay_queue(&mut self, conn: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let Some(uuid) = self.conns.get(conn).map(|state| state.uuid.clone()) else {
            return;
        };
        let conns = &self.conns;
        let uuid_of = |other: ConnId| conns.get(other).map(|state| state.uuid.clone());
        let debts = self.tenants.user(dev, user).map(|live| &live.debts);
        let queue = self.durable.user(dev, user).map(|stored| &stored.queue);
        let owed: VecDeque<Seq> = queue
            .into_iter()
            .flatten()
            .map(|message| message.seq)
            .filter(|&seq| debts.is_none_or(|debts| debts.owed_to(seq, &uuid, uuid_of)))
            .collect();
        self.tenants.edit_user(dev, user, |live| {
            for &seq in &owed {
                live.debts.redelivered(seq, conn, &uuid, uuid_of);
            }
        });
        if let Some(state) = self.conns.get_mut(conn) {
            state.unsent = owed;
        }
        self.send_owed(conn, None, out);
    }

    /// Sends what is owed and has room in the window, and a probe behind it. `live` is the message that was accepted
    /// just now; everything else comes from the queue.
    fn send_owed(&mut self, conn: ConnId, live: Option<Seq>, out: &mut Vec<Action>) {
        loop {
            self.fill_window(conn, live, out);
            let sent_probe = self.probe(conn, out);
            let waits = self.conns.get(conn).is_some_and(|state| !state.unsent.is_empty());
            // Only if everything in flight was deleted meanwhile is there room again.
            if sent_probe || !waits {
                return;
            }
        }
    }

    fn fill_window(&mut self, conn: ConnId, live: Option<Seq>, out: &mut Vec<Action>) {
        let window = self.config.private_window_bytes;
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let Some(user) = state.user else { return };
        let (dev, dialect) = (state.dev, state.dialect);
        let stored = self.durable.user(dev, user);
        let mut sent = 0;
        while state.in_flight.bytes() < window {
            let Some(seq) = state.unsent.pop_front() else {
                break;
            };
            let Some(message) = stored.and_then(|stored| stored.queued(seq)) else {
                continue;
            };
            let body = FrameBody::Private {
                event: message.event.as_str(),
                body: message.body.as_str(),
                id: message.id,
                from_queue: live != Some(seq),
            };
            let frame = wire::encode(
                &Content {
                    body,
                    time: message.time,
                },
                dialect,
            );
            state.in_flight.push(seq, frame.bytes().len());
            out.push(Action::Send {
                to: Recipients::One(conn),
                frame,
            });
            sent += 1;
        }
        self.count_sent(dev, sent);
    }

    /// Makes sure that a probe is on its way behind the newest private message. False if nothing is in flight.
    fn probe(&mut self, conn: ConnId, out: &mut Vec<Action>) -> bool {
        let deadline = self.now.mono.plus_ms(self.config.ack_timeout_ms);
        let Some(state) = self.conns.get_mut(conn) else {
            return false;
        };
        let Some(user) = state.user else { return false };
        if state.probe.is_some() {
            return true;
        }
        let queue = self.durable.user(state.dev, user);
        while let Some(newest) = state.in_flight.newest() {
            if let Some(message) = queue.and_then(|stored| stored.queued(newest)) {
                state.probe = Some(Probe {
                    id: message.id,
                    upto: newest,
                    deadline,
                });
                out.push(Action::Probe {
                    conn,
                    probe: message.id,
                });
                self.timers.arm(deadline, Timer::Probe(conn));
                return true;
            }
            state.in_flight.forget_newest();
        }
        false
    }

    /// A Pong with the payload of the outstanding probe acknowledges what was sent before it; others nothing.
    pub(super) fn probe_answered(&mut self, conn: ConnId, answer: MessageId, out: &mut Vec<Action>) {
        self.statistics.network_events += 1;
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let (Some(probe), Some(user)) = (state.probe, state.user) else {
            return;
        };
        if probe.id != answer {
            return;
        }
        state.probe = None;
        let (dev, uuid) = (state.dev, state.uuid.clone());
        let mut acknowledged = state.in_flight.acknowledge(probe.upto);
        self.timers.disarm(probe.deadline, Timer::Probe(conn));
        let stored = self.durable.user(dev, user);
        acknowledged.retain(|&seq| stored.is_some_and(|stored| stored.queued(seq).is_some()));
        let paid = self.tenants.edit_user(dev, user, |live| {
            acknowledged
                .into_iter()
                .filter(|&seq| live.debts.acknowledge(seq, conn, &uuid))
                .collect::<Vec<_>>()
        });
        self.remove_private(dev, user, paid, Removal::Paid, out);
        self.send_owed(conn, None, out);
    }

    /// A device left a probe unanswered: it is half dead, and its messages are owed again.
    pub(super) fn probe_timed_out(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        self.close(conn, crate::event::CloseCause::AckTimeout, out);
    }

    /// A connection ends with unacknowledged messages: they go back, and the browser keeps its claim for a while.
    pub(super) fn keep_claim(&mut self, id: ConnId, conn: &Conn, user: UserId) {
        if conn.owed().next().is_none() {
            return;
        }
        self.last_gone = GoneId(self.last_gone.0 + 1);
        let gone = self.last_gone;
        let until = self.now.mono.plus_ms(self.config.reload_grace_ms);
        let noted = self.tenants.edit_user(conn.dev, user, |live| {
            live.debts
                .vanished(gone, id, conn.uuid.clone(), until, conn.owed())
        });
        if noted {
            self.timers.arm(until, Timer::Grace(conn.dev, user, gone));
        }
    }

    /// A vanished device was away too long: what others have acknowledged is paid.
    pub(super) fn grace_over(&mut self, dev: DevId, user: UserId, gone: GoneId, out: &mut Vec<Action>) {
        let paid = self
            .tenants
            .edit_user(dev, user, |live| live.debts.grace_over(gone));
        self.remove_private(dev, user, paid, Removal::Paid, out);
    }

    /// Takes messages out of the queue, for good.
    pub(super) fn remove_private(
        &mut self,
        dev: DevId,
        user: UserId,
        seqs: Vec<Seq>,
        why: Removal,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        if seqs.is_empty() {
            return None;
        }
        if why != Removal::Paid {
            self.tenants.edit_user(dev, user, |live| {
                for &seq in &seqs {
                    live.debts.forget(seq);
                }
            });
        }
        let op = self.commit(Record::MessagesRemoved { dev, user, seqs, why }, out);
        self.watch_ttl(dev, user);
        Some(op)
    }

    /// Keeps one timer per user with a queue, if queues expire (Q71). It looks at the oldest message; if that has
    /// left meanwhile, the timer comes early and is armed again.
    fn watch_ttl(&mut self, dev: DevId, user: UserId) {
        let ttl = self.config.queue_ttl_ms;
        if ttl == 0 {
            return;
        }
        let oldest = self
            .durable
            .user(dev, user)
            .and_then(|stored| stored.queue.front())
            .map(|m| m.time);
        let armed = self.tenants.user(dev, user).and_then(|live| live.ttl_deadline);
        let wanted = match (oldest, armed) {
            (None, Some(deadline)) => {
                self.timers.disarm(deadline, Timer::QueueTtl(dev, user));
                None
            }
            (Some(accepted), None) => {
                // At least a millisecond, so that a wall clock that stands still cannot make this spin.
                let wait = expiry_ms(accepted, ttl).saturating_sub(self.now.unix.0).max(1);
                let deadline = self.now.mono.plus_ms(wait);
                self.timers.arm(deadline, Timer::QueueTtl(dev, user));
                Some(deadline)
            }
            (None, None) | (Some(_), Some(_)) => return,
        };
        self.tenants
            .edit_user(dev, user, |live| live.ttl_deadline = wanted);
    }

    /// Messages older than `queue_ttl` leave the queue (Q71).
    pub(super) fn expire_queue(&mut self, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        self.tenants.edit_user(dev, user, |live| live.ttl_deadline = None);
        let (now, ttl) = (self.now.unix.0, self.config.queue_ttl_ms);
        let Some(stored) = self.durable.user(dev, user) else {
            return;
        };
        let expired = |message: &&QueuedMessage| expiry_ms(message.time, ttl) <= now;
        let seqs: Vec<Seq> = stored
            .queue
            .iter()
            .take_while(expired)
            .map(|message| message.seq)
            .collect();
        self.remove_private(dev, user, seqs, Removal::Expired, out);
        self.watch_ttl(dev, user);
    }

    /// After a restart: the stored queues expire as if nothing had happened.
    pub(super) fn watch_stored_ttls(&mut self) {
        let tenants = self.durable.tenants();
        let users: Vec<(DevId, UserId)> = tenants
            .flat_map(|(dev, tenant)| tenant.users.keys().map(move |&user| (dev, user)))
            .collect();
        for (dev, user) in users {
            self.watch_ttl(dev, user);
        }
    }
}

fn expiry_ms(accepted: UnixSeconds, ttl_ms: u64) -> u64 {
    accepted.0.saturating_mul(1000).saturating_add(ttl_ms)
}
