//! The server moves to another process, as a recording does: at random moments the core is written to bytes and
//! replaced by what is read from them. Nobody may notice.

use comet_core::Core;
use comet_core::recording::redact::Redactor;

use super::{Outcome, World, play};
use crate::model::{Failure, wrong};
use crate::planted::Planted;
use crate::prng::Prng;
use crate::step::Script;

/// After one in so many events.
const EVERY: u64 = 100;

/// Runs a script with a core that is replaced by its own checkpoint after one in `every` events; 0 = never.
pub fn run_restoring(script: &Script, every: u64) -> Outcome {
    let mut world = World::new(script.profile.clone(), Planted::none());
    world.restores.every = every;
    play(world, script, false)
}

/// When the core is replaced. It has luck of its own, so that a run without it is the same run.
pub(super) struct Restores {
    pub(super) every: u64,
    luck: Prng,
}

impl Restores {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            every: EVERY,
            luck: Prng::keyed(seed, 5),
        }
    }

    pub(super) fn maybe(&mut self, core: &mut Option<Core>) -> Result<(), Failure> {
        match core {
            Some(core) if self.every > 0 && self.luck.below(self.every) == 0 => {
                let written = replace(core)?;
                // After every event would take very long.
                if self.every == EVERY {
                    redact(&written)
                } else {
                    Ok(())
                }
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn replace(core: &mut Core) -> Result<Vec<u8>, Failure> {
    let written = written(core);
    let restored = Core::restore(&written).or_else(|error| wrong("checkpoint", error.to_string()))?;
    if self::written(&restored) != written {
        return wrong("checkpoint", "a core that was read back writes other bytes");
    }
    restored.check();
    *core = restored;
    Ok(written)
}

/// A state without texts and secrets is a state as well.
fn redact(written: &[u8]) -> Result<(), Failure> {
    let redacted = Redactor::new([0; 32]).checkpoint(written);
    let redacted = redacted.or_else(|error| wrong("checkpoint", error.to_string()))?;
    let core = Core::restore(&redacted).or_else(|error| wrong("checkpoint", error.to_string()))?;
    core.check();
    Ok(())
}

fn written(core: &Core) -> Vec<u8> {
    let mut bytes = Vec::new();
    core.checkpoint(&mut bytes);
    bytes
}
