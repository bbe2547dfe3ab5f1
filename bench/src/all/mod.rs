//! `comet-bench all`: the whole table of targets against one server. Each experiment is a command of this program; what
//! it found is judged line by line.

mod conditions;
mod lines;
mod verdict;

use std::fmt::Write as _;

use clap::Parser as _;
use serde_json::{Value, json};

use crate::args::{AllArgs, Cli, Common};
use crate::failure::Failure;
use crate::plot::Row;
use crate::proc;
use crate::report::Report;
use crate::run;
use crate::server::{Placement, Server};
use lines::{ELSEWHERE, EXPERIMENTS, Experiment};
use verdict::{Finding, Line, Spread, Verdict};

/// What became of one experiment.
#[derive(Debug)]
struct Outcome {
    experiment: &'static Experiment,
    command: String,
    reports: Vec<Report>,
    findings: Vec<(&'static Line, Finding)>,
    /// It could not be carried out.
    failed: bool,
}

impl Outcome {
    /// What the server was told for this experiment, besides the arguments of all.
    fn settings(&self) -> String {
        let known = self.reports.last().and_then(|report| {
            let mut conditions = report.conditions.iter();
            conditions.find(|(name, _)| *name == run::SETTINGS)
        });
        known.map_or_else(String::new, |(_, settings)| format!("   ({settings})"))
    }
}

/// The whole table.
#[derive(Debug)]
pub(crate) struct Table {
    conditions: Vec<(&'static str, String)>,
    outcomes: Vec<Outcome>,
    quick: bool,
}

/// Runs everything, or what `--only` names.
pub(crate) fn run(common: &Common, args: &AllArgs) -> Result<Table, Failure> {
    let chosen = choose(&args.only)?;
    let placement = Placement::choose(common.pin, common.spawn.is_some())?;
    let server = Server::from_args(common, &placement)?;
    let conditions = conditions::conditions(common, &placement.describe(), &server);
    server.stop()?;
    let mut outcomes = Vec::new();
    for (number, experiment) in chosen.iter().enumerate() {
        eprintln!("== {} ({} of {})", experiment.name, number + 1, chosen.len());
        // The processors of this thread are chosen anew by each run, out of all of them.
        proc::run_on(&placement.all())?;
        outcomes.push(carry_out(experiment, common, args.quick));
    }
    Ok(Table {
        conditions,
        outcomes,
        quick: args.quick,
    })
}

fn choose(only: &[String]) -> Result<Vec<&'static Experiment>, Failure> {
    if let Some(unknown) = only
        .iter()
        .find(|name| EXPERIMENTS.iter().all(|experiment| experiment.name != **name))
    {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        return Err(Failure::told(format!(
            "there is no {unknown}; --only takes {}",
            names.join(", ")
        )));
    }
    let wanted =
        |experiment: &&Experiment| only.is_empty() || only.iter().any(|name| name == experiment.name);
    Ok(EXPERIMENTS.iter().filter(wanted).collect())
}

fn carry_out(experiment: &'static Experiment, common: &Common, quick: bool) -> Outcome {
    let command = if quick {
        experiment.quick
    } else {
        experiment.command
    };
    let command = with_overrides(command, common);
    let skip = match experiment.server {
        lines::Server::Own(reason) if common.spawn.is_none() => Some(format!("{reason}: use --spawn")),
        lines::Server::Own(_) | lines::Server::Any => None,
    };
    let result = match skip {
        Some(reason) => Err((false, reason)),
        None => measure(&command, common).map_err(|failure| (true, failure.to_string())),
    };
    let judged: &dyn Fn(&'static Line) -> Finding = match &result {
        Ok(reports) => &|line| line.judge(reports, quick),
        Err((_, reason)) => &|line| line.not_measured(reason),
    };
    let findings: Vec<(&'static Line, Finding)> =
        experiment.lines.iter().map(|line| (line, judged(line))).collect();
    for (line, finding) in &findings {
        eprintln!("{}", row(line, finding));
    }
    Outcome {
        experiment,
        command: format!("comet-bench {command}"),
        findings,
        failed: matches!(result, Err((true, _))),
        reports: result.unwrap_or_default(),
    }
}

/// The arguments with our own numbers of rounds and seconds in place of the experiment's.
fn with_overrides(command: &str, common: &Common) -> String {
    let rounds = common.rounds.map(|rounds| rounds.to_string());
    let seconds = common.seconds.map(|seconds| seconds.to_string());
    let mut words: Vec<&str> = command.split(' ').collect();
    for (flag, value) in [("--rounds", &rounds), ("--seconds", &seconds)] {
        let Some(value) = value else { continue };
        match words.iter().position(|word| *word == flag) {
            Some(at) => words[at + 1] = value,
            None => words.extend([flag, value]),
        }
    }
    words.join(" ")
}

/// Runs a command with the server and the processors of our own command line.
fn measure(command: &str, common: &Common) -> Result<Vec<Report>, Failure> {
    let words = std::iter::once("comet-bench").chain(command.split(' '));
    let mut cli = Cli::try_parse_from(words).map_err(|error| Failure::told(error.to_string()))?;
    cli.common = Common {
        seconds: cli.common.seconds,
        rounds: cli.common.rounds,
        ..common.clone()
    };
    run::run(&cli)
}

fn row(line: &Line, finding: &Finding) -> String {
    let shown = |spread: Option<Spread>| spread.map_or_else(|| "–".into(), |spread| spread.to_string());
    let (target, ratio) = (line.target.to_string(), shown(finding.ratio));
    let what = line.what;
    let verdict = finding.text();
    let figure = shown(finding.figure);
    format!("{what:<54} {figure:>32}  {ratio:>22}  {target:>11}  {verdict}")
}

impl Table {
    pub(crate) fn is_clean(&self) -> bool {
        self.outcomes
            .iter()
            .all(|outcome| !outcome.failed && outcome.reports.iter().all(Report::is_clean))
    }

    /// One line per target, the conditions, and how many were reached.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.conditions {
            writeln!(text, "{name:<14} {value}").expect("writing to a String cannot fail");
        }
        if self.quick {
            text.push_str("quick          small sizes and few rounds: shows that everything works, its figures mean little\n");
        }
        let [what, measured, ratio, target] = ["", "median (least – most)", "ratio to yardstick", "target"];
        writeln!(text, "\n{what:<54} {measured:>32}  {ratio:>22}  {target:>11}")
            .expect("writing to a String cannot fail");
        for (line, finding) in self.findings() {
            writeln!(text, "{}", row(line, finding)).expect("writing to a String cannot fail");
        }
        for (what, target, place) in ELSEWHERE {
            writeln!(
                text,
                "{what:<54} {:>32}  {:>22}  {target:>11}  see {place}",
                "–", "–"
            )
            .expect("writing to a String cannot fail");
        }
        text.push_str("\nas run\n");
        for outcome in &self.outcomes {
            writeln!(
                text,
                "{:<14} {}{}",
                outcome.experiment.name,
                outcome.command,
                outcome.settings()
            )
            .expect("writing to a String cannot fail");
        }
        for fault in self
            .outcomes
            .iter()
            .flat_map(|outcome| &outcome.reports)
            .flat_map(Report::faults)
        {
            writeln!(text, "FAULT {fault}").expect("writing to a String cannot fail");
        }
        let count = |wanted: fn(&Verdict) -> bool| {
            self.findings()
                .filter(|(_, finding)| wanted(&finding.verdict))
                .count()
        };
        writeln!(
            text,
            "\n{} of {} targets reached, {} not reached, {} only tried, {} not clean, {} not measured here",
            count(|verdict| *verdict == Verdict::Reached),
            self.findings().count() + ELSEWHERE.len(),
            count(|verdict| matches!(verdict, Verdict::Missed(_))),
            count(|verdict| *verdict == Verdict::Works),
            count(|verdict| *verdict == Verdict::NotClean),
            count(|verdict| matches!(verdict, Verdict::NotMeasured(_))) + ELSEWHERE.len(),
        )
        .expect("writing to a String cannot fail");
        text
    }

    fn findings(&self) -> impl Iterator<Item = &(&'static Line, Finding)> {
        self.outcomes.iter().flat_map(|outcome| &outcome.findings)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "conditions": self.conditions.iter().map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>(),
            "quick": self.quick,
            "clean": self.is_clean(),
            "targets": self.findings().map(|(line, finding)| json!({
                "what": line.what,
                "measured": finding.figure.map(spread_json),
                "unit": finding.unit,
                "ratio": finding.ratio.map(spread_json),
                "target": line.target.to_string(),
                "verdict": finding.verdict.name(),
                "text": finding.text(),
            })).collect::<Vec<_>>(),
            "elsewhere": ELSEWHERE.iter().map(|(what, target, place)| json!({
                "what": what, "target": target, "see": place,
            })).collect::<Vec<_>>(),
            "experiments": self.outcomes.iter().map(|outcome| json!({
                "name": outcome.experiment.name,
                "command": outcome.command,
                "reports": outcome.reports.iter().map(Report::json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }

    /// A row of the picture per experiment that delivers.
    pub(crate) fn picture(&self) -> Vec<Row<'_>> {
        self.outcomes
            .iter()
            .filter_map(|outcome| Row::of(&outcome.command, &outcome.reports))
            .collect()
    }
}

fn spread_json(spread: Spread) -> Value {
    json!({
        "median": spread.median,
        "least": spread.least,
        "most": spread.most,
        "rounds": spread.rounds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_rounds_and_seconds_come_before_the_experiments() {
        let words = ["comet-bench", "all", "--rounds", "3", "--seconds", "9"];
        let common = Cli::try_parse_from(words).unwrap().common;
        assert_eq!(
            with_overrides("fanout --vs-raw --rounds 7", &common),
            "fanout --vs-raw --rounds 3 --seconds 9"
        );
    }
}
