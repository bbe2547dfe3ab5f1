//! From reports to a verdict: which figure a target is about, and whether it was reached.

use crate::report::{Report, median, number_text};

/// What the median must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_reached_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// The part of the target that `value` is, e.g. 0.9 of what was to be reached, or 1.2 of what was allowed.
    fn part(self, value: f64) -> f64 {
        match self {
            Self::AtLeast(bound) | Self::AtMost(bound) => value / bound,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(out, "≥ {}", plain(*bound)),
            Self::AtMost(bound) => write!(out, "≤ {}", plain(*bound)),
        }
    }
}

/// A bound as a person wrote it: without zeros behind the point.
fn plain(bound: f64) -> String {
    if bound.fract() == 0.0 {
        number_text(bound)
    } else {
        bound.to_string()
    }
}

/// One row of the table of targets.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) what: &'static str,
    /// The figure to show. Unless there is a ratio, the target is about it.
    pub(super) figure: &'static str,
    /// The ratio to the yardstick that the target is about.
    pub(super) ratio: Option<&'static str>,
    pub(super) target: Target,
    /// Figures that belong beside it, of every side that has them.
    pub(super) beside: &'static [&'static str],
}

/// Fewer rounds than these are said in the row.
pub(super) const ROUNDS: usize = 5;

/// A load generator that is busier than this, in percent, is what limits the rate.
const SATURATED: f64 = 95.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) rounds: usize,
}

impl Spread {
    fn of(ascending: &[f64]) -> Option<Self> {
        Some(Self {
            least: *ascending.first()?,
            most: *ascending.last()?,
            median: median(ascending),
            rounds: ascending.len(),
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(number_text);
        if self.rounds == 1 {
            return write!(out, "{median}");
        }
        write!(out, "{median} ({least} – {most})")
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Reached,
    /// With the part of the target.
    Missed(f64),
    /// Measured with `--quick`, at sizes that no target is about.
    Works,
    /// Why there is no figure.
    NotMeasured(String),
    /// Something was lost, doubled or disordered: a figure from such a run is not a figure.
    NotClean,
}

impl Verdict {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Missed(_) => "not reached",
            Self::Works => "works",
            Self::NotMeasured(_) => "not measured",
            Self::NotClean => "not clean",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reached | Self::Works | Self::NotClean => out.write_str(self.name()),
            Self::Missed(part) if part.is_finite() => write!(out, "not reached: {part:.2} of the target"),
            Self::Missed(_) => out.write_str(self.name()),
            Self::NotMeasured(reason) => write!(out, "not measured: {reason}"),
        }
    }
}

/// What was found for a line.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) figure: Option<Spread>,
    pub(super) unit: &'static str,
    pub(super) ratio: Option<Spread>,
    pub(super) verdict: Verdict,
    /// What has to be known to read the figure.
    pub(super) notes: Vec<String>,
}

impl Finding {
    /// The verdict with everything that qualifies it.
    pub(super) fn text(&self) -> String {
        std::iter::once(self.verdict.to_string())
            .chain(self.notes.iter().cloned())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

impl Line {
    pub(super) fn not_measured(&self, reason: &str) -> Finding {
        Finding {
            figure: None,
            unit: "",
            ratio: None,
            verdict: Verdict::NotMeasured(reason.to_owned()),
            notes: Vec::new(),
        }
    }

    pub(super) fn judge(&self, reports: &[Report], quick: bool) -> Finding {
        // Of two sides with the same figures the server comes last.
        let find = |name: &str| {
            reports
                .iter()
                .rev()
                .find_map(|report| report.figure(name))
                .and_then(|(unit, values)| Some((unit, Spread::of(&values)?)))
        };
        let figure = find(self.figure);
        let ratio = self.ratio.and_then(find);
        let judged = if self.ratio.is_some() { &ratio } else { &figure };
        let verdict = match judged {
            _ if !reports.iter().all(Report::is_clean) => Verdict::NotClean,
            None => Verdict::NotMeasured(format!(
                "the run has no {}: CPU and memory of a running server need its --pid, keep-alive a window of a ping \
                 interval",
                self.ratio.unwrap_or(self.figure)
            )),
            Some(_) if quick => Verdict::Works,
            Some((_, spread)) if self.target.is_reached_by(spread.median) => Verdict::Reached,
            Some((_, spread)) => Verdict::Missed(self.target.part(spread.median)),
        };
        let rounds = judged.as_ref().map(|(_, spread)| spread.rounds);
        Finding {
            notes: self.notes(reports, rounds),
            unit: figure.map_or("", |(unit, _)| unit),
            figure: figure.map(|(_, spread)| spread),
            ratio: ratio.map(|(_, spread)| spread),
            verdict,
        }
    }
}

impl Line {
    fn notes(&self, reports: &[Report], rounds: Option<usize>) -> Vec<String> {
        let mut notes = Vec::new();
        match rounds {
            Some(1) => notes.push("1 round".to_owned()),
            Some(rounds) if rounds < ROUNDS => notes.push(format!("{rounds} rounds")),
            Some(_) | None => {}
        }
        let medians = |name: &str| -> Vec<f64> {
            let values = reports.iter().filter_map(|report| report.figure(name));
            values.map(|(_, values)| median(&values)).collect()
        };
        // The yardstick comes first.
        let is_limited = self.ratio == Some("rate_ratio")
            && medians("client_busy")
                .first()
                .is_some_and(|busy| *busy >= SATURATED);
        if is_limited {
            notes.push("limited by the load generator".to_owned());
        }
        for name in self.beside {
            let values: Vec<String> = medians(name).into_iter().map(number_text).collect();
            if !values.is_empty() {
                notes.push(format!("{name} {}", values.join(" / ")));
            }
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Round;

    fn report(name: &'static str, values: &[f64]) -> Report {
        let mut report = Report::new("sample");
        for value in values {
            let mut round = Round::default();
            round.add(name, *value, "1/s");
            report.rounds.push(round);
        }
        report
    }

    fn line(ratio: Option<&'static str>, target: Target) -> Line {
        Line {
            what: "sample",
            figure: "rate",
            ratio,
            target,
            beside: &["client_busy"],
        }
    }

    #[test]
    fn the_median_decides_and_reaching_exactly_is_reaching() {
        let rates = [report("rate", &[3.0, 1.0, 2.0])];
        for (target, verdict) in [
            (Target::AtLeast(2.0), Verdict::Reached),
            (Target::AtLeast(2.5), Verdict::Missed(0.8)),
            (Target::AtMost(2.0), Verdict::Reached),
            (Target::AtMost(1.6), Verdict::Missed(1.25)),
        ] {
            let finding = line(None, target).judge(&rates, false);
            assert_eq!(finding.verdict, verdict, "{target}");
            assert_eq!(finding.figure.unwrap().to_string(), "2 (1 – 3)");
            assert_eq!(finding.unit, "1/s");
            assert_eq!(line(None, target).judge(&rates, true).verdict, Verdict::Works);
        }
    }

    #[test]
    fn a_ratio_is_judged_in_place_of_the_figure_which_is_the_servers() {
        let reports = [
            report("rate", &[100.0]),
            report("rate", &[80.0]),
            report("rate_ratio", &[0.8]),
        ];
        let finding = line(Some("rate_ratio"), Target::AtLeast(0.9)).judge(&reports, false);
        assert_eq!(
            finding.figure.unwrap().median,
            80.0,
            "the server's, not the yardstick's"
        );
        assert_eq!(finding.ratio.unwrap().median, 0.8);
        assert_eq!(finding.verdict.to_string(), "not reached: 0.89 of the target");
    }

    #[test]
    fn without_the_figure_or_with_a_fault_there_is_no_verdict() {
        let finding = line(Some("cpu_ratio"), Target::AtMost(1.15)).judge(&[report("rate", &[1.0])], true);
        assert!(
            matches!(finding.verdict, Verdict::NotMeasured(_)),
            "{:?}",
            finding.verdict
        );
        let mut faulty = report("rate", &[9.0]);
        faulty.rounds[0].fault("one lost");
        let finding = line(None, Target::AtLeast(1.0)).judge(&[faulty], true);
        assert_eq!(finding.verdict, Verdict::NotClean);
    }

    /// A saturated client makes both sides look alike.
    #[test]
    fn a_busy_load_generator_is_part_of_the_verdict() {
        let reports = |busy| {
            [
                report("client_busy", &[busy]),
                report("client_busy", &[80.0]),
                report("rate_ratio", &[0.99]),
            ]
        };
        let line = line(Some("rate_ratio"), Target::AtLeast(0.9));
        assert_eq!(
            line.judge(&reports(95.0), false).text(),
            "reached; 1 round; limited by the load generator; client_busy 95 / 80"
        );
        assert_eq!(
            line.judge(&reports(94.0), false).text(),
            "reached; 1 round; client_busy 94 / 80"
        );
    }

    #[test]
    fn nothing_allowed_has_no_part() {
        let finding = line(None, Target::AtMost(0.0)).judge(&[report("rate", &[3.0; 5])], false);
        assert_eq!(finding.text(), "not reached");
    }

    #[test]
    fn targets_read_as_they_were_written() {
        let texts = [
            Target::AtLeast(0.95),
            Target::AtMost(1.15),
            Target::AtLeast(1_000_000.0),
        ]
        .map(|target| target.to_string());
        assert_eq!(texts, ["≥ 0.95", "≤ 1.15", "≥ 1,000,000"]);
    }
}
