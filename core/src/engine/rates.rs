//! Who is too fast (protocol.md 8.6). A command needs a turn in every bucket that is asked: its connection's, its
//! user's, its tenant's; it takes one in all of them or in none. One tenant's buckets are nobody else's.

use serde::{Deserialize, Serialize};

use super::Core;
use crate::cometql::Statement;
use crate::error::{ErrorCode, QueryError};
use crate::id::{ConnId, DevId, UserId};
use crate::limit::{Buckets, Rate};
use crate::rules::Kind;
use crate::wire::{BadRequest, ClientRequest, SubscribeMode};

/// Buckets that are kept; of more those that miss least are forgotten.
const BUCKETS_MAX: usize = 262_144;

/// Whose turns they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Taker {
    Connection(ConnId),
    User(DevId, UserId),
    Tenant(DevId),
}

/// The buckets of everybody who took a turn lately.
pub(super) type Turns = Buckets<(Taker, Kind)>;

/// No turns are missing.
pub(super) const fn no_turns() -> Turns {
    Turns::new(BUCKETS_MAX)
}

/// A bucket, its rate and what is asked of it.
type Claim = ((Taker, Kind), Rate, u64);

impl Core {
    /// Takes what a command costs. True: it is too fast, and nothing was taken.
    pub(super) fn is_over_rate(&mut self, conn: ConnId, request: &Result<ClientRequest, BadRequest>) -> bool {
        let Some(state) = self.conns.get(conn) else {
            return false;
        };
        let (dev, user) = (state.dev, state.user);
        let rates = self.config.rules(dev).rates;
        if rates.browsers_are_free() {
            return false;
        }
        let takers = [
            Some((Taker::Connection(conn), rates.connection)),
            user.map(|user| (Taker::User(dev, user), rates.user)),
            Some((Taker::Tenant(dev), rates.tenant)),
        ];
        let special = match request {
            Ok(ClientRequest::Send(_)) => Some((Kind::Message, 1)),
            Ok(ClientRequest::Subscribe(names)) if names.mode != SubscribeMode::Remove => {
                let new = |channel: &&_| {
                    let subscribers = self.tenants.channel(dev, channel);
                    subscribers.is_none_or(|subscribers| !subscribers.contains(conn))
                };
                Some((Kind::Subscription, names.names.iter().filter(new).count() as u64))
            }
            Ok(_) | Err(_) => None,
        };
        let costs = [Some((Kind::Command, 1)), special.filter(|(_, cost)| *cost > 0)];
        let claims = takers.into_iter().flatten().flat_map(|(taker, pace)| {
            let costs = costs.into_iter().flatten();
            costs.filter_map(move |(kind, cost)| Some(((taker, kind), rates.bucket(pace.of(kind))?, cost)))
        });
        let claims: [Option<Claim>; 6] = {
            let mut claims = claims;
            core::array::from_fn(|_| claims.next())
        };
        !self.take_turns(&claims)
    }

    /// Takes what a statement costs; those that only set up a session are free.
    pub(super) fn take_statement_turn(
        &mut self,
        dev: DevId,
        statement: &Result<Statement, QueryError>,
    ) -> Result<(), QueryError> {
        let is_free = matches!(
            statement,
            Ok(Statement::Nothing
                | Statement::Begin
                | Statement::End
                | Statement::Use { .. }
                | Statement::Constants { .. }
                | Statement::EmptySet { .. })
        );
        if is_free {
            return Ok(());
        }
        let rates = self.config.rules(dev).rates;
        let Some(rate) = rates.bucket(rates.statements) else {
            return Ok(());
        };
        let claim = ((Taker::Tenant(dev), Kind::Statement), rate, 1);
        if self.take_turns(&[Some(claim)]) {
            return Ok(());
        }
        Err(ErrorCode::TooManyRequests.into())
    }

    /// All or none.
    fn take_turns(&mut self, claims: &[Option<Claim>]) -> bool {
        let now = self.now.mono;
        let turns = &mut self.turns;
        let claims = || claims.iter().flatten();
        if claims().any(|&(of, rate, cost)| rate.check(turns.full(of), cost, now).is_err()) {
            self.statistics.refused.rate += 1;
            return false;
        }
        for &(of, rate, cost) in claims() {
            let full = rate.taken(turns.full(of), cost, now);
            turns.set(of, full, now);
        }
        true
    }

    /// A connection is gone, and its numbers are never used again.
    pub(super) fn forget_turns(&mut self, conn: ConnId) {
        for kind in [Kind::Command, Kind::Message, Kind::Subscription] {
            self.turns.remove((Taker::Connection(conn), kind));
        }
    }
}
