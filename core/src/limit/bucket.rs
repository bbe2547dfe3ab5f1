//! One token bucket, as a single point in time: when it will be full again. A bucket that is full needs no memory.
//!
//! Promise: within any span of time `t` nobody takes more than `turns + t / period × turns`; the arithmetic is whole
//! microseconds and the same on every machine.

use crate::time::Mono;

/// What a bucket holds, and how fast it fills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    turns: u64,
    refill_us: u64,
}

/// No turn left, until this many microseconds later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wait(pub u64);

impl Wait {
    /// Whole seconds until the next try, at least one.
    pub const fn seconds(self) -> u64 {
        let seconds = self.0.div_ceil(1_000_000);
        if seconds == 0 { 1 } else { seconds }
    }

    /// Whole milliseconds until the next try, at least one.
    pub const fn millis(self) -> u64 {
        let millis = self.0.div_ceil(1000);
        if millis == 0 { 1 } else { millis }
    }
}

impl Rate {
    /// A bucket of `turns` (at least 1), each of which comes back after `refill_us` microseconds.
    pub const fn new(turns: u64, refill_us: u64) -> Self {
        let turns = if turns == 0 { 1 } else { turns };
        Self { turns, refill_us }
    }

    /// A bucket of `turns` that fills in `period_us`.
    pub const fn per(turns: u64, period_us: u64) -> Self {
        let turns = if turns == 0 { 1 } else { turns };
        Self::new(turns, period_us / turns)
    }

    /// `per_second` turns each second, of which `seconds` worth may be saved up.
    pub const fn per_second(per_second: u64, seconds: u64) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        Self::new(per_second.saturating_mul(seconds), 1_000_000 / per_second)
    }

    /// Turns of a full bucket.
    pub const fn turns(self) -> u64 {
        self.turns
    }

    /// Whether `cost` turns are left in the bucket that is full at `full`. Nothing can cost more than a full bucket.
    pub fn check(self, full: Mono, cost: u64, now: Mono) -> Result<(), Wait> {
        let room = self.refill_us.saturating_mul(self.turns - cost.min(self.turns));
        match full.micros_since(now).checked_sub(room) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Wait(wait)),
        }
    }

    /// When the bucket is full after `cost` turns are taken; at most a full bucket is missing.
    #[must_use]
    pub fn taken(self, full: Mono, cost: u64, now: Mono) -> Mono {
        let missing = full.micros_since(now);
        let depth = self.refill_us.saturating_mul(self.turns);
        let missing = missing
            .saturating_add(self.refill_us.saturating_mul(cost))
            .min(depth);
        Mono::from_micros(now.micros().saturating_add(missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTYABLE: Rate = Rate::new(3, 10);

    fn at(us: u64) -> Mono {
        Mono::from_micros(us)
    }

    /// Takes as many turns as there are.
    fn drain(rate: Rate, mut full: Mono, now: Mono) -> (u64, Mono) {
        let mut taken = 0;
        while rate.check(full, 1, now).is_ok() {
            full = rate.taken(full, 1, now);
            taken += 1;
        }
        (taken, full)
    }

    #[test]
    fn a_bucket_gives_its_turns_and_then_one_per_refill() {
        let (taken, full) = drain(EMPTYABLE, at(0), at(1000));
        assert_eq!((taken, full), (3, at(1030)));
        assert_eq!(EMPTYABLE.check(full, 1, at(1000)), Err(Wait(10)));
        assert_eq!(EMPTYABLE.check(full, 1, at(1009)), Err(Wait(1)));
        assert_eq!(EMPTYABLE.check(full, 1, at(1010)), Ok(()));
        assert_eq!(drain(EMPTYABLE, full, at(1010)).0, 1);
        assert_eq!(drain(EMPTYABLE, full, at(5000)).0, 3, "never more than full");
    }

    #[test]
    fn what_costs_several_turns_needs_them_all_and_never_more_than_there_can_be() {
        let full = EMPTYABLE.taken(at(0), 1, at(0));
        assert_eq!(EMPTYABLE.check(full, 2, at(0)), Ok(()));
        assert_eq!(EMPTYABLE.check(full, 3, at(0)), Err(Wait(10)));
        assert_eq!(EMPTYABLE.check(full, 4, at(0)), Err(Wait(10)));
        assert_eq!(EMPTYABLE.check(at(0), 4, at(0)), Ok(()));
        assert_eq!(EMPTYABLE.taken(at(0), 1000, at(0)), at(30));
    }

    #[test]
    fn rates_by_the_second() {
        let rate = Rate::per_second(4, 2);
        assert_eq!(drain(rate, at(0), at(0)).0, 8);
        let (_, full) = drain(rate, at(0), at(0));
        assert_eq!(drain(rate, full, at(1_000_000)).0, 4);
        assert_eq!(Rate::per(5, 60_000_000), Rate::new(5, 12_000_000));
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let rate = Rate::new(u64::MAX, u64::MAX);
        let full = rate.taken(at(u64::MAX), u64::MAX, at(u64::MAX));
        assert_eq!(full, at(u64::MAX));
        assert_eq!(
            (Wait(0).seconds(), Wait(1_000_001).seconds(), Wait(1).millis()),
            (1, 2, 1)
        );
    }
}
