//! Decides whether a stream of numbered messages arrived whole: nothing lost, nothing twice, nothing out of order.
//! Pure counting; knows nothing of sockets or users.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// What was wrong, added up over streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) disordered: u64,
}

impl Tally {
    pub(crate) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.disordered += other.disordered;
    }
}

/// What one arrival was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    InOrder,
    /// Numbers before it are missing; they may still come, late.
    AfterGap,
    Late,
    Again,
}

/// One stream as one receiver sees it.
#[derive(Debug, Default)]
pub(crate) struct Track {
    next: u32,
    started: bool,
    missing: BTreeSet<u32>,
    duplicated: u32,
    late: u32,
}

impl Track {
    /// A stream watched from its first message on.
    pub(crate) fn from_zero() -> Self {
        Self {
            started: true,
            ..Self::default()
        }
    }

    /// A stream joined while it runs: any number up to `at_most` may be the first one seen.
    pub(crate) fn joined(at_most: u32) -> Self {
        Self {
            next: at_most,
            ..Self::default()
        }
    }

    pub(crate) fn arrive(&mut self, number: u32) -> Arrival {
        if !self.started {
            self.started = true;
            self.next = self.next.min(number);
        }
        if number == self.next {
            self.next += 1;
            return Arrival::InOrder;
        }
        if number > self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            return Arrival::AfterGap;
        }
        if self.missing.remove(&number) {
            self.late += 1;
            return Arrival::Late;
        }
        self.duplicated += 1;
        Arrival::Again
    }

    /// The verdict when `sent` messages were sent in all and everything should have arrived.
    pub(crate) fn verdict(&self, sent: u32) -> Tally {
        let never_came = sent.saturating_sub(self.next);
        let mut tally = self.so_far();
        tally.lost += u64::from(never_came);
        tally
    }

    /// The verdict for a stream that was cut off: only what is wrong among the numbers seen.
    pub(crate) fn so_far(&self) -> Tally {
        Tally {
            lost: self.missing.len() as u64,
            duplicated: u64::from(self.duplicated),
            disordered: u64::from(self.late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(mut track: Track, numbers: &[u32]) -> Track {
        for number in numbers {
            track.arrive(*number);
        }
        track
    }

    #[test]
    fn a_whole_stream_is_clean() {
        assert!(after(Track::from_zero(), &[0, 1, 2, 3]).verdict(4).is_clean());
        assert!(after(Track::joined(7), &[5, 6, 7, 8]).verdict(9).is_clean());
        assert!(
            Track::joined(7).verdict(7).is_clean(),
            "nothing was sent after joining"
        );
    }

    #[test]
    fn losses_count_in_the_middle_and_at_both_ends() {
        let lost = |count| Tally {
            lost: count,
            ..Tally::default()
        };
        assert_eq!(after(Track::from_zero(), &[0, 3]).verdict(4), lost(2));
        assert_eq!(after(Track::from_zero(), &[0, 1]).verdict(5), lost(3));
        assert_eq!(after(Track::from_zero(), &[2, 3]).verdict(4), lost(2));
        assert_eq!(after(Track::from_zero(), &[0, 1]).so_far(), lost(0));
        assert_eq!(after(Track::joined(5), &[8]).verdict(9), lost(3));
        assert_eq!(Track::joined(5).verdict(9), lost(4));
    }

    #[test]
    fn late_is_disorder_and_again_is_duplicate() {
        assert_eq!(
            after(Track::from_zero(), &[0, 2, 1, 3, 3]).verdict(4),
            Tally {
                lost: 0,
                duplicated: 1,
                disordered: 1
            }
        );
        let mut track = Track::from_zero();
        assert_eq!(
            [0, 3, 1, 1, 2].map(|number| track.arrive(number)),
            [
                Arrival::InOrder,
                Arrival::AfterGap,
                Arrival::Late,
                Arrival::Again,
                Arrival::Late
            ]
        );
    }
}
