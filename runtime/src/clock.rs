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
