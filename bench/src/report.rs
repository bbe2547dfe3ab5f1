//! What a run found, as an aligned table or as JSON: figures per round, the conditions they hold under, and every
//! fault. Exit status 1 follows from a fault.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::plot::{self, Curves, Series};
use crate::sequence::Tally;

/// One measured value.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

/// The figures of one round, in the order they were measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Round {
    pub(crate) figures: Vec<Figure>,
    pub(crate) faults: Vec<String>,
    /// Of scenarios that deliver in a measured window.
    pub(crate) curves: Option<Curves>,
}

impl Round {
    pub(crate) fn add(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value, unit });
    }

    /// Adds a figure that is only known when the server's process is.
    pub(crate) fn add_known(&mut self, name: &'static str, value: Option<f64>, unit: &'static str) {
        if let Some(value) = value {
            self.add(name, value, unit);
        }
    }

    pub(crate) fn tally(&mut self, what: &str, tally: Tally) {
        self.add("lost", tally.lost as f64, "messages");
        self.add("duplicated", tally.duplicated as f64, "messages");
        self.add("disordered", tally.disordered as f64, "messages");
        if !tally.is_clean() {
            let Tally {
                lost,
                duplicated,
                disordered,
            } = tally;
            self.fault(format!(
                "{what}: {lost} lost, {duplicated} duplicated, {disordered} disordered"
            ));
        }
    }

    pub(crate) fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.figures
            .iter()
            .find(|figure| figure.name == name)
            .map(|figure| figure.value)
    }

    fn json(&self) -> Value {
        let figures = self.figures.iter();
        let mut round: Map<String, Value> = figures
            .map(|figure| (figure.name.to_owned(), json!(figure.value)))
            .collect();
        if let Some(curves) = &self.curves {
            round.insert(
                "curves".to_owned(),
                json!({
                    "deliveries_per_s, by 100 ms": curves.rate,
                    "percentile, µs": curves.latency,
                }),
            );
        }
        Value::Object(round)
    }
}

/// All rounds of one command.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    pub(crate) conditions: Vec<(&'static str, String)>,
    pub(crate) rounds: Vec<Round>,
}

impl Report {
    pub(crate) fn new(scenario: impl Into<String>) -> Self {
        Self {
            scenario: scenario.into(),
            conditions: Vec::new(),
            rounds: Vec::new(),
        }
    }

    pub(crate) fn condition(&mut self, name: &'static str, value: impl ToString) {
        self.conditions.push((name, value.to_string()));
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = &String> {
        self.rounds.iter().flat_map(|round| &round.faults)
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults().next().is_none()
    }

    /// What a picture of this report draws, if there is anything to draw.
    pub(crate) fn series(&self) -> Option<Series<'_>> {
        let rounds: Vec<&Curves> = self
            .rounds
            .iter()
            .filter_map(|round| round.curves.as_ref())
            .collect();
        (!rounds.is_empty()).then(|| Series {
            name: self.scenario.clone(),
            rounds,
        })
    }

    /// The unit of a figure and its values over the rounds, ascending; `None` when no round has it.
    pub(crate) fn figure(&self, name: &str) -> Option<(&'static str, Vec<f64>)> {
        let found = |round: &Round| round.figures.iter().find(|figure| figure.name == name).cloned();
        let figures: Vec<Figure> = self.rounds.iter().filter_map(found).collect();
        let unit = figures.first()?.unit;
        let mut values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        Some((unit, values))
    }

    /// Every figure name in the order of the first round that has it, with its values over the rounds, ascending.
    fn columns(&self) -> Vec<(Figure, Vec<f64>)> {
        let mut columns: Vec<(Figure, Vec<f64>)> = Vec::new();
        for figure in self.rounds.iter().flat_map(|round| &round.figures) {
            match columns.iter_mut().find(|(known, _)| known.name == figure.name) {
                Some((_, values)) => values.push(figure.value),
                None => columns.push((figure.clone(), vec![figure.value])),
            }
        }
        for (_, values) in &mut columns {
            values.sort_by(f64::total_cmp);
        }
        columns
    }

    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n", self.scenario);
        for (name, value) in &self.conditions {
            text_line(&mut text, &format!("  {name:<24} {value}"));
        }
        let many = self.rounds.len() > 1;
        if many {
            text_line(
                &mut text,
                &format!("  {:<24} {:>14} {:>14} {:>14}", "", "median", "least", "most"),
            );
        }
        for (Figure { name, unit, .. }, values) in self.columns() {
            let [least, middle, most] =
                [values[0], median(&values), values[values.len() - 1]].map(number_text);
            if many {
                text_line(
                    &mut text,
                    &format!("  {name:<24} {middle:>14} {least:>14} {most:>14}  {unit}"),
                );
            } else {
                text_line(&mut text, &format!("  {name:<24} {middle:>14}  {unit}"));
            }
        }
        if let Some(series) = self.series() {
            text.push_str(&drawn(&series));
        }
        for fault in self.faults() {
            text_line(&mut text, &format!("  FAULT {fault}"));
        }
        text_line(&mut text, if self.is_clean() { "  clean" } else { "  NOT CLEAN" });
        text
    }

    pub(crate) fn json(&self) -> Value {
        let object = |figures: &mut dyn Iterator<Item = (String, f64)>| -> Map<String, Value> {
            figures.map(|(name, value)| (name, json!(value))).collect()
        };
        json!({
            "scenario": self.scenario,
            "conditions": self.conditions.iter().map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect::<Map<_, _>>(),
            "rounds": self.rounds.iter().map(Round::json).collect::<Vec<_>>(),
            "median": object(&mut self.columns().iter().map(|(figure, values)| (figure.name.to_owned(), median(values)))),
            "units": self.columns().iter().map(|(figure, _)| (figure.name.to_owned(), json!(figure.unit)))
                .collect::<Map<_, _>>(),
            "faults": self.faults().collect::<Vec<_>>(),
            "clean": self.is_clean(),
        })
    }
}

/// A line of blocks per round and a small table of percentiles.
fn drawn(series: &Series<'_>) -> String {
    let mut text = String::new();
    let top = series
        .rounds
        .iter()
        .flat_map(|round| &round.rate)
        .copied()
        .fold(0.0, f64::max);
    for (number, round) in series.rounds.iter().enumerate() {
        let name = if number == 0 {
            format!("rate, full is {}", number_text(top))
        } else {
            String::new()
        };
        text_line(
            &mut text,
            &format!("  {name:<24} {}", plot::sparkline(&round.rate, top)),
        );
    }
    let latency = plot::median_latency(&series.rounds);
    let cells = |cell: &dyn Fn(&(f64, f64)) -> String| -> String {
        latency
            .iter()
            .map(|point| format!("{:>8}", cell(point)))
            .collect()
    };
    text_line(
        &mut text,
        &format!(
            "  {:<22} {}",
            "percentile",
            cells(&|(percent, _)| percent.to_string())
        ),
    );
    text_line(
        &mut text,
        &format!(
            "  {:<22} {}",
            "latency, µs",
            cells(&|(_, micros)| number_text(micros.round()))
        ),
    );
    text
}

fn text_line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a String cannot fail");
}

/// Of ascending values; never called without any.
pub(crate) fn median(ascending: &[f64]) -> f64 {
    let middle = ascending.len() / 2;
    if ascending.len() % 2 == 1 {
        ascending[middle]
    } else {
        f64::midpoint(ascending[middle - 1], ascending[middle])
    }
}

/// Digits that mean something: large values without a fraction and with thousands separated, small ones with three.
pub(crate) fn number_text(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(values: &[f64]) -> Report {
        let mut report = Report::new("sample");
        for value in values {
            let mut round = Round::default();
            round.add("rate", *value, "1/s");
            report.rounds.push(round);
        }
        report
    }

    #[test]
    fn several_rounds_show_their_median_and_spread() {
        let report = report(&[3000.0, 1000.0, 2000.0, 1_234_567.0]);
        let table = report.table();
        assert!(
            table.contains("2,500          1,000      1,234,567  1/s"),
            "{table}"
        );
        assert!(table.ends_with("clean\n"));
        assert_eq!(report.json()["median"]["rate"], 2500.0);
    }

    #[test]
    fn a_fault_spoils_the_report() {
        let mut report = report(&[0.5]);
        report.rounds[0].tally(
            "channel",
            Tally {
                lost: 1,
                ..Tally::default()
            },
        );
        assert!(!report.is_clean());
        assert!(
            report
                .table()
                .contains("FAULT channel: 1 lost, 0 duplicated, 0 disordered")
        );
        assert_eq!(report.json()["clean"], false);
    }

    #[test]
    fn a_round_with_curves_is_drawn_and_written() {
        let mut report = report(&[1.0]);
        assert!(report.series().is_none());
        report.rounds[0].curves = Some(Curves {
            rate: vec![0.0, 1000.0],
            latency: vec![(50.0, 2470.4), (99.9, 12_345.0)],
        });
        let table = report.table();
        assert!(table.contains("rate, full is 1,000      ▁█\n"), "{table}");
        assert!(table.contains("      50    99.9\n"), "{table}");
        assert!(table.contains("   2,470  12,345\n"), "{table}");
        let round = &report.json()["rounds"][0];
        assert_eq!(round["rate"], 1.0);
        assert_eq!(round["curves"]["percentile, µs"][1], json!([99.9, 12_345.0]));
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            [0.0, 0.1234, 7.0, 99.5, 999.4, 1000.0, -12345.6].map(number_text),
            ["0", "0.123", "7", "99.500", "999", "1,000", "-12,346"]
        );
    }
}
