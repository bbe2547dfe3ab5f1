//! The report: where it comes from, what was counted, what failed, what did not run, and how to repeat each line.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Depth, Line, Verdict};
use crate::machine::command;

/// What the report is about.
pub(super) struct Origin {
    /// The commit, and whether there were changes on top of it.
    pub(super) commit: String,
    pub(super) date: String,
    pub(super) cores: usize,
    /// The first seed.
    pub(super) start: u64,
}

impl Origin {
    /// Asks git and the clock. Without `start` the commit decides, so each commit is tried on seeds of its own.
    pub(super) fn of(start: Option<u64>) -> Self {
        let hash = output("git", &["rev-parse", "HEAD"]);
        let changed = !output("git", &["status", "--porcelain"]).is_empty();
        let of_commit = u64::from_str_radix(hash.get(..10).unwrap_or("1"), 16).unwrap_or(1);
        let short = hash.get(..12).unwrap_or("unknown");
        Self {
            commit: format!("{short}{}", if changed { " with changes" } else { "" }),
            date: output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            start: start.unwrap_or(of_commit),
        }
    }
}

fn output(program: &str, args: &[&str]) -> String {
    let told = command(program, args).output().map(|out| out.stdout);
    String::from_utf8_lossy(&told.unwrap_or_default())
        .trim()
        .to_owned()
}

pub(super) struct Report {
    pub(super) origin: Origin,
    pub(super) depth: Depth,
    pub(super) lines: Vec<Line>,
}

impl Report {
    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.lines.iter().filter(|line| is(&line.verdict)).count()
    }

    fn passed(&self) -> usize {
        self.count(|verdict| *verdict == Verdict::Passed)
    }

    fn failed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Failed(_)))
    }

    fn depth(&self) -> String {
        match self.depth {
            Depth::Quick => "--quick".to_owned(),
            Depth::Long(hours) => format!("--long {hours}"),
        }
    }

    /// The command that repeats all of it.
    fn repeat(&self) -> String {
        format!("cargo xtask prove {} --start {}", self.depth(), self.origin.start)
    }

    /// For people.
    pub(super) fn markdown(&self) -> String {
        let Origin {
            commit,
            date,
            cores,
            start,
        } = &self.origin;
        let mut out = String::from(
            "# The last report\n\n\
             Written by `cargo xtask prove`; what each line means, and how to distrust it, is in [testing.md](testing.md#prove-it-yourself).\n\n",
        );
        let took: u64 = self.lines.iter().map(|line| line.took.as_secs()).sum();
        let not_run = self.count(|verdict| matches!(verdict, Verdict::NotRun(_)));
        let _ = write!(
            out,
            "| | |\n|---|---|\n| commit | {commit} |\n| date | {date} |\n| machine | {cores} cores |\n\
             | first seed | {start} |\n| took | {} min {} s |\n| checks | {} passed, {} failed, {not_run} not run |\n\
             | to repeat all of it | `{}` |\n\n",
            took / 60,
            took % 60,
            self.passed(),
            self.failed(),
            self.repeat(),
        );
        out.push_str("| Check | Result | What was counted | Took | To repeat it |\n|---|---|---|---|---|\n");
        for line in &self.lines {
            let _ = writeln!(
                out,
                "| {}: {} | {} | {} | {} s | `{}` |",
                line.check.name,
                line.check.claim,
                line.result(),
                line.counted(),
                line.took.as_secs(),
                line.repeat()
            );
        }
        out
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let lines: Vec<Value> = self.lines.iter().map(Line::json).collect();
        json!({
            "what": "proof",
            "commit": self.origin.commit,
            "date": self.origin.date,
            "cores": self.origin.cores,
            "start": self.origin.start,
            "repeat": self.repeat(),
            "passed": self.passed(),
            "failed": self.failed(),
            "not_run": self.lines.len() - self.passed() - self.failed(),
            "checks": lines,
        })
    }
}

impl Line {
    fn result(&self) -> String {
        match &self.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Failed(why) => format!("**FAILED**: {why}"),
            Verdict::NotRun(why) => format!("not run: {why}"),
        }
    }

    fn counted(&self) -> String {
        let figures = self.check.figures.iter();
        let told = figures
            .filter_map(|(key, words)| Some(format!("{words} {}", shown(key, self.numbers.get(*key)?))));
        told.collect::<Vec<_>>().join(", ")
    }

    /// The checker knows best.
    fn repeat(&self) -> String {
        let said = ["repeat", "command"]
            .iter()
            .find_map(|key| self.numbers.get(*key));
        let told = said.and_then(Value::as_str);
        told.map_or_else(|| self.check.command.join(" "), str::to_owned)
    }

    fn json(&self) -> Value {
        json!({
            "check": self.check.name,
            "result": self.result(),
            "seconds": self.took.as_secs(),
            "repeat": self.repeat(),
            "counted": self.numbers,
        })
    }
}

/// Times in hours, long numbers with commas between the thousands.
fn shown(key: &str, value: &Value) -> String {
    match value.as_u64() {
        Some(ms) if key.ends_with("_ms") => format!("{}.{}", ms / 3_600_000, ms / 360_000 % 10),
        Some(number) => thousands(number),
        None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::checks::checks;
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let numbers =
            json!({"seeds": 1_234_567, "simulated_ms": 9_000_000, "repeat": "comet-sim run --start 5"});
        let lines = checks(Depth::Quick, 5)
            .into_iter()
            .zip(verdicts)
            .map(|(check, verdict)| Line {
                check,
                verdict: verdict.clone(),
                took: Duration::from_secs(61),
                numbers: numbers.as_object().cloned().unwrap_or_default(),
            });
        Report {
            origin: Origin::of(Some(5)),
            depth: Depth::Quick,
            lines: lines.collect(),
        }
    }

    #[test]
    fn a_report_says_what_was_counted_and_how_to_repeat_it() {
        let text = report(&[Verdict::Passed]).markdown();
        assert!(text.contains("seeds 1,234,567, simulated hours 2.5"), "{text}");
        assert!(text.contains("`comet-sim run --start 5`"), "{text}");
        assert!(text.contains("1 passed, 0 failed, 0 not run"), "{text}");
        assert!(text.contains("`cargo xtask prove --quick --start 5`"), "{text}");
    }

    #[test]
    fn what_did_not_run_has_not_passed() {
        let verdicts = [
            Verdict::NotRun("no compiler".to_owned()),
            Verdict::Failed("exit status: 1".to_owned()),
        ];
        let report = report(&verdicts);
        let text = report.markdown();
        assert!(text.contains("0 passed, 1 failed, 1 not run"), "{text}");
        assert!(text.contains("not run: no compiler") && text.contains("**FAILED**: exit status: 1"));
        assert_eq!(report.json()["not_run"], 1);
    }
}
