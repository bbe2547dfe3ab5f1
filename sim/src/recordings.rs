//! `comet-sim replay` and `comet-sim script` for recordings of real servers.

use std::path::Path;
use std::process::exit;

use comet_core::recording::Entry;
use comet_sim::recording::law::{Law, Verdict, play};
use comet_sim::recording::script::Recorded;
use comet_sim::recording::{Totals, files, shrink};

use crate::report;
use crate::shrink_process::dies;

/// Trials of the shrinker.
const TRIALS: u32 = 5_000;
/// Trials that are processes of their own.
const PROCESSES: u32 = 400;

/// Ends the program: a file cannot be used.
pub(crate) fn fail(path: &Path, error: &dyn std::fmt::Display) -> ! {
    eprintln!("{}: {error}", path.display());
    exit(report::WRONG)
}

/// Replays everything there is, up to the first difference, and ends the program.
pub(crate) fn replay(path: &Path, json: Option<&Path>) -> ! {
    let mut watch = note;
    let repeat = format!("comet-sim replay {}", path.display());
    match files::replay(path, &mut watch) {
        Ok(totals) => {
            println!("{}\n{repeat}", summary(&totals));
            if let Some(json) = json {
                std::fs::write(json, json_report(&totals)).unwrap_or_else(|error| fail(json, &error));
            }
            exit(0)
        }
        Err(failed) => {
            println!("{failed}\n{repeat}");
            exit(report::WRONG)
        }
    }
}

fn summary(totals: &Totals) -> String {
    let Totals {
        segments,
        events,
        actions,
        simulated_ms,
        torn,
        unanswered,
        gaps,
    } = totals;
    format!(
        "{segments} segments, {events} events, {actions} actions, all as recorded; {}.{:03} s of the server's time, \
         {torn} torn, {unanswered} unanswered, {gaps} gaps",
        simulated_ms / 1000,
        simulated_ms % 1000,
    )
}

fn json_report(totals: &Totals) -> String {
    let report = serde_json::json!({
        "what": "replay of recordings",
        "segments": totals.segments,
        "steps": totals.events,
        "actions": totals.actions,
        "simulated_ms": totals.simulated_ms,
        "torn": totals.torn,
        "unanswered": totals.unanswered,
        "gaps": totals.gaps,
        "failed": 0,
    });
    format!("{report}\n")
}

/// For the report of a crash.
fn note(file: &Path, number: usize, entry: &Entry) {
    report::PLAYING.with_borrow_mut(|playing| {
        *playing = Some((file.to_owned(), number, entry.event.clone()));
    });
}

/// Makes a text of a recording, and ends the program.
pub(crate) fn make_script(from: &Path, laws: &[Law], output: Option<&Path>) -> ! {
    let files = files::segments(from).unwrap_or_else(|failed| fail(from, &failed));
    let mut chosen = None;
    for file in &files {
        let Some(mut recorded) = read(file, from.is_dir()) else {
            continue;
        };
        recorded.laws = laws.to_vec();
        // A crash is noticed when the script runs.
        let verdict = if files.len() > 1 {
            play(&recorded, &mut |number, entry| note(file, number, entry))
        } else {
            Ok(Verdict::Clean)
        };
        let verdict = verdict.unwrap_or_else(|error| fail(file, &error));
        let is_clean = verdict == Verdict::Clean;
        chosen = Some((file, recorded));
        if !is_clean {
            println!("{}: {verdict}", file.display());
            break;
        }
    }
    let Some((file, recorded)) = chosen else {
        fail(from, &"no segment has a whole checkpoint")
    };
    let text = recorded.print().unwrap_or_else(|error| fail(file, &error));
    match output {
        Some(output) => {
            std::fs::write(output, text).unwrap_or_else(|error| fail(output, &error));
            println!("{} events of {}", recorded.entries.len(), file.display());
            println!("comet-sim script {}", output.display());
        }
        None => print!("{text}"),
    }
    exit(0)
}

/// `None` if nothing of it is to be played.
fn read(file: &Path, is_one_of_many: bool) -> Option<Recorded> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| fail(file, &error));
    let segment = files::read(file, &bytes, is_one_of_many).unwrap_or_else(|error| fail(file, &error));
    segment.map(|segment| Recorded::from(&segment))
}

/// Plays a recording as text, makes it small if it fails, and ends the program.
pub(crate) fn run_script(file: &Path, text: &str, laws: &[Law], bare: bool) -> ! {
    let mut recorded = Recorded::parse(text).unwrap_or_else(|error| fail(file, &error));
    recorded.laws.extend(laws.iter().cloned());
    let repeat = format!("comet-sim script {}", file.display());
    if !bare && dies(&recorded) {
        let small = shrink::shrink(&unanswered(&recorded), PROCESSES, &mut dies);
        tell_small(&small, "the core ends itself");
        println!("{repeat}");
        exit(report::CRASHED);
    }
    let verdict = play(&recorded, &mut |number, entry| note(file, number, entry));
    let verdict = verdict.unwrap_or_else(|error| fail(file, &error));
    println!("{} events: {verdict}", recorded.entries.len());
    if verdict == Verdict::Clean {
        println!("{repeat}");
        if recorded.entries.is_empty() {
            fail(file, &"there is no event in it");
        }
        exit(0);
    }
    if !bare && let Some((failing, failure)) = shrink::failing(&recorded) {
        let small = shrink::shrink(&failing, TRIALS, &mut |candidate| {
            shrink::fails(candidate, &failure)
        });
        tell_small(&small, &verdict.to_string());
    }
    println!("{repeat}");
    exit(report::WRONG)
}

/// Where the core ends itself, no answer matters.
fn unanswered(recorded: &Recorded) -> Recorded {
    let mut recorded = recorded.clone();
    recorded.laws.clear();
    for entry in &mut recorded.entries {
        entry.answer = None;
    }
    recorded
}

fn tell_small(small: &Recorded, why: &str) {
    let path = std::env::temp_dir().join(format!("comet-sim-recorded-{}.txt", std::process::id()));
    let text = small.print().unwrap_or_else(|error| fail(&path, &error));
    let why: String = why.lines().map(|line| format!("# {line}\n")).collect();
    std::fs::write(&path, format!("{why}{text}")).unwrap_or_else(|error| fail(&path, &error));
    println!(
        "shrunk to {} events, written to {}",
        small.entries.len(),
        path.display()
    );
}
