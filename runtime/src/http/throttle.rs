//! How often somebody may do something: a bucket of turns for every address, refilled in time.
//!
//! Promise: bounded memory, whoever comes; an address that has no turn left is told when it has one again; when there
//! are more addresses than fit, the new ones wait. The time is an argument.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use comet_core::Mono;

/// Addresses that are remembered at once.
const ADDRESSES_MAX: usize = 4096;

/// Turns for every address.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Turns of a full bucket.
    burst: u64,
    /// Time until a turn comes back, microseconds.
    refill_us: u64,
    /// When the bucket of an address is full again; an address that is not here has a full one.
    full_again: Mutex<BTreeMap<IpAddr, Mono>>,
}

/// No turn left, until this much later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wait(pub(super) Duration);

impl Throttle {
    pub(super) fn new(burst: u64, refill: Duration) -> Self {
        Self {
            burst,
            refill_us: u64::try_from(refill.as_micros()).unwrap_or(u64::MAX),
            full_again: Mutex::default(),
        }
    }

    /// Takes a turn.
    pub(super) fn take(&self, who: IpAddr, now: Mono) -> Result<(), Wait> {
        self.attempt(who, now, || None::<()>).map(drop)
    }

    /// Does something if there is a turn left, and takes the turn if it comes to nothing. Several at once cannot have
    /// more turns than there are.
    pub(super) fn attempt<T>(
        &self,
        who: IpAddr,
        now: Mono,
        attempt: impl FnOnce() -> Option<T>,
    ) -> Result<Option<T>, Wait> {
        let who = network(who);
        // Nothing in here panics half-way.
        let mut full_again = self.full_again.lock().unwrap_or_else(PoisonError::into_inner);
        if full_again.len() >= ADDRESSES_MAX && !full_again.contains_key(&who) {
            full_again.retain(|_, full| *full > now);
            if full_again.len() >= ADDRESSES_MAX {
                return Err(Wait(Duration::from_micros(self.refill_us)));
            }
        }
        let missing = full_again.get(&who).map_or(0, |full| full.micros_since(now));
        let room = self.refill_us.saturating_mul(self.burst - 1);
        if missing > room {
            return Err(Wait(Duration::from_micros(missing - room)));
        }
        let done = attempt();
        if done.is_none() {
            let full = now.micros() + missing + self.refill_us;
            full_again.insert(who, Mono::from_micros(full));
        }
        Ok(done)
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
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

    fn five_a_minute() -> Throttle {
        Throttle::new(5, Duration::from_secs(12))
    }

    #[test]
    fn a_full_bucket_empties_and_comes_back_turn_by_turn() {
        let throttle = five_a_minute();
        let who = ip("192.0.2.1");
        for _ in 0..5 {
            assert_eq!(throttle.take(who, at(100)), Ok(()));
        }
        assert_eq!(throttle.take(who, at(100)), Err(Wait(Duration::from_secs(12))));
        assert_eq!(throttle.take(who, at(111)), Err(Wait(Duration::from_secs(1))));
        assert_eq!(throttle.take(ip("192.0.2.2"), at(100)), Ok(()));
        assert_eq!(throttle.take(who, at(112)), Ok(()));
        assert!(throttle.take(who, at(112)).is_err());
        for _ in 0..5 {
            assert_eq!(throttle.take(who, at(172)), Ok(()));
        }
    }

    #[test]
    fn what_succeeds_costs_nothing_and_waits_with_the_rest() {
        let throttle = five_a_minute();
        let who = ip("192.0.2.1");
        for _ in 0..20 {
            assert_eq!(throttle.attempt(who, at(0), || Some(7)), Ok(Some(7)));
        }
        for _ in 0..5 {
            assert_eq!(throttle.attempt(who, at(0), || None::<u8>), Ok(None));
        }
        let refused = throttle.attempt(who, at(0), || -> Option<u8> { panic!("not even tried") });
        assert!(refused.is_err());
    }

    #[test]
    fn neighbours_in_an_ipv6_network_share_a_bucket() {
        let throttle = Throttle::new(1, Duration::from_secs(60));
        assert_eq!(throttle.take(ip("2001:db8:0:1::1"), at(0)), Ok(()));
        assert!(throttle.take(ip("2001:db8:0:1:ffff::2"), at(0)).is_err());
        assert_eq!(throttle.take(ip("2001:db8:0:2::1"), at(0)), Ok(()));
        assert_eq!(throttle.take(ip("::ffff:192.0.2.1"), at(0)), Ok(()));
        assert!(throttle.take(ip("192.0.2.1"), at(0)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = five_a_minute();
        let nth = |n: u32| IpAddr::V4(n.into());
        let max = u32::try_from(ADDRESSES_MAX).unwrap();
        for n in 0..max {
            assert_eq!(throttle.take(nth(n), at(0)), Ok(()));
        }
        assert!(throttle.take(nth(max), at(0)).is_err(), "newcomers wait");
        assert_eq!(throttle.take(nth(1), at(0)), Ok(()), "whoever is known does not");
        assert_eq!(
            throttle.take(nth(max), at(13)),
            Ok(()),
            "the others are forgotten in time"
        );
        assert!(throttle.full_again.lock().unwrap().len() < 10);
    }
}
