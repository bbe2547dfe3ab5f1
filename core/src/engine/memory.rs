//! The memory budget (`memory_limit`, protocol.md 8.7): who is turned away when it is used up.
//!
//! Promise: what was accepted stays, and whatever gives memory back works always: acknowledgements, DELETE, reading,
//! going away. What is refused is new. A part of the limit is kept from what is stored, so that browsers can come and
//! fetch it however full the queues are. The limit is overstepped by at most what one statement or command brings, by what
//! is revoked meanwhile, up to an eighth of it, and by what has a bound of its own: the journal and the limits.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Core;
use crate::action::{Action, Room};
use crate::cometql::Insert;
use crate::error::{ErrorCode, QueryError};
use crate::event::Outside;
use crate::id::{ConnId, DevId};
use crate::state::{Accepted, Account, Category, Usage, cost};

/// What a connection takes beside what it does.
pub(super) const CONNECTION: Usage = Usage {
    items: 1,
    bytes: cost::CONNECTION,
};
/// The part of the limit that is kept from what is stored: one eighth.
const KEPT_SHARE: u64 = 8;
/// What was refused at a bound is taken again below this part of it.
const RESUME_PERCENT: u64 = 95;
/// A message into a channel without history that is no longer is published always: what it takes is given back at once.
const SHORT_BODY_BYTES: usize = 1024;
/// CometQL sessions that may be open always: somebody has to be able to delete.
pub(super) const SESSIONS_KEPT: usize = 16;

/// What a statement is told when there is no memory for what it brings.
const FULL: QueryError = QueryError::new(ErrorCode::Full, "the memory limit of the server is reached");

/// How the limit is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// What the caller uses for what the core does not see.
    outside: Outside,
    room: Room,
    /// What was refused since the start.
    refused: u64,
}

/// What the whole server uses.
pub(super) struct Totals {
    pub(super) core: Account,
    pub(super) outside: Outside,
    pub(super) limit: u64,
    pub(super) room: Room,
    pub(super) refused: u64,
}

impl Core {
    /// What the core uses, by category. Exact by the formulas of docs/operations.md.
    pub fn memory(&self) -> Account {
        let mut sum = self.durable.memory().plus(&self.tenants.memory());
        let headers = Usage::new(0, self.clients.bytes());
        let unsaved = Usage::new(0, cost::UNSAVED * self.unsaved_presence.len() as u64);
        sum.take(Category::Connections, headers);
        sum.take(Category::Users, unsaved);
        sum.take(Category::Journal, self.journal.usage());
        sum.take(Category::Limits, self.memory_of_limits());
        sum
    }

    fn memory_of_limits(&self) -> Usage {
        let (failures, friends) = self.key_failures.remembered();
        let (turns, addresses) = (self.turns.len() + failures, self.addresses.len());
        let bytes = [
            (turns, cost::TURNS),
            (friends, cost::FRIEND),
            (addresses, cost::ADDRESS),
        ];
        let bytes = bytes.iter().map(|(items, each)| *items as u64 * each).sum();
        Usage::new(turns + friends + addresses, bytes)
    }

    /// What one tenant uses. What several share belongs to none.
    pub(super) fn memory_of(&self, dev: DevId) -> Account {
        let stored = self.durable.tenant(dev).map(|tenant| tenant.memory.clone());
        let stored = stored.unwrap_or_default();
        match self.tenants.get(dev) {
            Some(living) => stored.plus(&living.memory),
            None => stored,
        }
    }

    pub(super) fn memory_totals(&self) -> Totals {
        Totals {
            core: self.memory(),
            outside: self.budget.outside,
            limit: self.config.memory_limit_bytes,
            room: self.budget.room,
            refused: self.budget.refused,
        }
    }

    /// The caller tells what it uses.
    pub(super) fn outside(&mut self, outside: Outside) {
        self.budget.outside = outside;
    }

    /// After everything that happened: is there room for more?
    pub(super) fn weigh(&mut self, out: &mut Vec<Action>) {
        let limit = self.config.memory_limit_bytes;
        if limit == 0 {
            return;
        }
        let core = self.memory();
        let stored = core.stored_bytes();
        let used = core.bytes() + self.budget.outside.bytes();
        // What nobody can give back must not keep out who comes to fetch.
        let remembered = core.get(Category::Journal).bytes + core.get(Category::Limits).bytes;
        let living = used - stored - remembered;
        let room = room(limit, stored, living, used, self.budget.room);
        if room != self.budget.room {
            self.budget.room = room;
            out.push(Action::Room(room));
        }
    }

    /// True while new connections, subscriptions and messages of pages are refused.
    pub(super) fn is_full(&self) -> bool {
        self.budget.room == Room::None
    }

    /// True while nothing is stored that would not give way to something.
    pub(super) fn may_not_store(&self) -> bool {
        self.budget.room != Room::Enough
    }

    /// Whoever has a stolen token may fill the memory with it, and must not keep it by that: revocations have an eighth of
    /// the limit to themselves.
    fn may_revoke(&self) -> bool {
        self.memory().get(Category::Tokens).bytes < self.config.memory_limit_bytes / KEPT_SHARE
    }

    pub(super) fn count_refused(&mut self, things: usize) {
        self.budget.refused += things as u64;
    }

    /// Is there room for what an INSERT brings?
    pub(super) fn check_room(&mut self, dev: DevId, insert: &Insert) -> Result<(), QueryError> {
        let is_long = match insert {
            Insert::PipesMessages(rows) => {
                let mut bodies = rows.iter().map(|row| row.body.as_str().len());
                bodies.any(|bytes| bytes > SHORT_BODY_BYTES)
            }
            Insert::UsersAuth(_)
            | Insert::UsersData(_)
            | Insert::UsersMessages(_)
            | Insert::PipesSettings(_)
            | Insert::RevokedTokens(_)
            | Insert::Conference => false,
        };
        let may_not_store = match insert {
            Insert::RevokedTokens(_) => self.may_not_store() && !self.may_revoke(),
            Insert::UsersAuth(_)
            | Insert::UsersData(_)
            | Insert::UsersMessages(_)
            | Insert::PipesMessages(_)
            | Insert::PipesSettings(_)
            | Insert::Conference => self.may_not_store(),
        };
        if (self.is_full() && is_long) || (may_not_store && self.stores_something(dev, insert)) {
            self.count_refused(insert.rows());
            return Err(FULL);
        }
        Ok(())
    }

    /// What is on its way to a connection has changed.
    pub(super) fn tidy(&mut self, conn: ConnId) {
        if let Some(state) = self.conns.get_mut(conn) {
            let (before, after) = state.tidy();
            self.tenants
                .charge(state.dev, Category::Deliveries, before, after);
        }
    }

    /// A message that may be sent again is remembered no more.
    pub(super) fn give_back_send(&mut self, dev: DevId) {
        self.tenants
            .charge(dev, Category::Sends, Accepted::EACH, Usage::NONE);
    }

    /// Asserts that the running figures are those of a full count; O(n).
    pub(super) fn check_memory(&self) {
        self.tenants.check_memory();
        for (dev, tenant) in self.tenants.iter() {
            let mut account = tenant.counted();
            for (_, conn) in self.conns.iter().filter(|(_, conn)| conn.dev == dev) {
                account.take(Category::Connections, CONNECTION);
                account.take(Category::Deliveries, conn.pending_usage());
            }
            for _ in 0..self.accepted.count_of(dev) {
                account.take(Category::Sends, Accepted::EACH);
            }
            for session in self.sessions.values().filter(|session| session.dev == dev) {
                account.take(Category::Sessions, session.usage());
            }
            for usage in self.durability.usages(dev) {
                account.take(Category::Waiting, usage);
            }
            assert_eq!(tenant.memory, account, "the memory of a living tenant drifted");
        }
    }
}

/// How much room is left of `limit`, after there was `before`.
fn room(limit: u64, stored: u64, living: u64, used: u64, before: Room) -> Room {
    let kept = limit / KEPT_SHARE;
    let bound = |bound: u64, refuses: bool| {
        if refuses {
            bound - bound * (100 - RESUME_PERCENT) / 100
        } else {
            bound
        }
    };
    let storing = before != Room::Enough;
    let full = before == Room::None;
    if used >= bound(limit, full) && living >= bound(kept, full) {
        Room::None
    } else if used >= bound(limit, storing) || stored >= bound(limit - kept, storing) {
        Room::ToCome
    } else {
        Room::Enough
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::Taker;
    use super::*;
    use crate::limit::Network;
    use crate::rules::Kind;
    use crate::time::Mono;

    /// At n and n - 1 of every bound, and what was refused at it comes again below 95 % of it.
    #[test]
    fn the_bounds_and_where_they_let_go() {
        let at = |stored, living, before| room(8_000, stored, living, stored + living, before);
        assert_eq!(at(6_999, 1_000, Room::Enough), Room::Enough);
        assert_eq!(at(7_000, 0, Room::Enough), Room::ToCome);
        assert_eq!(at(6_999, 1_001, Room::Enough), Room::None);
        assert_eq!(
            at(7_001, 999, Room::Enough),
            Room::ToCome,
            "browsers may come and fetch it"
        );
        assert_eq!(
            at(90_000, 999, Room::Enough),
            Room::ToCome,
            "however much there was"
        );
        assert_eq!(at(0, 8_000, Room::Enough), Room::None);
        assert_eq!(at(6_650, 0, Room::ToCome), Room::ToCome);
        assert_eq!(at(6_649, 0, Room::ToCome), Room::Enough);
        assert_eq!(at(0, 7_600, Room::None), Room::None);
        assert_eq!(at(0, 7_599, Room::None), Room::Enough);
        assert_eq!(at(7_500, 950, Room::None), Room::None);
        assert_eq!(at(7_500, 949, Room::None), Room::ToCome);
        // What is remembered of messages fills the server without being stored or alive.
        assert_eq!(room(8_000, 5_000, 500, 8_000, Room::Enough), Room::ToCome);
        assert_eq!(room(8_000, 5_000, 500, 7_999, Room::Enough), Room::Enough);
    }

    /// Nodes of trees are half empty.
    #[test]
    fn what_limits_take_is_about_what_is_counted() {
        let entry = |bytes: usize| 2 * bytes as u64;
        let turns = entry(size_of::<((Taker, Kind), Mono)>()) + entry(size_of::<(Mono, (Taker, Kind))>());
        let address = entry(size_of::<(Network, u32)>());
        for (told, real) in [(cost::TURNS, turns), (cost::ADDRESS, address)] {
            assert!(
                told * 5 >= real * 4 && told <= real + real / 2,
                "{told}, but {real}"
            );
        }
    }
}
