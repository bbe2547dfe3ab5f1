//! The state machine: one match on the event. No rule lives here; each family of events has a module.

use alloc::vec::Vec;

use crate::action::Action;
use crate::config::CheckedConfig;
use crate::event::Event;
use crate::state::Durable;
use crate::time::{Mono, Now};

/// The whole server but for its input and output.
#[derive(Debug)]
pub struct Core {
    config: CheckedConfig,
    durable: Durable,
    now: Now,
}

impl Core {
    /// Starts on what the store had. `seed` feeds the generator of message ids. Users the store shows as online
    /// become offline with time `now` (Q30), which may make the first `Persist`.
    pub fn start(
        config: CheckedConfig,
        durable: Durable,
        _seed: u64,
        now: Now,
        _out: &mut Vec<Action>,
    ) -> Self {
        Self { config, durable, now }
    }

    /// Moves time to `now`, fires every timer that is due, then applies `event`, appending to `out` what must
    /// happen, in order. `now.mono` must not go backwards.
    pub fn handle(&mut self, now: Now, _event: Event, _out: &mut Vec<Action>) {
        assert!(now.mono >= self.now.mono, "time goes backwards");
        self.now = now;
    }

    /// The next instant at which `handle(now, Event::Tick, …)` would do something.
    pub fn poll_timeout(&self) -> Option<Mono> {
        None
    }

    /// Walks over everything and asserts every invariant. O(n): for the simulator and the fuzzers.
    pub fn check(&self) {}

    /// What a store that wrote every record would hold.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// The configuration in force.
    pub fn config(&self) -> &CheckedConfig {
        &self.config
    }
}
