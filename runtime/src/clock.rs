//! The only place that reads a clock. Everything else gets the time as an argument.
//!
//! Promise: the monotonic half never goes backwards, and its origin is the start of the server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use comet_core::{Mono, Now, UnixMillis};

/// Both clocks of the machine. Copies share their origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Time since the origin.
    pub(crate) fn mono(&self) -> Mono {
        Mono::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Both clocks, read together. A wall clock before 1970 counts as 1970.
    pub(crate) fn now(&self) -> Now {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            mono: self.mono(),
            unix: UnixMillis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// How long the core's thread may be busy, or wake up late, before its time stands still.
const HICCUP_MAX: Duration = Duration::from_secs(1);

/// Time as the core lives it: without the time in which its thread could not work.
///
/// After a stall (a paused machine, a shard that held everybody up) the answers of browsers wait in the queue behind
/// the deadlines they were meant to meet. If the stall counted, everybody who answered in time would be dropped.
#[derive(Debug)]
pub(crate) struct LivedTime {
    skipped: Duration,
    /// When the thread began its present turn, on the machine's clock.
    resumed: Mono,
}

impl LivedTime {
    /// Begins with a turn at this time of the machine.
    pub(crate) const fn starting(machine: Mono) -> Self {
        Self {
            skipped: Duration::ZERO,
            resumed: machine,
        }
    }

    /// The core's time at this time of the machine.
    pub(crate) fn at(&self, machine: Mono) -> Mono {
        Mono::from_micros(machine.micros().saturating_sub(self.skipped_micros()))
    }

    /// The thread has done its turn and is going to wait.
    pub(crate) fn pause(&mut self, machine: Mono) {
        self.skip(machine.micros_since(self.resumed));
    }

    /// The thread was woken, and would have been at `deadline` of the core's time at the latest.
    pub(crate) fn resume(&mut self, machine: Mono, deadline: Option<Mono>) {
        if let Some(deadline) = deadline {
            self.skip(self.at(machine).micros_since(deadline));
        }
        self.resumed = machine;
    }

    fn skip(&mut self, micros: u64) {
        self.skipped += Duration::from_micros(micros).saturating_sub(HICCUP_MAX);
    }

    fn skipped_micros(&self) -> u64 {
        u64::try_from(self.skipped.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Mono {
        Mono::from_micros(n * 1_000_000)
    }

    #[test]
    fn idle_time_counts() {
        let mut time = LivedTime::starting(secs(0));
        time.pause(secs(0));
        time.resume(secs(100), None);
        time.pause(secs(100));
        time.resume(secs(200), Some(secs(200)));
        assert_eq!(time.at(secs(200)), secs(200));
    }

    #[test]
    fn a_turn_that_takes_long_counts_a_second() {
        let mut time = LivedTime::starting(secs(0));
        time.resume(secs(10), None);
        time.pause(secs(30));
        assert_eq!(time.at(secs(30)), secs(11));
        time.resume(secs(31), None);
        assert_eq!(time.at(secs(31)), secs(12));
    }

    #[test]
    fn waking_up_late_counts_a_second() {
        let mut time = LivedTime::starting(secs(0));
        time.pause(secs(0));
        time.resume(secs(50), Some(secs(20)));
        assert_eq!(time.at(secs(50)), secs(21));
    }
}
