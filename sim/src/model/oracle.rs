//! One step of the core against the model: everything that came out was due, everything that was due came out.

use std::collections::VecDeque;

use comet_core::{Action, CloseCause, ConnId, OpId, Record};

use super::answers::ANY_SECONDS;
use super::{Cause, Conn, Failure, Model, Out, wrong};
use crate::browser::Version;
use crate::profile::Knob;
use crate::seen::{Extra, Seen, Told};

impl Model {
    /// The core handled `cause` and wants `actions`. Returns them, understood, in the same order.
    pub fn step(
        &mut self,
        now: u64,
        unix: u64,
        cause: &Cause,
        actions: &[Action],
    ) -> Result<Vec<Out>, Failure> {
        self.now = now;
        self.unix = unix;
        self.kicks.clear();
        self.leaving.clear();
        self.ended.clear();
        self.emptied = None;
        self.trouble = None;
        self.turned_away = None;
        self.begin_deliveries(cause);
        let outs = self.understand(cause, actions)?;
        self.count(cause, &outs);
        self.appended = appended(&outs);
        self.timer_closes(&outs)?;
        self.old_sessions(cause, &outs)?;
        self.happen(cause, &outs);
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        for out in &outs {
            self.compare(out)?;
        }
        self.settle()?;
        self.check_room()?;
        self.end_deliveries();
        Ok(outs)
    }

    fn happen(&mut self, cause: &Cause, outs: &[Out]) {
        match cause {
            Cause::Opened(claim) => self.open(claim),
            Cause::Intruder { conn, kind } => self.intrude(*conn, *kind),
            Cause::Command {
                conn,
                number,
                command,
            } => self.command(*conn, *number, command, outs),
            Cause::Pong { conn, probe } => self.pong(*conn, *probe),
            Cause::Closed { conn } => self.leave(*conn),
            Cause::SessionOpened {
                session,
                dev,
                is_health_check,
            } => self.log_in(*session, *dev, *is_health_check, outs),
            Cause::Query { session, req, ask } => self.query(*session, *req, ask, outs),
            Cause::SessionClosed { session } => self.sessions.retain(|known| known.id != *session),
            Cause::Tick => {}
            Cause::Persisted { upto } => self.persisted = self.persisted.max(*upto),
            Cause::PersistFailed => {
                self.failing = true;
                let persisted = self.persisted;
                for due in self.due.iter_mut().filter(|due| due.op > Some(persisted)) {
                    due.may_fail = true;
                }
                for wanted in self
                    .wanted
                    .iter_mut()
                    .filter(|wanted| wanted.by > Some(persisted))
                {
                    wanted.may_fail = true;
                }
            }
            Cause::Memory { bytes } => self.memory.outside = *bytes,
            Cause::Shutdown => self.shutting_down = true,
        }
    }

    fn compare(&mut self, out: &Out) -> Result<(), Failure> {
        match out {
            Out::Frame {
                to,
                told,
                version,
                bytes,
            } => {
                if to.windows(2).any(|pair| pair[0] >= pair[1]) {
                    return wrong("recipients", format!("not ascending: {to:?}"));
                }
                to.iter()
                    .try_for_each(|conn| self.frame(*conn, told, *version, *bytes))
            }
            Out::Probe { conn, probe } => self.probe_sent(*conn, *probe),
            Out::Close { conn, cause } => self.closed_by_core(*conn, *cause),
            Out::Reply { session, req, reply } => self.reply(*session, *req, reply),
            Out::CloseSession { .. } => Ok(()),
            Out::Record { op, record } => self.note_record(*op, record),
            Out::Room(room) => self.room_told(*room),
            Out::Ready(ready) => {
                if *ready == self.ready {
                    return wrong("ready", format!("ready({ready}) again"));
                }
                self.ready = *ready;
                self.failing = !ready;
                Ok(())
            }
        }
    }

    fn closed_by_core(&mut self, id: ConnId, cause: CloseCause) -> Result<(), Failure> {
        self.ended.push(id);
        if cause == CloseCause::Shutdown && self.shutting_down {
            self.leave(id);
            return Ok(());
        }
        let kick = self.kicks.iter().position(|kick| *kick == (id, cause));
        if let Some(at) = kick {
            self.kicks.swap_remove(at);
            return Ok(());
        }
        if matches!(cause, CloseCause::AckTimeout | CloseCause::TooOld) && self.leaving.contains(&id) {
            return Ok(());
        }
        wrong("close", format!("{id:?} is closed for {cause:?} without reason"))
    }

    pub(super) fn note_record(&mut self, op: OpId, record: &Record) -> Result<(), Failure> {
        if op.0 != self.last_op.0 + 1 {
            return wrong(
                "records",
                format!("record {} after record {}", op.0, self.last_op.0),
            );
        }
        self.last_op = op;
        match record {
            Record::MessageQueued { dev, user, message } => {
                let body = message.body.as_str();
                let of = |m: &&mut super::Private| m.dev == dev.0 && m.user == user.get() && m.body == body;
                let Some(known) = self.private.iter_mut().rev().find(of) else {
                    return wrong("records", format!("{record:?}: was never accepted"));
                };
                known.seq = Some(message.seq.0);
                let id = message.id.to_string();
                if known.id.as_ref().is_some_and(|sent| *sent != id) {
                    return wrong("private id", format!("{known:?} is stored with id {id}"));
                }
                known.id = Some(id);
            }
            Record::MessagesRemoved { dev, user, seqs, why } => {
                let seqs: Vec<_> = seqs.iter().map(|seq| seq.0).collect();
                self.removed(dev.0, user.get(), &seqs, *why)?;
            }
            Record::EverybodyOffline { .. } if self.shutting_down => {
                self.told.everybody_offline(self.unix / 1000);
            }
            Record::EverybodyOffline { .. }
            | Record::KeySet { .. }
            | Record::KeyDeleted { .. }
            | Record::DataSet { .. }
            | Record::DataDeleted { .. }
            | Record::UserOnline { .. }
            | Record::UserOffline { .. }
            | Record::HistoryLengthSet { .. }
            | Record::HistorySettingDeleted { .. }
            | Record::HistoryAppended { .. }
            | Record::HistoryRemoved { .. }
            | Record::TokenRevoked { .. }
            | Record::TokenRestored { .. } => {}
        }
        self.record_happened(record);
        self.written.apply(record);
        self.note_end_of_history(op, record);
        Ok(())
    }

    fn frame(&mut self, id: ConnId, told: &Told, version: Version, bytes: u64) -> Result<(), Failure> {
        let seen = &told.seen;
        let Some(conn) = self.conn(id) else {
            return wrong("frame to nobody", format!("{seen:?} to {id:?}, which never was"));
        };
        if self.ended.contains(&id) || (conn.gone.is_some() && !self.leaving.contains(&id)) {
            return wrong("frame to nobody", format!("{seen:?} to {id:?}, which is gone"));
        }
        if conn.version != version {
            return wrong("dialect", format!("{seen:?} to {conn:?}"));
        }
        if matches!(seen, Seen::Private { .. }) {
            return self.private_frame(id, seen, bytes);
        }
        if matches!(seen, Seen::History { .. }) {
            return self.history_frame(id, told);
        }
        self.compared += 1;
        if matches!(seen, Seen::HistoryEnd { .. }) && self.history_end(id, told) {
            return Ok(());
        }
        let leaving = self.leaving.contains(&id);
        let kind = std::mem::discriminant(seen);
        let mut candidates = self.wanted.iter().enumerate().filter(|(_, wanted)| {
            (wanted.conn, wanted.re) == (id, told.re)
                && std::mem::discriminant(&wanted.seen) == kind
                && same_pipe(&wanted.seen, seen)
        });
        let in_order = matches!(seen, Seen::Message { .. });
        let found = if in_order {
            candidates.next().filter(|(_, wanted)| wanted.seen == *seen)
        } else {
            candidates.find(|(_, wanted)| fits(&wanted.seen, seen))
        };
        if let Some((at, wanted)) = found {
            if wanted.after > Some(self.persisted) {
                return wrong("early", format!("{seen:?} before {:?} was safe", wanted.after));
            }
            self.wanted.remove(at);
            return Ok(());
        }
        if self.instead_of_report(id, told) || self.shutting_down {
            return Ok(());
        }
        if leaving
            && matches!(
                seen,
                Seen::Status { .. } | Seen::Track { .. } | Seen::Message { .. }
            )
        {
            return Ok(());
        }
        let due: Vec<_> = self
            .wanted
            .iter()
            .filter(|wanted| wanted.conn == id)
            .map(|wanted| (wanted.re, &wanted.seen))
            .collect();
        wrong(
            "unexpected frame",
            format!("{told:?} to {id:?}, where {due:?} is due"),
        )
    }

    /// The disk fails: a delivery report becomes an error.
    fn instead_of_report(&mut self, id: ConnId, told: &Told) -> bool {
        if matches!(told.seen, Seen::ErrorReport { .. }) {
            return self.failing;
        }
        let late = self.wanted.iter().position(|wanted| {
            (wanted.conn, wanted.re) == (id, told.re)
                && wanted.may_fail
                && is_failure(&told.seen, &wanted.seen)
        });
        late.is_some_and(|at| {
            self.wanted.remove(at);
            true
        })
    }

    fn settle(&mut self) -> Result<(), Failure> {
        if self.shutting_down {
            self.kicks.clear();
            self.wanted.retain(|wanted| wanted.by.is_some());
            return Ok(());
        }
        if let Some((conn, cause)) = self.kicks.first() {
            return wrong("close", format!("{conn:?} should have been closed for {cause:?}"));
        }
        let leaving = &self.leaving;
        let persisted = self.persisted;
        let turned_away = self.turned_away;
        let is_there = |conn: &ConnId| Some(*conn) == turned_away || !leaving.contains(conn);
        let late = self
            .wanted
            .iter()
            .find(|wanted| wanted.by.is_none_or(|op| op <= persisted) && is_there(&wanted.conn));
        if let Some(wanted) = late {
            return wrong(
                "missing frame",
                format!("{:?} was not sent to {:?}", wanted.seen, wanted.conn),
            );
        }
        let leaving = std::mem::take(&mut self.leaving);
        self.wanted.retain(|wanted| !leaving.contains(&wanted.conn));
        if let Some((dev, user)) = self.emptied
            && self.written.queue.iter().any(|q| q.dev == dev && q.user == user)
        {
            return wrong(
                "removed",
                format!("the queue of user {dev}/{user} was not emptied"),
            );
        }
        self.readings()?;
        self.wait_for_pages();
        self.probes()
    }

    /// Every unacknowledged private message is covered by a probe that is not too old (protocol.md 5.1), and none
    /// waits while there is room for it.
    fn probes(&self) -> Result<(), Failure> {
        let window = self.profile.get(Knob::Window).max(1);
        let patience = self.profile.get(Knob::AckTimeout).max(1) * 1000;
        for conn in self.living().filter(|conn| conn.device) {
            let last = conn.sent.last();
            let waiting = last.is_some_and(|sent| !sent.acknowledged);
            let flying: u64 = conn
                .sent
                .iter()
                .rev()
                .filter(|sent| !sent.acknowledged)
                .map(|sent| sent.bytes)
                .sum();
            if let Some(n) = conn.backlog.iter().find(|n| self.is_owed(**n))
                && (flying == 0
                    || (flying + self.largest_frame(*n) <= window
                        && !self.may_go_first(conn, *n)
                        && conn.backlog.first() == Some(n)))
            {
                return wrong("private missing", format!("message {n} was not sent to {conn:?}"));
            }
            match conn.awaited {
                None if waiting => return wrong("probe", format!("no probe was sent to {conn:?}")),
                Some(awaited) if awaited.since + patience < self.now => {
                    return wrong(
                        "ack timeout",
                        format!("nothing acknowledged, now {}: {conn:?}", self.now),
                    );
                }
                None | Some(_) => {}
            }
        }
        Ok(())
    }

    /// The connection may have been handed a claim to an older message, which waits for room before this one.
    fn may_go_first(&self, conn: &Conn, n: u64) -> bool {
        let sent = |claim: u64| conn.sent.iter().any(|sent| sent.n == claim);
        conn.claims
            .iter()
            .any(|claim| self.place(*claim) < self.place(n) && self.is_owed(*claim) && !sent(*claim))
    }

    /// More bytes than the frame of a message can have: every character escaped, and all the keys.
    fn largest_frame(&self, n: u64) -> u64 {
        self.place(n)
            .map_or(0, |at| 6 * self.private[at].body.len() as u64 + 400)
    }

    /// What was written is what was asked for.
    pub fn check_facts(&self) -> Result<(), Failure> {
        self.told
            .difference(
                &self.written,
                !self.failing && self.profile.get(Knob::SaveOnline) == 1,
            )
            .map_or(Ok(()), |text| wrong("records", text))
    }

    /// The walk over everything that is too slow for every step.
    pub fn check(&mut self) -> Result<(), Failure> {
        if self.checked != Some(self.last_op) {
            self.checked = Some(self.last_op);
            self.check_facts()?;
        }
        self.forget_old_claims();
        if let Some(message) = self.overdue() {
            return wrong(
                "unpaid",
                format!("{message:?} is paid but still stored, now {}", self.now),
            );
        }
        Ok(())
    }
}

fn same_pipe(wanted: &Seen, seen: &Seen) -> bool {
    match (wanted, seen) {
        (Seen::Message { pipe: a, .. }, Seen::Message { pipe: b, .. }) => a == b,
        _ => true,
    }
}

fn fits(wanted: &Seen, seen: &Seen) -> bool {
    match (wanted, seen) {
        (Seen::Error { extra: Extra::Plain }, Seen::Error { .. }) => true,
        (Seen::Last { pipe: a, seconds }, Seen::Last { pipe: b, .. }) if *seconds == ANY_SECONDS => a == b,
        _ => wanted == seen,
    }
}

/// True if this is what a report becomes when the disk fails.
fn is_failure(seen: &Seen, report: &Seen) -> bool {
    match (seen, report) {
        (Seen::Report { failed: true, .. } | Seen::Error { extra: Extra::Number }, Seen::Report { .. }) => {
            true
        }
        (Seen::Outcome { failed: true, .. }, Seen::Outcome { .. }) => {
            let mut healthy = seen.clone();
            if let Seen::Outcome { failed, .. } = &mut healthy {
                *failed = false;
            }
            healthy == *report
        }
        _ => false,
    }
}

/// What goes into histories, in order.
fn appended(outs: &[Out]) -> VecDeque<(OpId, String)> {
    let one = |out: &Out| {
        let Out::Record { op, record } = out else {
            return None;
        };
        let Record::HistoryAppended { message, .. } = record else {
            return None;
        };
        Some((*op, message.id.to_string()))
    };
    outs.iter().filter_map(one).collect()
}
