//! What the command line tells: the failure, its smallest script, and the command that repeats it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use comet_core::Event;
use comet_sim::model::Failure;
use comet_sim::{Planted, Script, run};

use crate::shrink_process::crashes;

/// Exit status of a run that showed something wrong.
pub(crate) const WRONG: i32 = 1;
/// Exit status of a run that does not end or does not heal.
pub(crate) const STUCK: i32 = 2;
/// Exit status of a run in which an assertion fired.
pub(crate) const CRASHED: i32 = 101;

thread_local! {
    /// The event of a recording that the core is told: file, number, event.
    pub(crate) static PLAYING: RefCell<Option<(PathBuf, usize, Event)>> = const { RefCell::new(None) };
}

/// Says which event of a recording the core did not survive.
pub(crate) fn tell_event() {
    if let Some((file, number, event)) = PLAYING.with(RefCell::take) {
        println!("{}: the core ends at event {number}: {event:?}", file.display());
    }
}

/// Trials of the shrinker.
const TRIALS: u32 = 6_000;

/// The exit status of a failure.
pub(crate) fn status(failure: &Failure) -> i32 {
    if failure.kind == "stuck" { STUCK } else { WRONG }
}

/// Shrinks the script of a failure, writes it to a file and prints everything.
pub(crate) fn tell_failure(script: &Script, failure: &Failure, repeat: &str) {
    println!("{}: {}", failure.kind, failure.text);
    let small = comet_sim::shrink::shrink(script, TRIALS, &mut |candidate| {
        run(candidate, Planted::none(), false)
            .failure
            .is_some_and(|found| found.kind == failure.kind)
    });
    let why = run(&small, Planted::none(), false)
        .failure
        .map_or_else(String::new, |found| found.text);
    tell_small(&small, failure.kind, &why);
    println!("{repeat}");
}

/// The same for an assertion: every trial is a process of its own.
pub(crate) fn tell_crash(script: &Script, text: &str, repeat: &str) {
    println!("crash: {text}");
    let small = comet_sim::shrink::shrink(script, 400, &mut |candidate| crashes(candidate));
    tell_small(&small, "crash", text);
    println!("{repeat}");
}

fn tell_small(small: &Script, kind: &str, why: &str) {
    let text = format!("# {kind}: {}\n{}", why.replace('\n', " "), small.print());
    let path = file_for(small.profile.seed);
    match std::fs::write(&path, &text) {
        Ok(()) => println!(
            "shrunk to {} steps, written to {}:",
            small.steps.len(),
            path.display()
        ),
        Err(error) => println!(
            "shrunk to {} steps ({}: {error}):",
            small.steps.len(),
            path.display()
        ),
    }
    print!("{text}");
}

fn file_for(seed: u64) -> PathBuf {
    Path::new(&std::env::temp_dir()).join(format!("comet-sim-{seed}.txt"))
}
