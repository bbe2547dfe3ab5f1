//! Which device holds which unpaid private message of one user (protocol.md 5.1).
//!
//! The messages themselves are durable and live in the queue; this is the part that a restart may forget: after it
//! every unpaid message is simply waiting. A message without an entry here waits for the next connection. An entry
//! has the devices that were sent the message and have not acknowledged it: alive, or gone and possibly coming back.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::memory::cost;
use crate::id::{ConnId, Seq};
use crate::name::ClientUuid;
use crate::time::Mono;

/// Number of a vanished device, ascending, never re-used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct GoneId(pub(crate) u64);

/// One connection of a browser, as far as debts are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'a> {
    /// The connection.
    pub(crate) conn: ConnId,
    /// Its browser; may be empty.
    pub(crate) uuid: &'a ClientUuid,
    /// It speaks for all tabs of its browser (protocol-v5.md 4): when it acknowledges, connections of its kind that the
    /// browser had before, or loses later, have nothing to claim any more.
    pub(crate) sole: bool,
}

/// A device that holds a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held<'a> {
    /// It is connected.
    Alive(ConnId),
    /// Its browser may come back for it.
    Gone { uuid: &'a ClientUuid, until: Mono },
}

/// A device that was sent a message, or is about to be, and has not acknowledged it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holder {
    device: Device,
    uuid: ClientUuid,
    sole: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Device {
    Alive(ConnId),
    Gone(GoneId),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Debt {
    /// At least one device acknowledged.
    acknowledged: bool,
    /// The browsers whose devices acknowledged, as long as the debt is open.
    acknowledged_by: Vec<ClientUuid>,
    /// Those of them for which a connection that speaks for all their tabs did.
    done: Vec<ClientUuid>,
    holders: Vec<Holder>,
}

impl Debt {
    /// The holders that are this browser and may claim something. One without a uuid cannot be recognised.
    fn held_by<'a>(&'a self, uuid: &'a ClientUuid) -> impl Iterator<Item = Device> + 'a {
        let mine = self.holders.iter().filter(move |holder| {
            !uuid.is_empty() && holder.uuid == *uuid && !self.is_done(&holder.uuid, holder.sole)
        });
        mine.map(|holder| holder.device)
    }

    /// A connection that spoke for the whole browser has acknowledged the message.
    fn is_done(&self, uuid: &ClientUuid, sole: bool) -> bool {
        sole && self.done.contains(uuid)
    }

    fn witnesses(&self) -> usize {
        self.acknowledged_by.len() + self.done.len()
    }

    fn release(&mut self, device: Device) {
        self.holders.retain(|holder| holder.device != device);
    }
}

/// A device that vanished with unacknowledged messages.
#[derive(Debug, Serialize, Deserialize)]
struct GoneDevice {
    until: Mono,
    seqs: BTreeSet<Seq>,
}

/// Everything that is in flight to the devices of one user.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Debts {
    debts: BTreeMap<Seq, Debt>,
    gone: BTreeMap<GoneId, GoneDevice>,
    /// Claims that ended before their time; their timers are to be disarmed.
    ended: Vec<(GoneId, Mono)>,
    /// Messages that vanished devices claim, all devices together.
    claims: usize,
    /// Browsers in `acknowledged_by` and `done`, all debts together.
    witnesses: usize,
}

impl Debts {
    /// No debts.
    pub(crate) const fn new() -> Self {
        Self {
            debts: BTreeMap::new(),
            gone: BTreeMap::new(),
            ended: Vec::new(),
            claims: 0,
            witnesses: 0,
        }
    }

    /// What it takes on the heap; the side of living connections is counted with them.
    pub(crate) fn bytes(&self) -> u64 {
        let parts = [
            (self.debts.len(), cost::DEBT),
            (self.gone.len(), cost::GONE + cost::TIMER),
            (self.claims, cost::CLAIM),
            (self.witnesses, cost::WITNESS),
        ];
        parts.iter().map(|(count, each)| *count as u64 * each).sum()
    }

    /// Asserts that the counters are right.
    pub(crate) fn check_memory(&self) {
        let claims: usize = self.gone.values().map(|device| device.seqs.len()).sum();
        assert_eq!(self.claims, claims, "the number of claims drifted");
        let witnesses: usize = self.debts.values().map(Debt::witnesses).sum();
        assert_eq!(self.witnesses, witnesses, "the number of witnesses drifted");
    }

    /// True if nothing is in flight and nobody is expected back.
    pub(crate) fn is_empty(&self) -> bool {
        self.debts.is_empty() && self.gone.is_empty()
    }

    /// True if a connection with this uuid, which authorizes now, gets the message: nobody has acknowledged it, or
    /// this browser was sent it and has not.
    pub(crate) fn owed_to(&self, seq: Seq, uuid: &ClientUuid) -> bool {
        let Some(debt) = self.debts.get(&seq) else {
            return true;
        };
        !debt.acknowledged || debt.held_by(uuid).next().is_some()
    }

    /// The message is owed to a connection that has just authorized. If its browser was sent it once before, and that
    /// connection is gone, this one is its return and takes over the claim. A browser with several tabs was sent it
    /// several times, all under one uuid: then nobody can tell which tab returns, and every claim lasts until it is
    /// acknowledged or its time is over.
    pub(crate) fn redelivered(&mut self, seq: Seq, party: Party<'_>) {
        let former = self.debts.get(&seq).and_then(|debt| {
            let mut held = debt.held_by(party.uuid);
            let only = held.next().filter(|_| held.next().is_none());
            only.filter(|_| !debt.acknowledged_by.contains(party.uuid))
        });
        if let Some(Device::Gone(id)) = former {
            let debt = self.debts.entry(seq).or_default();
            debt.release(Device::Gone(id));
            self.release(id, seq);
        }
        self.owe(seq, party);
    }

    /// The message is owed to this device: it was sent, or waits for room in the window.
    pub(crate) fn owe(&mut self, seq: Seq, party: Party<'_>) {
        let device = Device::Alive(party.conn);
        let debt = self.debts.entry(seq).or_default();
        assert!(
            debt.holders.iter().all(|holder| holder.device != device),
            "owed twice to one connection"
        );
        debt.holders.push(Holder {
            device,
            uuid: party.uuid.clone(),
            sole: party.sole,
        });
    }

    /// A device acknowledged the message, which is still in the queue. True if it is paid now and must leave it.
    ///
    /// There may be no entry: a device whose claim has ended can still acknowledge.
    pub(crate) fn acknowledge(&mut self, seq: Seq, party: Party<'_>) -> bool {
        let Party { conn, uuid, sole } = party;
        let debt = self.debts.entry(seq).or_default();
        debt.acknowledged = true;
        if !uuid.is_empty() && !debt.acknowledged_by.contains(uuid) {
            debt.acknowledged_by.push(uuid.clone());
            self.witnesses += 1;
        }
        debt.release(Device::Alive(conn));
        if sole && !uuid.is_empty() && !debt.done.contains(uuid) {
            debt.done.push(uuid.clone());
            self.witnesses += 1;
            self.end_claims_of(seq, uuid);
        }
        self.settle(seq)
    }

    /// The browser is done with the message: what its former connections claim of it ends.
    fn end_claims_of(&mut self, seq: Seq, uuid: &ClientUuid) {
        let Some(debt) = self.debts.get_mut(&seq) else {
            return;
        };
        let mut ended = Vec::new();
        debt.holders.retain(|holder| match holder.device {
            Device::Gone(id) if holder.sole && holder.uuid == *uuid => {
                ended.push(id);
                false
            }
            Device::Gone(_) | Device::Alive(_) => true,
        });
        for id in ended {
            self.release(id, seq);
        }
    }

    /// A device vanished with these messages unacknowledged; its claim lasts until `until`, unless more than
    /// `devices_max` devices of the user vanish meanwhile: then the oldest claim ends. Nothing is noted if none of the
    /// messages is owed any more. Returns the messages that are paid by that, or by the end of an older claim,
    /// in their order.
    pub(crate) fn vanished(
        &mut self,
        id: GoneId,
        conn: ConnId,
        until: Mono,
        unacknowledged: impl Iterator<Item = Seq>,
        devices_max: usize,
    ) -> Vec<Seq> {
        let (seqs, mut paid) = self.claims_of(id, conn, unacknowledged);
        if seqs.is_empty() {
            return paid;
        }
        self.claims += seqs.len();
        self.gone.insert(id, GoneDevice { until, seqs });
        if self.gone.len() <= devices_max {
            return paid;
        }
        if let Some((&oldest, device)) = self.gone.first_key_value() {
            self.ended.push((oldest, device.until));
            paid.extend(self.grace_over(oldest));
            // The older claim is about older messages.
            paid.sort_unstable();
        }
        paid
    }

    /// What a connection that has just ended still claims as `id`, and what is paid because it claims nothing.
    fn claims_of(
        &mut self,
        id: GoneId,
        conn: ConnId,
        unacknowledged: impl Iterator<Item = Seq>,
    ) -> (BTreeSet<Seq>, Vec<Seq>) {
        let (mut claimed, mut paid) = (BTreeSet::new(), Vec::new());
        let device = Device::Alive(conn);
        for seq in unacknowledged {
            let Some(debt) = self.debts.get_mut(&seq) else {
                continue;
            };
            let Some(at) = debt.holders.iter().position(|holder| holder.device == device) else {
                continue;
            };
            if debt.is_done(&debt.holders[at].uuid, debt.holders[at].sole) {
                debt.release(device);
                if self.settle(seq) {
                    paid.push(seq);
                }
            } else {
                debt.holders[at].device = Device::Gone(id);
                claimed.insert(seq);
            }
        }
        (claimed, paid)
    }

    /// True if the claim of this device lasts.
    pub(crate) fn has_claim(&self, id: GoneId) -> bool {
        self.gone.contains_key(&id)
    }

    /// The claims that ended before their time since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<(GoneId, Mono)> {
        core::mem::take(&mut self.ended)
    }

    /// The claim of a vanished device ends. Returns the messages that are paid by that.
    pub(crate) fn grace_over(&mut self, id: GoneId) -> Vec<Seq> {
        let Some(device) = self.gone.remove(&id) else {
            return Vec::new();
        };
        self.claims -= device.seqs.len();
        let mut paid = Vec::new();
        for seq in device.seqs {
            if let Some(debt) = self.debts.get_mut(&seq) {
                debt.release(Device::Gone(id));
                if self.settle(seq) {
                    paid.push(seq);
                }
            }
        }
        paid
    }

    /// The message left the queue for another reason than being paid.
    pub(crate) fn forget(&mut self, seq: Seq) {
        let Some(debt) = self.debts.remove(&seq) else {
            return;
        };
        self.witnesses -= debt.witnesses();
        for holder in debt.holders {
            if let Device::Gone(id) = holder.device {
                self.release(id, seq);
            }
        }
    }

    /// Drops an entry that says nothing any more. True if its message is paid.
    fn settle(&mut self, seq: Seq) -> bool {
        let Some(debt) = self.debts.get(&seq) else {
            return false;
        };
        if !debt.holders.is_empty() {
            return false;
        }
        let paid = debt.acknowledged;
        self.witnesses -= debt.witnesses();
        self.debts.remove(&seq);
        paid
    }

    /// A vanished device has no claim to this message any more.
    fn release(&mut self, id: GoneId, seq: Seq) {
        let Some(device) = self.gone.get_mut(&id) else {
            return;
        };
        self.claims -= usize::from(device.seqs.remove(&seq));
        if device.seqs.is_empty() {
            self.ended.push((id, device.until));
            self.gone.remove(&id);
        }
    }

    /// Vanished devices and the ends of their claims.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (GoneId, Mono)> {
        self.gone.iter().map(|(&id, device)| (id, device.until))
    }

    /// True if a device has acknowledged the message and others have not.
    pub(crate) fn is_acknowledged(&self, seq: Seq) -> bool {
        self.debts.get(&seq).is_some_and(|debt| debt.acknowledged)
    }

    /// Who holds a message, for those who ask why it is still there.
    pub(crate) fn holders(&self, seq: Seq) -> impl Iterator<Item = Held<'_>> {
        let holders = self.debts.get(&seq).into_iter().flat_map(|debt| &debt.holders);
        holders.map(|holder| match holder.device {
            Device::Alive(conn) => Held::Alive(conn),
            Device::Gone(id) => Held::Gone {
                uuid: &holder.uuid,
                until: self.gone.get(&id).map(|device| device.until).unwrap_or_default(),
            },
        })
    }

    /// Asserts that both sides tell the same story. `alive(conn, seq)`: the connection is owed that message.
    pub(crate) fn check(&self, alive: impl Fn(ConnId, Seq) -> bool, queued: impl Fn(Seq) -> bool) {
        for (&seq, debt) in &self.debts {
            assert!(queued(seq), "a debt without a message");
            assert!(!debt.holders.is_empty(), "a settled debt was kept");
            for holder in &debt.holders {
                match holder.device {
                    Device::Alive(conn) => assert!(alive(conn, seq), "a device holds what it was not sent"),
                    Device::Gone(id) => {
                        let device = self.gone.get(&id);
                        assert!(
                            device.is_some_and(|d| d.seqs.contains(&seq)),
                            "a vanished device was forgotten"
                        );
                    }
                }
            }
        }
        for (id, device) in &self.gone {
            assert!(
                !device.seqs.is_empty(),
                "a vanished device without a claim was kept"
            );
            for seq in &device.seqs {
                let debt = self.debts.get(seq);
                assert!(
                    debt.is_some_and(|d| d.holders.iter().any(|holder| holder.device == Device::Gone(*id))),
                    "a claim to nothing"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests;
