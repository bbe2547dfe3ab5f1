//! Does a seed mean the same everywhere? The same seeds on one thread, on two, and in a debug build must end with the
//! same digest, which covers every action of every run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::{cargo, command, target};
use crate::stage::{Outcome, run};

/// Runs the seeds in every way and compares.
pub(crate) fn repeat(start: &str, seeds: &str, report: Option<&Path>) -> Outcome {
    let built = run(&mut cargo(&["build", "--quiet", "-p", "comet-sim"])).and(run(&mut cargo(&[
        "build",
        "--quiet",
        "--release",
        "-p",
        "comet-sim",
    ])));
    if !built.is_ok() {
        return Outcome::of(false);
    }
    let digests: Vec<Option<String>> = [("release", "1"), ("release", "2"), ("debug", "2")]
        .into_iter()
        .map(|(build, jobs)| digest(build, jobs, start, seeds))
        .collect();
    let same = digests[0].is_some() && digests.iter().all(|digest| *digest == digests[0]);
    let facts = json!({
        "what": "the same seeds again",
        "seeds": seeds.parse::<u64>().unwrap_or_default(),
        "ways": digests.len(),
        "digest": digests[0],
        "failed": u64::from(!same),
        "repeat": format!("cargo xtask repeat {start} {seeds}"),
    });
    println!("{facts}");
    let written = report.is_none_or(|file| fs::write(file, format!("{facts}\n")).is_ok());
    Outcome::of(same && written)
}

/// What a build of the simulator says of the seeds. Whether they pass is not the question here.
fn digest(build: &str, jobs: &str, start: &str, seeds: &str) -> Option<String> {
    let folder: PathBuf = target().join(build);
    let file = target().join(format!("repeat-{build}-{jobs}.json"));
    let _ = fs::remove_file(&file);
    let told = file.to_string_lossy();
    let args = [
        "run", "--survey", "--start", start, "--seeds", seeds, "--jobs", jobs, "--json", &told,
    ];
    run(&mut command(folder.join("comet-sim"), &args));
    let facts: Value = serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()?;
    Some(facts.get("digest")?.as_str()?.to_owned())
}
