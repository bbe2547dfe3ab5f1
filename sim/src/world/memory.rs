//! What is around the core takes a part of the memory limit (docs/protocol.md 8.7): now little, now all of it.

use comet_core::{Event, Outside};

use super::{Coming, World};
use crate::model::{Cause, Failure};
use crate::prng::Prng;

impl World {
    /// Luck of its own for each turn, so that the rest of the world has the luck it always had.
    fn appetite(&self) -> Prng {
        Prng::keyed(self.profile.seed ^ self.now, 11)
    }

    /// Begins with a new server.
    pub(super) fn plan_memory(&mut self) {
        if self.profile.memory_limit() > 0 && !self.calm {
            let at = self.now + 1_000 * self.appetite().between(1, 20_000);
            self.plan(at, Coming::Memory { life: self.life });
        }
    }

    /// Another part than before; nothing when the faults are over.
    pub(super) fn take_memory(&mut self, life: u32) -> Result<(), Failure> {
        let limit = self.profile.memory_limit();
        if life != self.life || limit == 0 {
            return Ok(());
        }
        let mut appetite = self.appetite();
        let bytes = match appetite.below(4) {
            _ if self.calm => 0,
            0 => appetite.below(limit / 10),
            1 | 2 => limit / 10 * 9 + appetite.below(limit / 5),
            _ => limit + appetite.below(limit),
        };
        let outside = Outside {
            frames: bytes,
            ..Outside::default()
        };
        self.plan_memory();
        self.feed(Event::Memory(outside), &Cause::Memory { bytes })
    }
}
