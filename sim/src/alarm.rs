//! `comet-sim planted`: does the alarm ring? In how many seeds is each planted bug found?
//!
//! Promise: what is found is the mistake. A seed that fails without one proves nothing about any, so it counts for none
//! and fails the command by itself.

use std::path::Path;

use comet_sim::{Bug, Planted, generate, run};

use crate::totals;

/// Runs the first `seeds` seeds without and with every mistake. True if each was found, and nothing else.
pub(crate) fn planted(seeds: u64, json: Option<&Path>) -> bool {
    println!("{seeds} seeds per planted bug");
    let clean = clean(seeds, fails_without);
    let mut needed = Vec::new();
    for &bug in Bug::ALL {
        let fails = |seed: &u64| {
            let failure = run(&generate(*seed, None), Planted::bug(bug), false).failure?;
            Some((*seed, failure.kind))
        };
        let found: Vec<_> = clean.iter().filter_map(fails).collect();
        let first = found.first().map_or_else(
            || "SURVIVED".to_owned(),
            |(seed, kind)| format!("first by seed {seed} ({kind})"),
        );
        println!(
            "{:24} {:4} of {} seeds, {first}",
            bug.name(),
            found.len(),
            clean.len()
        );
        needed.push((bug.name(), found.first().map(|(seed, _)| *seed)));
    }
    let repeat = format!("comet-sim planted --seeds {seeds}");
    let found = needed.iter().filter(|(_, first)| first.is_some()).count();
    let unclean = seeds - clean.len() as u64;
    println!("{} planted, {found} found", needed.len());
    println!("{repeat}");
    let report = totals::planted(&needed, seeds, unclean, &repeat);
    let written = json.is_none_or(|file| totals::write(file, &report));
    found == needed.len() && unclean == 0 && written
}

fn fails_without(seed: u64) -> Option<String> {
    let failure = run(&generate(seed, None), Planted::none(), false).failure?;
    Some(format!("{}: {:.300}", failure.kind, failure.text))
}

/// The seeds that do not fail without a mistake; the others are named.
fn clean(seeds: u64, fails: impl Fn(u64) -> Option<String>) -> Vec<u64> {
    let is_clean = |seed: &u64| match fails(*seed) {
        Some(failure) => {
            println!("seed {seed} fails without a planted bug and counts for none: {failure}");
            println!("comet-sim run --seed {seed}");
            false
        }
        None => true,
    };
    (1..=seeds).filter(is_clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_fails_without_a_mistake_counts_for_none() {
        let fails = |seed| (seed == 2).then(|| "lost".to_owned());
        assert_eq!(clean(3, fails), [1, 3]);
    }
}
