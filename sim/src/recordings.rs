//! `comet-sim replay`: plays recordings of real servers.

use std::path::Path;
use std::process::exit;

use comet_core::recording::Entry;
use comet_sim::recording::{Totals, files};

use crate::report;

/// Ends the program: a file cannot be used.
pub(crate) fn fail(path: &Path, error: &dyn std::fmt::Display) -> ! {
    eprintln!("{}: {error}", path.display());
    exit(report::WRONG)
}

/// Replays everything there is, up to the first difference, and ends the program.
pub(crate) fn replay(path: &Path, json: Option<&Path>) -> ! {
    let mut watch = |file: &Path, number: usize, entry: &Entry| {
        report::PLAYING.with_borrow_mut(|playing| {
            *playing = Some((file.to_owned(), number, entry.event.clone()));
        });
    };
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
