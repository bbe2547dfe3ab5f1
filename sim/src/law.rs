//! Laws of the core that a whole run proves: the same events give the same actions, and superfluous Ticks, or Ticks
//! that come late, change nothing but the moment at which actions appear.

use std::fmt::Write as _;

use comet_core::{Action, Core, Durable, Event, Mono, Now, UnixMillis};

use crate::planted::Planted;
use crate::step::Script;
use crate::world::{Digest, run};

/// When Ticks are fed besides the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ticks {
    /// As in the run.
    Same,
    /// Only one at the end: timers fire late, inside other events.
    None,
    /// One in the middle between any two events.
    More,
}

/// Digest of all actions of the first life of the server in this run, under a regime of Ticks.
pub fn actions_digest(script: &Script, ticks: Ticks) -> u64 {
    let trace = run(script, Planted::none(), true).trace;
    let Some(((start, _), events)) = trace.split_first() else {
        return 0;
    };
    let mut actions: Vec<Action> = Vec::new();
    let seed = script.profile.seed ^ 1;
    let mut core = Core::start(
        script.profile.config(),
        Durable::default(),
        seed,
        *start,
        &mut actions,
    );
    let mut last = *start;
    for (now, event) in events {
        let Some(event) = event else { break };
        if ticks == Ticks::More {
            core.handle(between(last, *now), Event::Tick, &mut actions);
        }
        if !(ticks == Ticks::None && *event == Event::Tick) {
            core.handle(*now, event.clone(), &mut actions);
        }
        last = *now;
    }
    core.handle(last, Event::Tick, &mut actions);
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    for action in &actions {
        let _ = write!(digest, "{action:?}");
    }
    digest.0
}

fn between(a: Now, b: Now) -> Now {
    let micros = u64::midpoint(a.mono.micros(), b.mono.micros());
    let passed_ms = (b.mono.micros() - micros) / 1000;
    Now {
        mono: Mono::from_micros(micros),
        unix: UnixMillis(b.unix.0.saturating_sub(passed_ms)),
    }
}
