//! Private messages: a debt until a Pong proves that they arrived (protocol.md 5, 5.1), or the page of version 5 says so
//! (protocol-v5.md 4). The heart of the product.
//!
//! Every unpaid message is in the user's durable queue. `Debts` says which devices were sent it. Per connection the
//! messages leave in ascending `seq`, across queue and live delivery: a device is owed the whole queue when it
//! registers and everything newer as it is accepted, with nothing in between (Q8).
//!
//! At most `private_window_bytes` are on their way to a connection; the rest follows as acknowledgements come back. So a queue of
//! any length reaches a slow reader, whose send buffer it would overflow at once.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Core;
use super::delivery::private_message;
use crate::action::{Action, Recipients};
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, SessionId, UserId};
use crate::name::{Body, EventName};
use crate::record::{QueuedMessage, Record, Removal};
use crate::state::{Conn, Debts, GoneId, Party, Probe, Sent, Timer, What};
use crate::wire::{self, Content, Dialect, FrameBody};

/// Why messages leave a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaving {
    /// Acknowledged as protocol.md 5.1 says.
    Paid,
    /// Older than `queue_ttl`.
    Expired,
    /// This session deleted them.
    Deleted(SessionId),
}

impl Leaving {
    /// What the record of it says.
    const fn removal(self) -> Removal {
        match self {
            Self::Paid => Removal::Paid,
            Self::Expired => Removal::Expired,
            Self::Deleted(_) => Removal::Deleted,
        }
    }
}

impl Core {
    /// Accepts a private message: stores it, and sends it to all devices of the user (S7). Returns the record to wait
    /// for and the number of devices.
    pub(super) fn accept_private(
        &mut self,
        (dev, by): (DevId, SessionId),
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
            .map(|live| live.connections.devices().to_vec())
            .unwrap_or_default();
        self.note_accepted_private(dev, (id, seq, user), by, op, devices.len());
        for &conn in &devices {
            let Some(state) = self.conns.get_mut(conn) else {
                continue;
            };
            state.pending_mut().unsent.push_back(seq);
            self.tenants.edit_user(dev, user, |live| {
                live.owed_mut().debts.owe(seq, state.party(conn))
            });
            self.send_owed(conn, Some(seq), out);
        }
        (op, devices.len() as u64)
    }

    /// A device has just registered: everything it is owed leaves, in order (S9, S10, S11, S12, Q31).
    pub(super) fn pay_queue(&mut self, conn: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let Some((uuid, sole)) = self
            .conns
            .get(conn)
            .map(|state| (state.uuid.clone(), state.is_sole()))
        else {
            return;
        };
        let live = self.tenants.user(dev, user);
        let queue = self.durable.user(dev, user).map(|stored| &stored.queue);
        let owed: VecDeque<Seq> = queue
            .into_iter()
            .flatten()
            .map(|message| message.seq)
            .filter(|&seq| live.is_none_or(|live| live.owed().debts.owed_to(seq, &uuid)))
            .collect();
        if owed.is_empty() {
            return;
        }
        self.edit_debts(dev, user, |debts| {
            for &seq in &owed {
                let uuid = &uuid;
                debts.redelivered(seq, Party { conn, uuid, sole });
            }
        });
        if let Some(state) = self.conns.get_mut(conn) {
            state.pending_mut().unsent = owed;
        }
        self.send_owed(conn, None, out);
    }

    /// Sends what is owed and has room in the window, and asks for an acknowledgement. `live` is the message that was
    /// accepted just now; everything else comes from the queue.
    fn send_owed(&mut self, conn: ConnId, live: Option<Seq>, out: &mut Vec<Action>) {
        self.fill_window(conn, live, out);
        self.probe(conn, out);
        self.tidy(conn);
    }

    fn fill_window(&mut self, conn: ConnId, live: Option<Seq>, out: &mut Vec<Action>) {
        let window = self.config.private_window_bytes;
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let Some(user) = state.user else { return };
        let (dev, dialect, device) = (state.dev, state.dialect, state.device(conn));
        let stored = self.durable.user(dev, user);
        let pending = state.pending_mut();
        let mut sent = 0;
        while let Some(&seq) = pending.unsent.front() {
            let message = stored.and_then(|stored| stored.queued(seq));
            let bytes = message.map_or(0, |message| message.body.as_str().len());
            if pending.in_flight.bytes() > 0 && pending.in_flight.bytes() + bytes > window {
                break;
            }
            pending.unsent.pop_front();
            let Some(message) = message else { continue };
            let body = FrameBody::Private {
                event: message.event.as_str(),
                body: message.body.as_str(),
                id: message.id,
                from_queue: live != Some(seq),
            };
            let frame = wire::encode(
                &Content {
                    body,
                    answers: None,
                    time: message.time,
                },
                dialect,
            );
            pending.in_flight.push(Sent {
                seq,
                id: message.id,
                bytes: frame.bytes().len(),
            });
            let told = private_message(message.id, seq, user);
            let to = device.clone();
            self.journal.note(self.now.unix, dev, told, What::Sent { to });
            out.push(Action::Send {
                to: Recipients::One(conn),
                frame,
            });
            sent += 1;
        }
        self.count_sent(dev, sent);
    }

    /// Makes sure that what is in flight is acknowledged in time or the connection dropped: a Ping goes out behind the
    /// newest private message. A page of version 5 acknowledges without being asked (protocol-v5.md 4).
    fn probe(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        let deadline = self.now.mono.plus_ms(self.config.ack_timeout_ms);
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let pending = state.pending_mut();
        let Some(newest) = pending.in_flight.newest().filter(|_| pending.probe.is_none()) else {
            return;
        };
        pending.probe = Some(Probe {
            id: newest.id,
            upto: newest.seq,
            deadline,
        });
        self.timers.arm(deadline, Timer::Probe(conn));
        if state.dialect != Dialect::V5 {
            out.push(Action::Probe {
                conn,
                probe: newest.id,
            });
        }
    }

    /// A Pong with the payload of the outstanding probe acknowledges what was sent before it; others nothing.
    pub(super) fn probe_answered(&mut self, conn: ConnId, answer: MessageId, out: &mut Vec<Action>) {
        self.statistics.network_events += 1;
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        if state.pending().replay.probe == Some(answer) {
            state.pending_mut().replay.probe = None;
            return self.send_history(conn, out);
        }
        let probe = state.pending().probe.filter(|probe| probe.id == answer);
        if let Some(probe) = probe.filter(|_| state.dialect != Dialect::V5) {
            self.settle(conn, probe.upto, out);
        }
    }

    /// `ack`: the page has handled this message and all before it. What is not in flight was acknowledged before.
    pub(super) fn acknowledged(&mut self, conn: ConnId, id: MessageId, out: &mut Vec<Action>) {
        let state = self.conns.get(conn);
        if let Some(upto) = state.and_then(|state| state.pending().in_flight.find(id)) {
            self.settle(conn, upto, out);
        }
    }

    /// A device has everything up to `upto`; what follows gets its own time.
    fn settle(&mut self, conn: ConnId, upto: Seq, out: &mut Vec<Action>) {
        let Some(state) = self.conns.get_mut(conn) else {
            return;
        };
        let (Some(probe), Some(user)) = (state.pending().probe, state.user) else {
            return;
        };
        let (dev, uuid, sole) = (state.dev, state.uuid.clone(), state.is_sole());
        let device = state.device(conn);
        let pending = state.pending_mut();
        pending.probe = None;
        let mut acknowledged = pending.in_flight.acknowledge(upto);
        self.timers.disarm(probe.deadline, Timer::Probe(conn));
        let stored = self.durable.user(dev, user);
        acknowledged.retain(|&seq| stored.is_some_and(|stored| stored.queued(seq).is_some()));
        self.note_acknowledged(dev, user, &acknowledged, &device);
        let uuid = &uuid;
        let party = Party { conn, uuid, sole };
        let paid = self.edit_debts(dev, user, |debts| {
            acknowledged
                .into_iter()
                .filter(|&seq| debts.acknowledge(seq, party))
                .collect::<Vec<_>>()
        });
        self.remove_private(dev, user, paid, Leaving::Paid, out);
        self.send_owed(conn, None, out);
    }

    /// A device left a probe unanswered: it is half dead, and its messages are owed again.
    pub(super) fn probe_timed_out(&mut self, conn: ConnId, out: &mut Vec<Action>) {
        self.close(conn, crate::event::CloseCause::AckTimeout, out);
    }

    /// A connection ends with unacknowledged messages: they go back, and the browser keeps its claim for a while.
    pub(super) fn keep_claim(&mut self, id: ConnId, conn: &Conn, user: UserId, out: &mut Vec<Action>) {
        let pending = conn.pending();
        if pending.owed().next().is_none() {
            return;
        }
        self.last_gone = GoneId(self.last_gone.0 + 1);
        let gone = self.last_gone;
        let until = self.now.mono.plus_ms(self.config.reload_grace_ms);
        let devices_max = self.config.devices_per_user_max;
        let (paid, noted) = self.edit_debts(conn.dev, user, |debts| {
            let paid = debts.vanished(gone, id, until, pending.owed(), devices_max);
            (paid, debts.has_claim(gone))
        });
        if noted {
            self.timers.arm(until, Timer::Grace(conn.dev, user, gone));
        }
        // A stopping server makes no records any more; what is paid by its own end stays in the queue.
        if !self.stopping {
            self.remove_private(conn.dev, user, paid, Leaving::Paid, out);
        }
    }

    /// Changes what is in flight to a user, and disarms the timers of claims that ended by that.
    fn edit_debts<T>(&mut self, dev: DevId, user: UserId, change: impl FnOnce(&mut Debts) -> T) -> T {
        let (result, ended) = self.tenants.edit_user(dev, user, |live| {
            let debts = &mut live.owed_mut().debts;
            let result = change(debts);
            (result, debts.take_ended())
        });
        for (gone, until) in ended {
            self.timers.disarm(until, Timer::Grace(dev, user, gone));
        }
        result
    }

    /// A vanished device was away too long: what others have acknowledged is paid.
    pub(super) fn grace_over(&mut self, dev: DevId, user: UserId, gone: GoneId, out: &mut Vec<Action>) {
        let paid = self.edit_debts(dev, user, |debts| debts.grace_over(gone));
        self.remove_private(dev, user, paid, Leaving::Paid, out);
    }

    /// Takes messages out of the queue, for good.
    pub(super) fn remove_private(
        &mut self,
        dev: DevId,
        user: UserId,
        seqs: Vec<Seq>,
        why: Leaving,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        if seqs.is_empty() {
            return None;
        }
        self.note_removed(dev, user, &seqs, why);
        if why != Leaving::Paid {
            self.edit_debts(dev, user, |debts| {
                for &seq in &seqs {
                    debts.forget(seq);
                }
            });
        }
        let why = why.removal();
        let op = self.commit(Record::MessagesRemoved { dev, user, seqs, why }, out);
        self.watch_ttl(dev, user);
        Some(op)
    }
}
