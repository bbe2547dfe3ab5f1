//! Laws of the core that a whole run proves: the same events give the same actions, and superfluous Ticks, or Ticks
//! that come late, change nothing but the moment at which actions appear.

use comet_core::{Action, Core, Durable, Event, Mono, Now, UnixMillis};

use crate::planted::Planted;
use crate::step::Script;
use crate::world::run;

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

/// All actions of the first life of the server in this run, under a regime of Ticks.
pub fn actions(script: &Script, ticks: Ticks) -> Vec<Action> {
    let trace = run(script, Planted::none(), true).trace;
    let mut actions: Vec<Action> = Vec::new();
    let Some(((start, _), events)) = trace.split_first() else {
        return actions;
    };
    let seed = script.profile.seed ^ 1;
    let config = script.profile.config();
    let mut core = Core::start(config, Durable::default(), seed, *start, &mut actions);
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
    actions
}

/// The first place where a regime of Ticks leads to other actions than the run itself.
pub fn difference(script: &Script, ticks: Ticks) -> Option<String> {
    let (same, other) = (actions(script, Ticks::Same), actions(script, ticks));
    let at = (0..same.len().max(other.len())).find(|at| !alike(same.get(*at), other.get(*at)))?;
    Some(format!(
        "action {at}: {:?} became {:?} with {ticks:?}",
        same.get(at),
        other.get(at)
    ))
}

/// Equal, but for a second: the wall clock has milliseconds and the deadline microseconds, so the second in which it
/// passed cannot always be told afterwards.
fn alike(a: Option<&Action>, b: Option<&Action>) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (format!("{a:?}"), format!("{b:?}"));
    let pieces = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_ascii_digit())
            .map(str::to_owned)
            .collect()
    };
    let same = |a: &String, b: &String| {
        let seconds = |text: &str| {
            if text.len() == 10 {
                text.parse::<u64>().ok()
            } else {
                None
            }
        };
        a == b
            || seconds(a)
                .zip(seconds(b))
                .is_some_and(|(a, b)| a.abs_diff(b) == 1)
    };
    let (a, b) = (pieces(&a), pieces(&b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b))
}

fn between(a: Now, b: Now) -> Now {
    let micros = u64::midpoint(a.mono.micros(), b.mono.micros());
    let passed_ms = (b.mono.micros() - micros) / 1000;
    Now {
        mono: Mono::from_micros(micros),
        unix: UnixMillis(b.unix.0.saturating_sub(passed_ms)),
    }
}
