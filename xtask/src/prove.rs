//! `cargo xtask prove`: runs every checker of this repository on seeds nobody has run before, and writes down what it
//! saw: what was counted, what failed, what could not be run, and for each line the command that repeats it.
//!
//! Promise: a figure in the report is one that a checker wrote; what did not run is called so and never counts as
//! passed; the same commit and `--start` give the same seeds on any machine.

mod checks;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::machine::{cargo, command, release, root, target};
use crate::stage::{Outcome, Stages, run};
use checks::{Check, checks};
use report::{Origin, Report};

/// How thorough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// In CI: 20 minutes at most on two cores.
    Quick,
    /// So many hours.
    Long(u64),
}

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Asked {
    depth: Depth,
    /// The first seed; without it the commit decides.
    start: Option<u64>,
    /// Only the checks whose name begins so; all if there is none.
    only: Vec<String>,
    json: Option<PathBuf>,
    /// Also into the documentation.
    write: bool,
}

impl Asked {
    /// Always the same seeds, so that a change fails for what it does and not for its hash.
    pub(crate) fn of_ci() -> Self {
        Self {
            depth: Depth::Quick,
            start: Some(1),
            only: Vec::new(),
            json: None,
            write: false,
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    /// Reads `--quick | --long HOURS [--start SEED] [--only NAME] [--json FILE] [--write]`.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut asked = Self {
            start: None,
            ..Self::of_ci()
        };
        let mut depth = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => depth = Some(Depth::Quick),
                "--long" => {
                    depth = Some(Depth::Long(
                        words.next()?.parse().ok().filter(|hours| *hours > 0)?,
                    ))
                }
                "--start" => asked.start = Some(words.next()?.parse().ok()?),
                "--only" => asked.only.push((*words.next()?).to_owned()),
                "--json" => asked.json = Some(PathBuf::from(words.next()?)),
                "--write" => asked.write = true,
                _ => return None,
            }
        }
        asked.depth = depth?;
        Some(asked)
    }
}

/// How a check ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    /// Why.
    NotRun(String),
}

/// A check and what came of it.
pub(crate) struct Line {
    check: Check,
    verdict: Verdict,
    took: Duration,
    /// What the checker wrote.
    numbers: Map<String, Value>,
}

/// Builds what the checks need, runs them as stages, prints the report. False if one failed.
pub(crate) fn prove(asked: &Asked) -> bool {
    let mut stages = Stages::default();
    run_in(&mut stages, asked);
    stages.summary()
}

/// Runs the checks as stages, perhaps of a longer run.
pub(crate) fn run_in(stages: &mut Stages, asked: &Asked) {
    let origin = Origin::of(asked.start);
    let mut checks = checks(asked.depth, origin.start);
    for check in &mut checks {
        if !asked.wants(check.name) {
            check.missing = Some("not asked for".to_owned());
        }
    }
    let built = build(stages, &checks);
    println!("\nproving {}: seeds from {}", origin.commit, origin.start);
    let mut lines = Vec::new();
    for check in checks {
        let name = check.name;
        let mut line = None;
        stages.run_or_skip(name, || {
            let done = run_check(check, built);
            let outcome = match &done.verdict {
                Verdict::Passed => Some(Outcome::of(true)),
                Verdict::Failed(why) => {
                    println!("FAILED: {why}");
                    Some(Outcome::of(false))
                }
                Verdict::NotRun(why) => {
                    println!("NOT RUN: {why}");
                    None
                }
            };
            line = Some(done);
            outcome
        });
        lines.extend(line);
    }
    let report = Report {
        origin,
        depth: asked.depth,
        lines,
    };
    println!("\n{}", report.markdown());
    let mut written = true;
    if let Some(file) = &asked.json {
        written &= write(file, &format!("{}\n", report.json()));
    }
    if asked.write {
        written &= write(&root().join("docs").join("proof.md"), &report.markdown());
    }
    if !written {
        stages.run("report", || Outcome::of(false));
    }
}

/// The programs of ours that the checks start. False: not all of them are those of this commit.
fn build(stages: &mut Stages, checks: &[Check]) -> bool {
    let wanted = checks.iter().filter(|check| check.missing.is_none());
    let mut programs: Vec<&str> = wanted.flat_map(Check::programs).copied().collect();
    programs.sort_unstable();
    programs.dedup();
    let mut built = true;
    if !programs.is_empty() {
        stages.run("what the proof needs", || {
            let packages = programs.iter().flat_map(|program| ["-p", program]);
            let outcome = run(cargo(&["build", "--release", "--quiet"]).args(packages));
            built = outcome.is_ok();
            outcome
        });
    }
    built
}

fn write(file: &Path, text: &str) -> bool {
    let written = fs::write(file, text);
    if let Err(error) = &written {
        println!("cannot write {}: {error}", file.display());
    }
    written.is_ok()
}

fn run_check(check: Check, built: bool) -> Line {
    let begin = Instant::now();
    let (verdict, numbers) = match &check.missing {
        Some(why) => (Verdict::NotRun(why.clone()), Map::new()),
        // An older program says nothing about this commit.
        None if !built && !check.programs().is_empty() => {
            (Verdict::Failed("it does not compile".to_owned()), Map::new())
        }
        None => outcome(&check),
    };
    Line {
        check,
        verdict,
        took: begin.elapsed(),
        numbers,
    }
}

/// Runs a checker within its time and reads what it counted.
fn outcome(check: &Check) -> (Verdict, Map<String, Value>) {
    let folder = target().join("prove");
    let file = folder.join(format!("{}.json", check.name.replace(' ', "-")));
    let _ = fs::remove_file(&file);
    if let Err(error) = fs::create_dir_all(&folder) {
        return (
            Verdict::Failed(format!("{}: {error}", folder.display())),
            Map::new(),
        );
    }
    let mut program = program(&check.command);
    program.arg("--json").arg(&file);
    println!("$ {}", check.command.join(" "));
    let mut verdict = wait(&mut program, check.time_max);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let numbers = match serde_json::from_str(&text) {
        Ok(Value::Object(numbers)) => numbers,
        Ok(_) | Err(_) => Map::new(),
    };
    if verdict == Verdict::Passed && numbers.contains_key("skipped") {
        return (
            Verdict::NotRun("it says that it cannot run here".to_owned()),
            numbers,
        );
    }
    if verdict == Verdict::Passed {
        verdict = judge(&numbers, check.substance);
    }
    (verdict, numbers)
}

/// A checker that looked at nothing, or cannot tell what it looked at, has proven nothing.
fn judge(numbers: &Map<String, Value>, substance: &str) -> Verdict {
    let number = |key: &str| numbers.get(key).and_then(Value::as_u64);
    if number(substance).unwrap_or(0) == 0 {
        Verdict::Failed(format!(
            "it does not say that it looked at anything ({substance})"
        ))
    } else if number("failed").unwrap_or(0) > 0 {
        Verdict::Failed("it counted failures".to_owned())
    } else {
        Verdict::Passed
    }
}

/// The program a person would name, where it was built.
fn program(words: &[String]) -> Command {
    let rest: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let name = words.first().map_or("", String::as_str);
    match (name, rest.split_first(), std::env::current_exe()) {
        // This program: cargo would only look whether it is up to date.
        ("cargo", Some((&"xtask", rest)), Ok(xtask)) => command(xtask, rest),
        ("cargo", _, _) => cargo(&rest),
        (ours, _, _) => command(release(ours), &rest),
    }
}

fn wait(program: &mut Command, time_max: Duration) -> Verdict {
    let begin = Instant::now();
    let mut child = match program.spawn() {
        Ok(child) => child,
        Err(error) => return Verdict::Failed(format!("it cannot be started: {error}")),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Verdict::Passed,
            Ok(Some(status)) => return Verdict::Failed(status.to_string()),
            Ok(None) if begin.elapsed() < time_max => thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                // What a verb of this program has started would go on for ever. Stopped first, it starts nothing new when
                // its child ends.
                let id = child.id().to_string();
                let _ = Command::new("kill").args(["-STOP", &id]).status();
                let _ = Command::new("pkill").args(["-KILL", "-P", &id]).status();
                let _ = child.kill();
                let _ = child.wait();
                return Verdict::Failed(format!("not done after {} s", time_max.as_secs()));
            }
            Err(error) => return Verdict::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_looked_at_nothing_has_proven_nothing() {
        let judged = |numbers: Value| judge(numbers.as_object().expect("an object"), "steps");
        assert_eq!(judged(json!({"steps": 7, "failed": 0})), Verdict::Passed);
        for nothing in [
            json!({}),
            json!({"seeds": 7}),
            json!({"steps": 0}),
            json!({"steps": 7, "failed": 1}),
        ] {
            assert!(matches!(judged(nothing.clone()), Verdict::Failed(_)), "{nothing}");
        }
    }

    #[test]
    fn what_was_not_asked_for_is_said() {
        let asked = Asked::parse(&["--quick", "--only", "kill"]).expect("good words");
        assert!(asked.wants("kill -9, os") && !asked.wants("simulator"));
        assert!(Asked::of_ci().wants("simulator"));
    }

    #[test]
    fn the_command_line_is_read() {
        let asked = Asked::parse(&["--long", "3", "--start", "77", "--write"]).expect("good words");
        assert_eq!(
            (asked.depth, asked.start, asked.write),
            (Depth::Long(3), Some(77), true)
        );
        for bad in [
            &[][..],
            &["--long"],
            &["--long", "0"],
            &["--quick", "--start", "x"],
            &["quick"],
        ] {
            assert!(Asked::parse(bad).is_none(), "{bad:?}");
        }
    }
}
