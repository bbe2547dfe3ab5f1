//! Stages: named steps that are timed, counted and summed up. A failed stage never stops the ones after it, so that
//! one run names everything that is wrong.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a step found. A step that runs a test runner counts its tests, any other step counts as one check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Outcome {
    /// One check.
    pub(crate) const fn of(ok: bool) -> Self {
        Self {
            passed: ok as u64,
            failed: !ok as u64,
        }
    }

    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
        }
    }

    /// Nothing failed, and something was looked at.
    pub(crate) const fn is_ok(self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

struct Done {
    name: &'static str,
    /// `None`: it could not run here, which is neither good nor bad.
    outcome: Option<Outcome>,
    took: Duration,
}

/// The stages of one run.
#[derive(Default)]
pub(crate) struct Stages(Vec<Done>);

impl Stages {
    /// Runs a step under a headline and remembers how it went.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        self.run_or_skip(name, || Some(step()));
    }

    /// The same for a step that may find that it cannot run here, and has said why.
    pub(crate) fn run_or_skip(&mut self, name: &'static str, step: impl FnOnce() -> Option<Outcome>) {
        println!("\n=== {name}");
        let begin = Instant::now();
        let outcome = step();
        let took = begin.elapsed();
        let Outcome { passed, failed } = outcome.unwrap_or_default();
        println!(
            "--- {name}: {}, {passed} passed, {failed} failed, in {}",
            verdict(outcome),
            seconds(took)
        );
        self.0.push(Done { name, outcome, took });
    }

    /// Prints the table and the closing line, and tells whether everything passed that could run.
    pub(crate) fn summary(&self) -> bool {
        println!("\n=== summary");
        let mut total = Outcome::default();
        let mut took = Duration::ZERO;
        for done in &self.0 {
            let time = seconds(done.took);
            let Outcome { passed, failed } = done.outcome.unwrap_or_default();
            println!(
                "{:<7} {time:>8} {passed:>6} passed {failed:>4} failed  {}",
                verdict(done.outcome),
                done.name
            );
            total = total.and(Outcome { passed, failed });
            took += done.took;
        }
        println!("all stages took {}", seconds(took));
        println!("{} passed, {} failed", total.passed, total.failed);
        total.is_ok()
    }
}

fn verdict(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(outcome) if outcome.is_ok() => "ok",
        Some(_) => "FAILED",
        None => "not run",
    }
}

fn seconds(took: Duration) -> String {
    format!("{}.{} s", took.as_secs(), took.subsec_millis() / 100)
}

/// Runs a command with its output shown.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", shown(command));
    match command.status() {
        Ok(status) => Outcome::of(status.success()),
        Err(error) => {
            println!("cannot start: {error}");
            Outcome::of(false)
        }
    }
}

/// Runs `cargo test …` with its output shown, and counts the tests of all its binaries.
pub(crate) fn run_tests(command: &mut Command) -> Outcome {
    run_counted(command, test_result)
}

/// Runs a test runner with its output shown, and adds up what `count` reads from its lines.
pub(crate) fn run_counted(command: &mut Command, count: fn(&str) -> Option<Outcome>) -> Outcome {
    println!("$ {}", shown(command));
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("cannot start: {error}");
            return Outcome::of(false);
        }
    };
    let mut total = Outcome::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            if let Some(part) = count(&line) {
                total = total.and(part);
            }
        }
    }
    let ok = child.wait().is_ok_and(|status| status.success());
    println!("counted: {} passed, {} failed", total.passed, total.failed);
    // A runner that fails without a failed test did not compile, or crashed.
    if ok || total.failed > 0 {
        total
    } else {
        total.and(Outcome::of(false))
    }
}

/// Reads libtest's line `test result: ok. 12 passed; 0 failed; …`.
fn test_result(line: &str) -> Option<Outcome> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split(' ').next()?.parse().ok());
    Some(Outcome {
        passed: numbers.next()??,
        failed: numbers.next()??,
    })
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_runner() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            test_result(line),
            Some(Outcome {
                passed: 12,
                failed: 3
            })
        );
        assert_eq!(test_result("test a::b ... ok"), None);
    }

    #[test]
    fn nothing_looked_at_is_not_a_success() {
        assert!(!Outcome::default().is_ok());
        assert!(Outcome::of(true).is_ok());
        assert!(!Outcome::of(true).and(Outcome::of(false)).is_ok());
    }
}
