//! Who is slowed down, and who is not, at each bound.

use super::*;
use crate::state::cost;

const WRONG: fn() -> Option<()> = || None;
const RIGHT: fn() -> Option<()> = || Some(());
const NEVER: fn() -> Option<()> = || panic!("nothing presented here may be looked at");

fn at(seconds: u64) -> Mono {
    Mono::from_micros(seconds * 1_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tenant(dev: u32) -> Account {
    Account::back_end(Some(DevId(dev)))
}

fn nth(n: u32) -> IpAddr {
    IpAddr::V4((0x0100_0000 + n).into())
}

fn throttle() -> Throttle {
    Throttle::new(5, true)
}

#[test]
fn five_failures_then_one_in_twelve_seconds() {
    let mut throttle = throttle();
    let who = ip("192.0.2.1");
    for _ in 0..5 {
        assert_eq!(throttle.attempt(who, tenant(1), at(100), WRONG), Ok(None));
    }
    assert_eq!(
        throttle.attempt(who, tenant(1), at(100), NEVER),
        Err(Wait(12_000_000))
    );
    assert_eq!(
        throttle.attempt(who, tenant(1), at(111), NEVER),
        Err(Wait(1_000_000))
    );
    assert_eq!(
        throttle.attempt(who, tenant(2), at(100), RIGHT),
        Ok(Some(())),
        "another account"
    );
    assert_eq!(
        throttle.attempt(nth(1), tenant(1), at(100), RIGHT),
        Ok(Some(())),
        "another address"
    );
    assert_eq!(throttle.attempt(who, tenant(1), at(112), WRONG), Ok(None));
    assert_eq!(
        throttle.attempt(who, tenant(1), at(112), NEVER),
        Err(Wait(12_000_000))
    );
    assert_eq!(throttle.attempt(who, tenant(1), at(124), RIGHT), Ok(Some(())));
}

/// One address that tries many accounts.
#[test]
fn an_address_has_fifty_failures_for_all_accounts() {
    let mut throttle = throttle();
    for dev in 0..50 {
        assert_eq!(
            throttle.attempt(ip("192.0.2.1"), tenant(dev), at(0), WRONG),
            Ok(None),
            "{dev}"
        );
    }
    assert!(
        throttle
            .attempt(ip("192.0.2.1"), tenant(50), at(0), NEVER)
            .is_err()
    );
    assert_eq!(
        throttle.attempt(ip("192.0.2.2"), tenant(50), at(0), WRONG),
        Ok(None)
    );
}

#[test]
fn an_ipv6_site_has_two_hundred_whatever_its_addresses() {
    let mut throttle = throttle();
    let mut tried = 0;
    for link in 0..10_000 {
        let who = ip(&alloc::format!("2001:db8:1:{link:x}::{link:x}"));
        tried += u32::from(throttle.attempt(who, tenant(link % 7), at(0), WRONG).is_ok());
    }
    assert_eq!(tried, 200);
    assert_eq!(
        throttle.attempt(ip("2001:db8:2::1"), tenant(0), at(0), WRONG),
        Ok(None),
        "another site"
    );
    assert_eq!(
        throttle.buckets.len(),
        200 + 200 + 1 + 7 + 3,
        "what is refused is not remembered"
    );
}

/// The back end gets in whatever others do, at its own address and elsewhere.
#[test]
fn whoever_was_right_lately_is_not_kept_out() {
    let mut throttle = throttle();
    let home = ip("192.0.2.1");
    assert_eq!(throttle.attempt(home, tenant(1), at(0), RIGHT), Ok(Some(())));
    for n in 0..5000 {
        let _ = throttle.attempt(nth(n), tenant(1), at(1), WRONG);
    }
    // The same address, but another account.
    for dev in 2..1000 {
        let _ = throttle.attempt(home, tenant(dev), at(1), WRONG);
    }
    // An old script with the password of yesterday on the same machine.
    for _ in 0..999 {
        assert_eq!(throttle.attempt(home, tenant(1), at(1), WRONG), Ok(None));
    }
    assert_eq!(throttle.attempt(home, tenant(1), at(1), RIGHT), Ok(Some(())));
    assert_eq!(throttle.attempt(home, tenant(1), at(1), WRONG), Ok(None));
    assert!(
        throttle.attempt(home, tenant(1), at(1), NEVER).is_err(),
        "a thousand in a minute is the end"
    );
}

/// People can wait; a program that guesses from where somebody else knows the password has to.
#[test]
fn the_console_has_no_friends() {
    let mut throttle = throttle();
    assert_eq!(
        throttle.attempt(nth(1), Account::CONSOLE, at(0), RIGHT),
        Ok(Some(()))
    );
    for _ in 0..5 {
        assert_eq!(throttle.attempt(nth(1), Account::CONSOLE, at(0), WRONG), Ok(None));
    }
    assert!(throttle.attempt(nth(1), Account::CONSOLE, at(0), NEVER).is_err());
}

#[test]
fn under_attack_strangers_have_one_try_and_it_is_enough() {
    let mut throttle = throttle();
    for n in 0..1000 {
        assert_eq!(throttle.attempt(nth(n), tenant(1), at(0), WRONG), Ok(None));
    }
    assert_eq!(
        throttle.attempt(ip("192.0.2.1"), tenant(1), at(0), WRONG),
        Ok(None)
    );
    assert_eq!(
        throttle.attempt(ip("192.0.2.1"), tenant(1), at(0), NEVER),
        Err(Wait(12_000_000)),
        "all five turns are gone"
    );
    assert_eq!(
        throttle.attempt(ip("192.0.2.2"), tenant(1), at(0), RIGHT),
        Ok(Some(()))
    );
    assert_eq!(
        throttle.attempt(ip("192.0.2.3"), tenant(2), at(0), WRONG),
        Ok(None)
    );
    assert_eq!(
        throttle.attempt(ip("192.0.2.3"), tenant(2), at(0), WRONG),
        Ok(None),
        "another account"
    );
}

/// Filling the table from elsewhere makes nobody's failures forgotten, and shuts nobody out.
#[test]
fn a_full_table_forgets_the_least_and_lets_newcomers_in() {
    let mut throttle = throttle();
    let guesser = ip("192.0.2.1");
    for _ in 0..5 {
        let _ = throttle.attempt(guesser, tenant(1), at(0), WRONG);
    }
    for n in 0..40_000 {
        assert_eq!(
            throttle.attempt(nth(n), tenant(n % 1000), at(0), WRONG),
            Ok(None),
            "newcomer {n}"
        );
        assert!(throttle.buckets.len() <= BUCKETS_MAX);
    }
    assert!(throttle.attempt(guesser, tenant(1), at(0), NEVER).is_err());
}

#[test]
fn friends_are_bounded_and_the_oldest_become_strangers() {
    let mut throttle = throttle();
    for n in 0..u32::try_from(FRIENDS_MAX).unwrap() + 1 {
        assert_eq!(
            throttle.attempt(nth(n), tenant(1), at(n.into()), RIGHT),
            Ok(Some(()))
        );
    }
    assert_eq!(throttle.friends.len(), FRIENDS_MAX);
    assert_eq!(throttle.friends_by_age.len(), FRIENDS_MAX);
    assert!(!throttle.friends.contains_key(&(Network::of(nth(0)), tenant(1))));
    assert!(throttle.friends.contains_key(&(Network::of(nth(1)), tenant(1))));
}

/// Whoever was right once more is a new friend, however old.
#[test]
fn a_friend_is_as_old_as_the_last_time_he_was_right() {
    let mut throttle = throttle();
    let mut right = |n: u32, seconds: u64| {
        assert_eq!(
            throttle.attempt(nth(n), tenant(1), at(seconds), RIGHT),
            Ok(Some(()))
        );
    };
    right(0, 0);
    right(1, 1);
    right(0, 2);
    for n in 2..=u32::try_from(FRIENDS_MAX).unwrap() {
        right(n, 3);
    }
    assert_eq!(throttle.friends.len(), FRIENDS_MAX);
    assert_eq!(throttle.friends_by_age.len(), FRIENDS_MAX);
    assert!(throttle.friends.contains_key(&(Network::of(nth(0)), tenant(1))));
    assert!(!throttle.friends.contains_key(&(Network::of(nth(1)), tenant(1))));
}

#[test]
fn private_addresses_count_only_where_no_unknown_proxy_can_be() {
    let account = Account::user(DevId(1), UserId::new(7).unwrap());
    for (counts_private, who, throttled) in [
        (false, "127.0.0.1", false),
        (false, "10.0.0.1", false),
        (false, "192.0.2.1", true),
        (true, "127.0.0.1", true),
    ] {
        let mut throttle = Throttle::new(5, counts_private);
        let refused = (0..6).filter(|_| throttle.attempt(ip(who), account, at(0), WRONG).is_err());
        assert_eq!(refused.count() == 1, throttled, "{who}");
    }
}

#[test]
fn zero_switches_it_off() {
    let mut throttle = Throttle::new(0, true);
    assert!((0..100).all(|_| throttle.attempt(nth(1), tenant(1), at(0), WRONG) == Ok(None)));
    assert!(throttle.buckets.is_empty());
}

/// What the memory budget counts is about what the tables take, whose nodes are half empty.
#[test]
fn what_is_counted_is_about_what_it_takes() {
    let entry = |bytes: usize| 2 * bytes as u64;
    let failed = entry(size_of::<(Who, Mono)>()) + entry(size_of::<(Mono, Who)>());
    let friend =
        entry(size_of::<((Network, Account), Mono)>()) + entry(size_of::<(Mono, Network, Account)>());
    for (told, real) in [(cost::TURNS, failed), (cost::FRIEND, friend)] {
        assert!(
            told * 5 >= real * 4 && told <= real + real / 2,
            "{told}, but {real}"
        );
    }
}
