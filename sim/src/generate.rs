//! Seed in, script out. A profile that has a kind of fault switched off (swarm testing) finds what a mix of
//! everything hides, so each seed draws how often every verb is used, and many of them not at all.

use crate::names::TOKENS;
use crate::prng::Prng;
use crate::profile::{Knob, Profile};
use crate::step::{Script, Step, Verb};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The script of a seed. `steps` overrides its drawn length.
pub fn generate(seed: u64, steps: Option<u64>) -> Script {
    let mut profile = Profile::drawn(seed);
    let mut rng = Prng::keyed(seed, 2);
    let weights = weights(&mut rng);
    let pace = rng.pick(&[0, 5, 50, 500, 3000, 3000]);
    let count = steps.unwrap_or_else(|| rng.pick(&[30, 80, 160, 300, 500]));
    let nights = rng.percent(8);
    if nights {
        profile.calm_nights();
    }
    let mut made = preamble(&profile, &mut rng);
    for _ in 0..count {
        let verb = draw(&weights, &mut rng);
        let gap_ms = match rng.below(100) {
            0..2 if nights => rng.between(HOUR_MS, 12 * HOUR_MS),
            0..25 => 0,
            _ => rng.below(pace + 1),
        };
        let (a, b, c) = numbers(verb, &mut rng);
        let serial = made.len() as u64;
        made.push(Step {
            serial,
            gap_ms,
            verb,
            a,
            b,
            c,
        });
    }
    Script { profile, steps: made }
}

/// The site registers its users and some pages are open before trouble begins.
fn preamble(profile: &Profile, rng: &mut Prng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut push = |gap_ms, verb, a, b, c| {
        let serial = steps.len() as u64;
        steps.push(Step {
            serial,
            gap_ms,
            verb,
            a,
            b,
            c,
        });
    };
    for user in 0..profile.get(Knob::Users) {
        for session in 0..profile.get(Knob::Sessions) {
            push(0, Verb::SetKey, session, user, 0);
        }
    }
    if rng.percent(60) {
        push(0, Verb::SetLength, 0, 0, rng.pick(&[1, 3, 10, 99]));
    }
    for browser in 0..profile.get(Knob::Browsers) {
        push(100, Verb::Open, browser, rng.next() & 0xfff, 0);
    }
    steps
}

fn weights(rng: &mut Prng) -> Vec<(Verb, u64)> {
    let mut weights = Vec::new();
    for &verb in Verb::ALL {
        let weight = usual(verb);
        let off = if weight >= 15 { 10 } else { 45 };
        if !rng.percent(off) {
            weights.push((verb, weight * rng.pick(&[1, 1, 2, 4])));
        }
    }
    if weights.is_empty() {
        weights.push((Verb::Private, 1));
    }
    weights
}

/// How often a verb is used if nothing else is known.
const fn usual(verb: Verb) -> u64 {
    match verb {
        Verb::Private => 60,
        Verb::Send | Verb::Publish | Verb::Reload => 30,
        Verb::Sub | Verb::Ask | Verb::Select | Verb::Open => 20,
        Verb::Again => 15,
        Verb::Cut | Verb::Shut | Verb::Reset => 10,
        Verb::Pause | Verb::Sleep | Verb::Rekey | Verb::SetKey | Verb::SetLength | Verb::Die => 6,
        Verb::DelHistory | Verb::SetData | Verb::Wrong | Verb::Ticks | Verb::Transaction => 5,
        Verb::Console => 10,
        Verb::Use | Verb::DelMessage => 4,
        Verb::DelKey | Verb::Revoke | Verb::Restore | Verb::DelLength | Verb::DelQueue | Verb::DelData => 4,
        Verb::DiskFail | Verb::Crash | Verb::Intruder => 4,
        Verb::Storm | Verb::Stop | Verb::Jump | Verb::Stall | Verb::Health => 2,
    }
}

fn draw(weights: &[(Verb, u64)], rng: &mut Prng) -> Verb {
    let total = weights.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.below(total);
    for &(verb, weight) in weights {
        if at < weight {
            return verb;
        }
        at -= weight;
    }
    Verb::Private
}

fn pause(rng: &mut Prng) -> u64 {
    match rng.below(4) {
        0 => 30,
        1 => rng.between(30, 1_500),
        2 => rng.between(1_000, 8_000),
        _ => rng.between(5_000, 120_000),
    }
}

fn numbers(verb: Verb, rng: &mut Prng) -> (u64, u64, u64) {
    let who = rng.below(12);
    match verb {
        Verb::Open => (who, rng.next() & 0xfff, 0),
        Verb::Shut => (who, rng.below(3), 0),
        Verb::Reload => (who, pause(rng), rng.below(4)),
        Verb::Cut => (who, if rng.percent(30) { 0 } else { pause(rng) }, 0),
        Verb::Reset | Verb::DelKey | Verb::DelQueue | Verb::SetData | Verb::DelData | Verb::Die => {
            (who, rng.below(6), 0)
        }
        Verb::Pause | Verb::Sleep => (who, pause(rng), 0),
        Verb::Again => (who, 0, 0),
        Verb::Storm => (rng.below(2), pause(rng), 0),
        Verb::Rekey => (who, rng.below(7), rng.below(TOKENS)),
        Verb::Sub => (
            who,
            rng.next() & rng.next() & 0xfff,
            if rng.percent(20) { rng.below(5) } else { 0 },
        ),
        Verb::Send => (
            who,
            if rng.percent(80) {
                rng.below(2)
            } else {
                rng.below(12)
            },
            rng.next() & 0xffff,
        ),
        Verb::Ask => (who, rng.below(11), rng.below(24)),
        Verb::Intruder => (rng.below(5), 0, 0),
        Verb::Private => (who, rng.below(4), rng.next() & 0xffff),
        Verb::Publish => (who, rng.below(8), rng.next() & 0xffff),
        Verb::SetKey | Verb::Revoke | Verb::Restore => (who, rng.below(4), rng.below(TOKENS)),
        Verb::SetLength => (who, rng.below(8), rng.pick(&[0, 1, 2, 5, 99, 200])),
        Verb::DelLength | Verb::DelHistory => (who, rng.below(8), 0),
        Verb::Select => (who, rng.below(12), rng.below(12)),
        Verb::Wrong => (who, rng.below(8), 0),
        Verb::Transaction => (who, rng.below(2), 0),
        Verb::DiskFail => (pause(rng), 0, 0),
        Verb::Crash => (rng.below(6), pause(rng), rng.below(2)),
        Verb::Stop => (pause(rng), 0, 0),
        Verb::Jump => (rng.pick(&[500, 2_000, 100_000, HOUR_MS, DAY_MS]), rng.below(2), 0),
        Verb::Stall => (pause(rng), rng.below(2), 0),
        Verb::Console => (who, rng.below(17), rng.next() & 0xff),
        Verb::Use => (who, rng.below(3), 0),
        Verb::DelMessage => (who, rng.below(16), 0),
        Verb::Health => (0, 0, 0),
        Verb::Ticks => (rng.between(1, 3), 0, 0),
    }
}
