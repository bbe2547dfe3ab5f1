//! Makes a failing script small: takes out whatever is not needed for the failure, first in large pieces, then one
//! by one; makes numbers small; calms the world down.

use crate::profile::Knob;
use crate::step::{Script, Step};

/// The smallest script found for which `fails` is still true. `budget` bounds the number of trials.
pub fn shrink(script: &Script, budget: u32, fails: &mut dyn FnMut(&Script) -> bool) -> Script {
    let mut best = script.clone();
    let mut left = budget;
    let mut try_it = |candidate: Script, best: &mut Script| -> bool {
        if left == 0 || candidate == *best {
            return false;
        }
        left -= 1;
        let good = fails(&candidate);
        if good {
            *best = candidate;
        }
        good
    };
    loop {
        let before = best.clone();
        remove_pieces(&mut best, &mut try_it);
        calm_down(&mut best, &mut try_it);
        make_small(&mut best, &mut try_it);
        if best == before {
            return best;
        }
    }
}

type Try<'a> = &'a mut dyn FnMut(Script, &mut Script) -> bool;

fn remove_pieces(best: &mut Script, try_it: Try<'_>) {
    let mut size = (best.steps.len() / 2).max(1);
    loop {
        let mut at = 0;
        while at < best.steps.len() {
            let mut candidate = best.clone();
            let end = (at + size).min(candidate.steps.len());
            let gap: u64 = candidate.steps[at..end].iter().map(|step| step.gap_ms).sum();
            candidate.steps.drain(at..end);
            let without_gap = candidate.clone();
            if let Some(step) = candidate.steps.get_mut(at) {
                step.gap_ms += gap;
            }
            if !try_it(without_gap, best) && !try_it(candidate, best) {
                at += size;
            }
        }
        if size == 1 {
            return;
        }
        size /= 2;
    }
}

fn calm_down(best: &mut Script, try_it: Try<'_>) {
    for &knob in Knob::ALL {
        let mut candidate = best.clone();
        candidate.profile.set(knob, knob.calm());
        try_it(candidate, best);
    }
}

fn make_small(best: &mut Script, try_it: Try<'_>) {
    for at in 0..best.steps.len() {
        let numbers: [fn(&mut Step) -> &mut u64; 4] = [
            |step| &mut step.gap_ms,
            |step| &mut step.a,
            |step| &mut step.b,
            |step| &mut step.c,
        ];
        for number in numbers {
            let mut zero = best.clone();
            *number(&mut zero.steps[at]) = 0;
            if !try_it(zero, best) {
                let mut half = best.clone();
                *number(&mut half.steps[at]) /= 2;
                try_it(half, best);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shrink;
    use crate::generate::generate;
    use crate::step::Verb;

    #[test]
    fn what_is_not_needed_goes() {
        let script = generate(7, Some(200));
        let opens = script.steps.iter().filter(|step| step.verb == Verb::Open).count();
        assert!(opens > 1, "the preamble opens pages");
        let small = shrink(&script, 5_000, &mut |candidate| {
            candidate.steps.iter().any(|step| step.verb == Verb::Open)
        });
        assert_eq!(small.steps.len(), 1);
        assert_eq!(small.steps[0].verb, Verb::Open);
        assert_eq!(
            (small.steps[0].gap_ms, small.steps[0].a, small.steps[0].b),
            (0, 0, 0)
        );
    }
}
