//! Replays every kept script, runs seeds, and holds the simulator itself to its promises: the same seed gives the
//! same digest, superfluous Ticks change nothing, planted bugs are found.

use std::path::Path;

use comet_sim::law::{Ticks, difference};
use comet_sim::profile::Knob;
use comet_sim::step::Verb;
use comet_sim::{Bug, Planted, Script, generate, run, run_restoring};

#[test]
fn every_kept_script_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "the scripts of past failures are gone");
    for file in files {
        let script = Script::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let failure = run(&script, Planted::none(), false).failure;
        assert!(failure.is_none(), "{}: {failure:?}", file.display());
    }
}

/// S7, S10, S11, S12, S15, S26, S35, S36, S38, S39, S42, S44, S45, S51, S53, S54, S57, S59, S66 among faults.
#[test]
fn a_hundred_seeds_are_clean() {
    for seed in 1..=100 {
        let failure = run(&generate(seed, None), Planted::none(), false).failure;
        assert!(failure.is_none(), "comet-sim run --seed {seed}: {failure:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_digest() {
    let mut digests = Vec::new();
    for seed in 1..=10 {
        let script = generate(seed, None);
        let first = run(&script, Planted::none(), false);
        let second = run(&Script::parse(&script.print()).unwrap(), Planted::none(), false);
        assert_eq!(
            (first.digest, first.handled),
            (second.digest, second.handled),
            "seed {seed}"
        );
        digests.push(first.digest);
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 10, "different seeds must differ");
}

/// A core that was written to bytes and read back is the same core: nobody notices, whenever it happens.
#[test]
fn a_core_may_be_replaced_by_its_checkpoint_after_any_event() {
    for seed in 1..=10 {
        let script = generate(seed, None);
        let never = run_restoring(&script, 0);
        let always = run_restoring(&script, 1);
        assert!(always.failure.is_none(), "seed {seed}: {:?}", always.failure);
        assert_eq!(
            (never.digest, never.handled),
            (always.digest, always.handled),
            "seed {seed}"
        );
    }
}

/// A timer sees its own deadline as the time, so it does not matter when the core is woken. (Scripts in which the
/// wall clock jumps or has a speed of its own are left out: nobody can know afterwards what it showed at the deadline.)
#[test]
fn ticks_change_nothing() {
    let steady = |script: &Script| {
        let jumps = |verb| matches!(verb, Verb::Jump | Verb::Stall);
        script.profile.get(Knob::Drift) == 1000 && !script.steps.iter().any(|step| jumps(step.verb))
    };
    for script in (1..=60).map(|seed| generate(seed, None)).filter(steady) {
        let seed = script.profile.seed;
        for ticks in [Ticks::More, Ticks::None] {
            assert_eq!(difference(&script, ticks), None, "seed {seed}");
        }
    }
}

#[test]
fn planted_bugs_are_found() {
    for &bug in Bug::ALL {
        // A seed that fails without the mistake, too, has not found it.
        let fails = |seed, planted| run(&generate(seed, None), planted, false).failure.is_some();
        let tells = |seed: &u64| fails(*seed, Planted::bug(bug)) && !fails(*seed, Planted::none());
        let found = (1..=200).find(tells);
        assert!(found.is_some(), "{} survived 200 seeds", bug.name());
    }
}

/// An OK rests on what is stored (protocol.md Appendix B): that is what these mistakes break, and the alarm says so.
#[test]
fn an_early_ok_is_called_early() {
    for bug in [Bug::DeleteEarly, Bug::InsertEarly] {
        let found = (1..=200).find_map(|seed| run(&generate(seed, None), Planted::bug(bug), false).failure);
        assert_eq!(found.map(|failure| failure.kind), Some("early"), "{}", bug.name());
    }
}

#[test]
fn scripts_survive_printing() {
    for seed in 1..=20 {
        let script = generate(seed, None);
        assert_eq!(Script::parse(&script.print()), Ok(script));
    }
}
