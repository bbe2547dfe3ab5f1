//! What many runs came to, for people and, as one flat JSON object, for programs.

use std::path::Path;

use comet_sim::{Faults, Outcome};
use serde_json::{Map, Value, json};

/// The sum of many runs.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) seeds: u64,
    pub(crate) failed: u64,
    pub(crate) steps: u64,
    pub(crate) comparisons: u64,
    pub(crate) simulated_ms: u64,
    pub(crate) digest: u64,
    /// Queues and histories for which the search for an order gave up.
    pub(crate) undecided: u64,
    pub(crate) faults: Faults,
}

impl Totals {
    /// One run more.
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.failed += u64::from(outcome.failure.is_some());
        self.steps += outcome.handled;
        self.comparisons += outcome.compared;
        self.simulated_ms += outcome.simulated_ms;
        self.digest ^= outcome.digest;
        self.undecided += outcome.undecided;
        self.faults.merge(&outcome.faults);
    }

    /// The line for people.
    pub(crate) fn line(&self, micros: u64, jobs: u64) -> String {
        let hours = self.simulated_ms / 360_000;
        format!(
            "{} seeds, {} failed, {} steps, {} comparisons, {} undecided, {} faults, {}.{} simulated hours, {} steps/s on {jobs} \
             threads, digest {:016x}",
            self.seeds,
            self.failed,
            self.steps,
            self.comparisons,
            self.undecided,
            self.faults.total(),
            hours / 10,
            hours % 10,
            self.steps * 1_000_000 / micros,
            self.digest,
        )
    }

    /// The same for programs. `repeat` is the command that gives the same digest.
    pub(crate) fn json(&self, micros: u64, jobs: u64, repeat: &str) -> Value {
        let mut object = Map::new();
        let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
        set("what", json!("simulator"));
        set("seeds", json!(self.seeds));
        set("steps", json!(self.steps));
        set("simulated_ms", json!(self.simulated_ms));
        set("faults", json!(self.faults.total()));
        for (kind, count) in self.faults.by_kind() {
            set(&format!("fault_{kind}"), json!(count));
        }
        set("comparisons", json!(self.comparisons));
        set("failed", json!(self.failed));
        set("undecided", json!(self.undecided));
        set("steps_per_second", json!(self.steps * 1_000_000 / micros));
        set("jobs", json!(jobs));
        set("digest", json!(format!("{:016x}", self.digest)));
        set("repeat", json!(repeat));
        Value::Object(object)
    }
}

/// The report about planted bugs: for each the seeds that were needed, 0 if it survived. `unclean`: seeds that fail
/// without a bug.
pub(crate) fn planted(needed: &[(&str, Option<u64>)], seeds: u64, unclean: u64, repeat: &str) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    let found = needed.iter().filter(|(_, first)| first.is_some()).count();
    set("what", json!("planted bugs"));
    set("seeds", json!(seeds));
    set("planted", json!(needed.len()));
    set("found", json!(found));
    set("unclean", json!(unclean));
    set("failed", json!((needed.len() - found) as u64 + unclean));
    let most = needed.iter().filter_map(|(_, first)| *first).max();
    set("seeds_needed", json!(most.unwrap_or(0)));
    for (bug, first) in needed {
        set(&format!("bug_{bug}"), json!(first.unwrap_or(0)));
    }
    set("repeat", json!(repeat));
    Value::Object(object)
}

/// Writes a report; false, and a line, if it cannot.
pub(crate) fn write(file: &Path, report: &Value) -> bool {
    match std::fs::write(file, format!("{report}\n")) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            false
        }
    }
}
