//! Guessing is slow: wrong passwords and keys are counted by address, by account and by both.
//!
//! Promise: whoever has no turn left is refused without a look at what he presents; what is right costs nothing; whoever was right
//! lately at this address is not kept out by what others do, wherever they are; a stranger with the right password gets
//! in at his first try however many guess elsewhere. Memory is bounded, and nobody can make his own failures forgotten
//! for less than they cost.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::network::is_private;
use super::{Buckets, Network, Rate, Wait};
use crate::id::{DevId, UserId};
use crate::time::Mono;

/// In which time a bucket fills, whatever it holds. One for all, so that the table can compare them.
const PERIOD_US: u64 = 60_000_000;
/// Failures that are free, as multiples of those of one account at one address: at this address, for all accounts,
const OF_NETWORK: u64 = 10;
/// in one IPv6 site,
const OF_SITE: u64 = 40;
/// for one account from everywhere, before strangers have one try each,
const OF_ACCOUNT: u64 = 200;
/// and for an account where it was right lately.
const OF_FRIEND: u64 = 200;
/// Buckets kept at most.
const BUCKETS_MAX: usize = 16_384;
/// Addresses that were right, kept at most: of more the ones that were so longest ago are strangers again.
const FRIENDS_MAX: usize = 16_384;

/// What somebody wants to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Account(u64);

impl Account {
    /// The back end of a tenant; all that are none are one.
    pub fn back_end(dev: Option<DevId>) -> Self {
        Self(dev.map_or(u64::MAX, |dev| u64::from(dev.0)))
    }

    /// The console of a server, which people use, and no program that must not be kept out.
    pub const CONSOLE: Self = Self(u64::MAX - 1);

    /// A user of a tenant.
    pub const fn user(dev: DevId, user: UserId) -> Self {
        Self((dev.0 as u64) << 32 | user.get() as u64)
    }
}

/// Whose failures are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Who {
    Network(Network),
    Account(Account),
    Stranger(Network, Account),
    Friend(Network, Account),
}

/// Failures of all addresses and accounts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Throttle {
    /// Failures of one account at one address in a minute; 0 = everybody may always try.
    failures_max: u64,
    /// Private addresses are those of clients. If not, they may be a proxy's, and are not counted.
    counts_private: bool,
    buckets: Buckets<Who>,
    friends: BTreeMap<(Network, Account), Mono>,
    friends_by_age: BTreeSet<(Mono, Network, Account)>,
}

impl Throttle {
    /// `failures_max` wrong attempts of an account at an address are free, and as many in each minute; 0 = any number.
    pub fn new(failures_max: u32, counts_private: bool) -> Self {
        Self {
            failures_max: failures_max.into(),
            counts_private,
            buckets: Buckets::new(BUCKETS_MAX),
            friends: BTreeMap::new(),
            friends_by_age: BTreeSet::new(),
        }
    }

    /// Tries if there is a turn left. `attempt`: `Some` is right, `None` wrong, which takes the turn. Whoever is refused
    /// was not even tried, and it costs him nothing.
    pub fn attempt<T>(
        &mut self,
        ip: IpAddr,
        account: Account,
        now: Mono,
        attempt: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Wait> {
        self.may_try(ip, account, now)?;
        let done = attempt();
        self.note(ip, account, now, done.is_some());
        Ok(done)
    }

    /// Whether there is a turn left.
    pub fn may_try(&self, ip: IpAddr, account: Account, now: Mono) -> Result<(), Wait> {
        if self.is_free(ip) {
            return Ok(());
        }
        let asked = self.asked(Network::of(ip), account, now);
        // One turn is enough to try, whatever a failure costs.
        let mut buckets = asked.iter().flatten();
        buckets.try_for_each(|&(who, _)| self.rate(who).check(self.buckets.full(who), 1, now))
    }

    /// What became of it.
    pub fn note(&mut self, ip: IpAddr, account: Account, now: Mono, was_right: bool) {
        if self.is_free(ip) {
            return;
        }
        let network = Network::of(ip);
        if was_right {
            if account != Account::CONSOLE {
                self.befriend(network, account, now);
            }
            return;
        }
        for (who, cost) in self.asked(network, account, now).into_iter().flatten() {
            self.charge(who, cost, now);
        }
        self.charge(Who::Account(account), 1, now);
    }

    /// How many failed lately, and how many were right: at most 16,384 of each are kept.
    pub(crate) fn remembered(&self) -> (usize, usize) {
        (self.buckets.len(), self.friends.len())
    }

    fn is_free(&self, ip: IpAddr) -> bool {
        self.failures_max == 0 || !self.counts_private && is_private(ip)
    }

    /// The buckets an attempt needs a turn of, and what a failure costs there.
    fn asked(&self, network: Network, account: Account, now: Mono) -> [Option<(Who, u64)>; 3] {
        if self.friends.contains_key(&(network, account)) {
            return [Some((Who::Friend(network, account), 1)), None, None];
        }
        let of_account = Who::Account(account);
        let attacked = self
            .rate(of_account)
            .check(self.buckets.full(of_account), 1, now)
            .is_err();
        let cost = if attacked { self.failures_max } else { 1 };
        [
            Some((Who::Stranger(network, account), cost)),
            Some((Who::Network(network), cost)),
            network.site().map(|site| (Who::Network(site), cost)),
        ]
    }

    fn rate(&self, who: Who) -> Rate {
        let times = match who {
            Who::Stranger(..) => 1,
            Who::Network(Network::Site(_)) => OF_SITE,
            Who::Network(Network::Address(_) | Network::Link(_)) => OF_NETWORK,
            Who::Account(_) => OF_ACCOUNT,
            Who::Friend(..) => OF_FRIEND,
        };
        Rate::per(self.failures_max * times, PERIOD_US)
    }

    fn charge(&mut self, who: Who, cost: u64, now: Mono) {
        let full = self.rate(who).taken(self.buckets.full(who), cost, now);
        self.buckets.set(who, full, now);
    }

    fn befriend(&mut self, network: Network, account: Account, now: Mono) {
        if let Some(before) = self.friends.insert((network, account), now) {
            self.friends_by_age.remove(&(before, network, account));
        }
        self.friends_by_age.insert((now, network, account));
        if self.friends.len() > FRIENDS_MAX
            && let Some((_, network, account)) = self.friends_by_age.pop_first()
        {
            self.friends.remove(&(network, account));
        }
    }
}

#[cfg(test)]
mod tests;
