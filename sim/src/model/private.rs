//! Private messages: the debt of protocol.md 5.1, as a list of who was sent what and who acknowledged it.

use comet_core::{ConnId, Removal};

use super::delivery::PRIVATE;
use super::{Conn, Expected, Failure, Fate, Model, Private, Sent, wrong};
use crate::backend::NewPrivate;
use crate::browser::Version;
use crate::names::{number_in, view};
use crate::profile::Knob;
use crate::seen::Seen;

impl Model {
    pub(super) fn insert_private(
        &mut self,
        dev: u32,
        rows: &[NewPrivate],
        messages: &mut Vec<u64>,
    ) -> Expected {
        let max = self.profile.get(Knob::QueueMax);
        for row in rows {
            let waiting = self
                .written
                .queue
                .iter()
                .filter(|q| q.dev == dev && q.user == row.user)
                .count();
            let more = rows.iter().filter(|other| other.user == row.user).count();
            if max > 0 && (waiting + more) as u64 > max {
                return Expected::Error(11);
            }
        }
        let (mut connections, mut queued) = (0, 0);
        for row in rows {
            let devices = self.devices(dev, row.user);
            connections += devices.len() as u64;
            queued += u64::from(devices.is_empty());
            let owed_to = devices.iter().filter_map(|id| self.conn(*id)?.page).collect();
            messages.push(row.n);
            self.remember(row.n);
            self.private.push(Private {
                n: row.n,
                dev,
                user: row.user,
                event: row.event.clone(),
                body: row.body.clone(),
                view: view(&row.body),
                time: self.unix / 1000,
                at: self.now,
                id: None,
                seq: None,
                fate: Fate::Owed,
                holders: Vec::new(),
                somebody_has_it: false,
                done_by: Vec::new(),
                acknowledged: false,
                owed_to,
                seen_by: Vec::new(),
            });
            for conn in devices {
                self.assign(conn, row.n);
            }
        }
        let insert = (rows.len() == 1).then(|| u64::from(rows.first().map_or(0, |row| row.user)));
        Expected::Done {
            affected: Some(rows.len() as u64),
            insert,
            delivered: Some((connections, queued)),
        }
    }

    /// Message n gets the next place in the list.
    fn remember(&mut self, n: u64) {
        let n = n as usize;
        if self.places.len() <= n {
            self.places.resize(n + 1, None);
        }
        self.places[n] = Some(self.private.len());
    }

    pub(super) fn place(&self, n: u64) -> Option<usize> {
        self.places.get(n as usize).copied().flatten()
    }

    pub(super) fn is_owed(&self, n: u64) -> bool {
        self.place(n)
            .is_some_and(|at| self.private[at].fate == Fate::Owed)
    }

    /// A connection is owed a message, as soon as there is room for it.
    fn assign(&mut self, id: ConnId, n: u64) {
        let Some(at) = self.conns.iter().rposition(|conn| conn.id == id) else {
            return;
        };
        self.conns[at].backlog.push(n);
        if let Some(place) = self.place(n) {
            self.private[place].holders.push(at);
        }
    }

    /// All connections of this life of the server that were sent a message or are to be, and whether they
    /// acknowledged it.
    fn holders(&self, n: u64) -> impl Iterator<Item = (&Conn, bool)> {
        let place = self.place(n);
        let holders = place.map_or(&[][..], |at| &self.private[at].holders);
        holders.iter().map(move |at| {
            let conn = &self.conns[*at];
            // Sent in the order of acceptance, or the oracle would have complained.
            let sent = conn.sent.binary_search_by_key(&place, |sent| self.place(sent.n));
            (conn, sent.is_ok_and(|at| conn.sent[at].acknowledged))
        })
    }

    /// True if the claim of a holder went over to a later connection of the same browser.
    fn superseded(&self, n: u64, holder: &Conn) -> bool {
        !holder.uuid.is_empty()
            && self.holders(n).any(|(later, _)| {
                later.opened >= holder.opened && later.id != holder.id && later.uuid == holder.uuid
            })
    }

    /// Its browser is done with the message: a connection that ended claims nothing any more.
    fn is_done(&self, n: u64, holder: &Conn) -> bool {
        holder.version == Version::V5
            && self
                .place(n)
                .is_some_and(|at| self.private[at].done_by.contains(&holder.uuid))
    }

    /// So many devices of the user vanished lately that the oldest claims have ended before their time.
    fn crowded(&self, conn: &Conn) -> bool {
        let grace = self.profile.get(Knob::Grace) * 1_000_000;
        let of = |other: &&Conn| {
            let lately = other.gone.is_some_and(|at| at + grace >= self.now);
            lately && other.dev == conn.dev && other.user == conn.user
        };
        let devices = self.profile.get(Knob::Devices) as usize;
        self.conns.iter().rev().filter(of).take(devices + 1).count() > devices
    }

    /// A browser with this uuid was sent the message and has not acknowledged it: `Some(true)` if the server knows
    /// that its socket is gone.
    fn claim(&self, n: u64, uuid: &str) -> Option<bool> {
        let grace = self.profile.get(Knob::Grace) * 1_000_000;
        let mut found = None;
        for (conn, acknowledged) in self.holders(n) {
            if uuid.is_empty() || conn.uuid != uuid || acknowledged || self.is_done(n, conn) {
                continue;
            }
            match conn.gone {
                Some(at) if at + grace > self.now && !self.superseded(n, conn) && !self.crowded(conn) => {
                    return Some(true);
                }
                Some(at) if at + grace < self.now => {}
                Some(_) | None => found = Some(false),
            }
        }
        // Or may have been handed the claim, which still waits for room.
        let heir = |conn: &Conn| {
            let lives = conn.gone.is_none_or(|at| at + grace >= self.now);
            lives && !uuid.is_empty() && conn.uuid == uuid && conn.claims.contains(&n)
        };
        found.or_else(|| self.conns.iter().any(heir).then_some(false))
    }

    /// A connection was authorized: what it must be sent at once.
    pub(super) fn owe_queue(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let (dev, user, uuid) = (conn.dev, conn.user, conn.uuid.clone());
        let owed: Vec<u64> = self
            .private
            .iter()
            .filter(|m| m.dev == dev && m.user == user && m.fate == Fate::Owed)
            .filter(|m| !m.somebody_has_it || self.claim(m.n, &uuid) == Some(true))
            .map(|m| m.n)
            .collect();
        let of = |m: &&Private| m.dev == dev && m.user == user && m.fate == Fate::Owed;
        let claims = self
            .private
            .iter()
            .filter(of)
            .filter(|m| m.somebody_has_it)
            .map(|m| m.n)
            .filter(|n| self.claim(*n, &uuid).is_some())
            .collect();
        if let Some(conn) = self.conn_mut(id) {
            conn.claims = claims;
        }
        for n in owed {
            self.assign(id, n);
        }
    }

    /// A private message is sent to a connection.
    pub(super) fn private_frame(&mut self, id: ConnId, seen: &Seen, bytes: u64) -> Result<(), Failure> {
        let Seen::Private {
            id: uuid,
            view,
            queued,
            ..
        } = seen
        else {
            return Ok(());
        };
        let number = number_in(view);
        let Some(at) = number.and_then(|n| self.place(n)) else {
            return wrong("invented", format!("{seen:?} was never accepted"));
        };
        let (message, conn) = (&self.private[at], self.alive(id));
        let Some(conn) = conn else {
            return wrong("private to nobody", format!("{seen:?} to {id:?}"));
        };
        if conn.dev != message.dev
            || conn.user != message.user
            || !(conn.device || conn.backlog.contains(&message.n) || conn.claims.contains(&message.n))
        {
            let text = format!(
                "message {} of user {}/{} to {conn:?}",
                message.n, message.dev, message.user
            );
            return wrong("private to a stranger", text);
        }
        self.same_message(message, seen)?;
        let order = |sent: &Sent| self.place(sent.n) >= Some(at);
        if conn.sent.last().is_some_and(order) {
            return wrong(
                "private order",
                format!("{seen:?} after message {:?} to {id:?}", conn.sent.last()),
            );
        }
        if message.fate != Fate::Owed {
            return wrong(
                "private again",
                format!("{seen:?} to {id:?}, but it is {:?}", message.fate),
            );
        }
        let n = message.n;
        if !queued && message.at != self.now {
            return wrong(
                "private live",
                format!("{seen:?} to {id:?} does not say that it comes from the queue"),
            );
        }
        let next = conn.backlog.iter().copied().find(|n| self.is_owed(*n));
        if next != Some(n) {
            self.unassigned(id, n, next, seen)?;
        }
        if let Some(message) = self.private.get_mut(at) {
            message.id = Some(uuid.clone());
        }
        self.sent(id, n, bytes);
        self.compared += 1;
        Ok(())
    }

    /// A message has left for a connection, with everything that was to go before it.
    fn sent(&mut self, id: ConnId, n: u64, bytes: u64) {
        if let Some(conn) = self.conn_mut(id) {
            let done = conn
                .backlog
                .iter()
                .position(|other| *other == n)
                .map_or(0, |at| at + 1);
            conn.backlog.drain(..done);
            conn.sent.push(Sent {
                n,
                acknowledged: false,
                bytes,
            });
        }
        self.private_happened(n, "sent", id);
    }

    /// A connection gets a message that it need not get: only a browser that was sent it before may.
    fn unassigned(&mut self, id: ConnId, n: u64, next: Option<u64>, seen: &Seen) -> Result<(), Failure> {
        let uuid = self.conn(id).map(|conn| conn.uuid.clone()).unwrap_or_default();
        if next.is_some_and(|next| self.place(next) < self.place(n)) {
            return wrong(
                "private order",
                format!("{seen:?} to {id:?}, whose next message is {next:?}"),
            );
        }
        let claimed = self.conn(id).is_some_and(|conn| conn.claims.contains(&n));
        if !claimed && self.claim(n, &uuid).is_none() {
            return wrong(
                "private again",
                format!("{seen:?} to {id:?}: another device acknowledged it"),
            );
        }
        self.assign(id, n);
        // It goes before everything else this connection is owed.
        if let Some(conn) = self.conn_mut(id) {
            conn.backlog.rotate_right(1);
        }
        Ok(())
    }

    /// The content and the id are those of the message.
    fn same_message(&self, message: &Private, seen: &Seen) -> Result<(), Failure> {
        let Seen::Private {
            id: uuid,
            event,
            view,
            time,
            ..
        } = seen
        else {
            return Ok(());
        };
        if (&message.event, &message.view, message.time) != (event, view, *time) {
            return wrong("private changed", format!("{seen:?} is not {message:?}"));
        }
        if message.id.as_ref().is_some_and(|known| known != uuid) {
            return wrong("private id", format!("{seen:?}, but its id is {:?}", message.id));
        }
        if message.id.is_none()
            && self
                .private
                .iter()
                .any(|other| other.n != message.n && other.id.as_ref() == Some(uuid))
        {
            return wrong(
                "private id",
                format!("{seen:?}: the id belongs to another message"),
            );
        }
        Ok(())
    }

    /// Messages left the store.
    pub(super) fn removed(&mut self, dev: u32, user: u32, seqs: &[u64], why: Removal) -> Result<(), Failure> {
        for seq in seqs {
            let found = self
                .private
                .iter()
                .rposition(|m| m.dev == dev && m.user == user && m.seq == Some(*seq));
            let Some(at) = found else {
                return wrong("removed", format!("message {seq} was never stored"));
            };
            let message = &self.private[at];
            if message.fate != Fate::Owed {
                return wrong("removed", format!("{message:?} was removed again for {why:?}"));
            }
            let (fate, what, by, justified) = match why {
                Removal::Paid => (Fate::Paid, "delivered", (0, 0), self.may_be_paid(message.n)),
                Removal::Expired => (Fate::Expired, "expired", (0, 0), self.may_expire(message)),
                Removal::Deleted => {
                    let is_asked = self.emptied == Some((dev, user));
                    (Fate::Deleted, "deleted", self.actor, is_asked)
                }
            };
            if !justified {
                let holders: Vec<_> = self.holders(message.n).collect();
                return wrong(
                    "removed",
                    format!(
                        "{message:?} was removed for {why:?}, now {}: {holders:?}",
                        self.now
                    ),
                );
            }
            // A message that a crash took before it was stored may have had the same number.
            if let Some(id) = message.id.clone() {
                self.happened(id, (dev, PRIVATE), what, by);
            }
            if let Some(message) = self.private.get_mut(at) {
                message.fate = fate;
            }
        }
        Ok(())
    }

    fn may_be_paid(&self, n: u64) -> bool {
        let grace = self.profile.get(Knob::Grace) * 1_000_000;
        self.holders(n).any(|(_, acknowledged)| acknowledged)
            && self.holders(n).all(|(conn, acknowledged)| {
                acknowledged
                    || conn
                        .gone
                        .is_some_and(|at| at + grace <= self.now || self.crowded(conn))
                    || (conn.gone.is_some() && self.is_done(n, conn))
                    || self.superseded(n, conn)
                    || (conn.gone.is_none() && !conn.device)
            })
    }

    /// Devices that stayed away too long hold nothing any more.
    pub(super) fn forget_old_claims(&mut self) {
        let over = self.now.saturating_sub(self.profile.get(Knob::Grace) * 1_000_000);
        let conns = &self.conns;
        for message in self
            .private
            .iter_mut()
            .filter(|message| message.fate == Fate::Owed)
        {
            let n = message.n;
            message.holders.retain(|at| {
                let conn = &conns[*at];
                conn.gone.is_none_or(|gone| gone >= over)
                    || conn.sent.iter().any(|sent| sent.n == n && sent.acknowledged)
            });
        }
    }

    /// The debts that should have been settled by now.
    pub(super) fn overdue(&self) -> Option<&Private> {
        // With a small window a device may be owed what it need not be sent, and nobody outside can know. A server
        // that stops settles nothing any more.
        if self.profile.get(Knob::Window) < Knob::Window.calm() || self.shutting_down {
            return None;
        }
        let grace = self.profile.get(Knob::Grace) * 1_000_000;
        self.private
            .iter()
            .filter(|message| message.fate == Fate::Owed)
            .find(|message| {
                message.somebody_has_it
                    && self.holders(message.n).all(|(conn, acknowledged)| {
                        let over = |at| at + grace < self.now || self.is_done(message.n, conn);
                        acknowledged || conn.gone.is_some_and(over)
                    })
            })
    }

    fn may_expire(&self, message: &Private) -> bool {
        let ttl = self.profile.get(Knob::QueueTtl);
        let by_wall = self.unix / 1000 + 1 >= message.time + ttl;
        ttl > 0 && (by_wall || self.now >= message.at + ttl * 1_000_000)
    }

    /// After a restart: what was not safe is lost, and must not have been acknowledged.
    pub(super) fn lose_unsafe_messages(&mut self) {
        for message in self
            .private
            .iter_mut()
            .filter(|message| message.fate != Fate::Lost)
        {
            let stored = self
                .written
                .queue
                .iter()
                .any(|q| q.dev == message.dev && q.user == message.user && q.body == message.body);
            // A message whose removal was not safe is owed again.
            message.fate = match (stored, message.fate) {
                (true, _) => Fate::Owed,
                (false, Fate::Owed) => Fate::Lost,
                (false, fate) => fate,
            };
            if stored {
                let row = self
                    .written
                    .queue
                    .iter()
                    .find(|q| q.user == message.user && q.dev == message.dev && q.body == message.body);
                message.seq = row.map(|row| row.seq);
            }
        }
    }
}
