//! How often an address may come or ask: a bucket of turns for every address, refilled in time.
//!
//! Promise: bounded memory, whoever comes; an address that has no turn left is told when it has one again. The time is
//! an argument.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use comet_core::Mono;
use comet_core::limit::{Buckets, Network, Rate, Wait};

/// Addresses that are remembered at once.
const ADDRESSES_MAX: usize = 4096;
/// How many times the turns of an address all addresses of an IPv6 site have together.
const OF_SITE: u64 = 16;

/// Turns for every address.
#[derive(Debug)]
pub(crate) struct Turns {
    turns: u64,
    refill_us: u64,
    taken: Mutex<Buckets<Network>>,
}

impl Turns {
    /// A bucket of `turns`, each of which comes back after `refill_us` microseconds.
    pub(crate) fn new(turns: u64, refill_us: u64) -> Self {
        Self {
            turns,
            refill_us,
            taken: Mutex::new(Buckets::new(ADDRESSES_MAX)),
        }
    }

    /// Takes a turn.
    pub(crate) fn take(&self, who: IpAddr, now: Mono) -> Result<(), Wait> {
        let address = Network::of(who);
        let buckets = [
            Some((address, Rate::new(self.turns, self.refill_us))),
            address
                .site()
                .map(|site| (site, Rate::new(self.turns * OF_SITE, self.refill_us / OF_SITE))),
        ];
        // Nothing in here panics half-way.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for (network, rate) in buckets.into_iter().flatten() {
            rate.check(taken.full(network), 1, now)?;
        }
        for (network, rate) in buckets.into_iter().flatten() {
            let full = rate.taken(taken.full(network), 1, now);
            taken.set(network, full, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_full_bucket_empties_and_comes_back_turn_by_turn() {
        let turns = Turns::new(5, 12_000_000);
        let who = ip("192.0.2.1");
        for _ in 0..5 {
            assert_eq!(turns.take(who, at(100)), Ok(()));
        }
        assert_eq!(turns.take(who, at(100)), Err(Wait(12_000_000)));
        assert_eq!(turns.take(ip("192.0.2.2"), at(100)), Ok(()));
        assert_eq!(turns.take(who, at(112)), Ok(()));
        assert!(turns.take(who, at(112)).is_err());
    }

    /// Addresses of one site neither have a bucket each nor keep others out.
    #[test]
    fn an_ipv6_site_shares_and_fills_no_table() {
        let turns = Turns::new(1, 60_000_000);
        assert_eq!(turns.take(ip("2001:db8:0:1::1"), at(0)), Ok(()));
        assert!(turns.take(ip("2001:db8:0:1:ffff::2"), at(0)).is_err());
        let taken =
            (2..9999).filter(|link| turns.take(ip(&format!("2001:db8:0:{link:x}::1")), at(0)).is_ok());
        assert_eq!(taken.count(), 15);
        for n in 0..10_000_u32 {
            assert_eq!(turns.take(IpAddr::V4(n.into()), at(0)), Ok(()), "newcomer {n}");
        }
        assert!(turns.taken.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
