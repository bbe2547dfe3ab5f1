//! The targets, as data: what is run for each, and which figure decides. A new line is an entry here and nothing else;
//! the commands are those of the command line, so each line can be run alone.

use super::verdict::Target::{AtLeast, AtMost};
use super::verdict::{Line, Target};

/// One command and what is concluded from it.
#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) name: &'static str,
    /// The arguments of comet-bench.
    pub(super) command: &'static str,
    /// The same in small, to see that everything works; its figures mean little.
    pub(super) quick: &'static str,
    pub(super) server: Server,
    pub(super) lines: &'static [Line],
}

/// Which server an experiment can measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// Any that runs.
    Any,
    /// One that we start, because of this.
    Own(&'static str),
}

const RESTARTS: Server = Server::Own("restarts the server");

pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "fanout-1000",
        command: "fanout --vs-raw --subscribers 1000 --rounds 7 --seconds 3",
        quick: "fanout --vs-raw --subscribers 100 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[
            rate("Fan-out 1 × 1,000, one publish in flight", 0.95),
            Line {
                what: "Server CPU per million deliveries",
                figure: "cpu_per_million",
                ratio: Some("cpu_ratio"),
                target: AtMost(1.15),
            },
        ],
    },
    Experiment {
        name: "fanout-10000",
        command: "fanout --vs-raw --subscribers 10000 --rounds 5 --seconds 3",
        quick: "fanout --vs-raw --subscribers 200 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[rate("Fan-out 1 × 10,000, one publish in flight", 0.95)],
    },
    Experiment {
        name: "fanout-1000-8",
        command: "fanout --vs-raw --subscribers 1000 --in-flight 8 --coalesce 8 --rounds 7 --seconds 3",
        quick: "fanout --vs-raw --subscribers 100 --in-flight 8 --coalesce 8 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[rate("Fan-out 1 × 1,000, eight in flight", 0.85)],
    },
    Experiment {
        name: "fanout-10000-8",
        command: "fanout --vs-raw --subscribers 10000 --in-flight 8 --coalesce 8 --rounds 5 --seconds 3",
        quick: "fanout --vs-raw --subscribers 200 --in-flight 8 --coalesce 8 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[rate("Fan-out 1 × 10,000, eight in flight", 0.85)],
    },
    Experiment {
        name: "fanout-100x100",
        command: "fanout --vs-raw --channels 100 --subscribers 100 --publishers 8 --rounds 5 --seconds 3",
        quick: "fanout --vs-raw --channels 10 --subscribers 20 --publishers 8 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[rate("Fan-out 100 × 100, eight sessions", 0.9)],
    },
    Experiment {
        name: "latency",
        command: "fanout --vs-raw --half-rate --subscribers 1000 --rounds 5 --seconds 5",
        quick: "fanout --vs-raw --half-rate --subscribers 100 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[Line {
            what: "p99 publish to receive at half of the maximal rate",
            figure: "latency_p99",
            ratio: Some("p99_ratio"),
            target: AtMost(2.0),
        }],
    },
    Experiment {
        name: "publish",
        command: "publish --rounds 5 --seconds 3",
        quick: "publish --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[figure(
            "CometQL: pipelined INSERT INTO pipes_messages",
            "acknowledged_per_s",
            AtLeast(100_000.0),
        )],
    },
    Experiment {
        name: "private",
        command: "private --sessions 16 --rounds 5 --seconds 3",
        quick: "private --sessions 16 --users 20 --rounds 1 --seconds 1",
        server: Server::Any,
        lines: &[figure(
            "CometQL: durable users_messages, 16 sessions, fsync",
            "acknowledged_per_s",
            AtLeast(25_000.0),
        )],
    },
    Experiment {
        name: "restart",
        command: "offline --restart --users 10000 --rounds 1",
        quick: "offline --restart --users 100 --rounds 1",
        server: RESTARTS,
        lines: &[figure(
            "Acknowledged and lost by kill -9 (messages)",
            "lost",
            AtMost(0.0),
        )],
    },
];

/// A line about the rate of deliveries as a part of the yardstick's.
const fn rate(what: &'static str, least: f64) -> Line {
    Line {
        what,
        figure: "deliveries_per_s",
        ratio: Some("rate_ratio"),
        target: AtLeast(least),
    }
}

/// A line about the figure itself.
const fn figure(what: &'static str, figure: &'static str, target: Target) -> Line {
    Line {
        what,
        figure,
        ratio: None,
        target,
    }
}

/// Targets that no load can show: what of the server is measured where its crates are at hand.
pub(super) const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "Core alone: events per second",
        "≥ 1,500,000",
        "cargo bench -p comet-core --bench handle",
    ),
    (
        "Core alone: parse of a typical INSERT",
        "≤ 3 µs",
        "cargo bench -p comet-core --bench cometql",
    ),
    (
        "Core alone: allocations of a publish",
        "the same for any size",
        "cargo test -p comet-core --test allocations",
    ),
];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_command_is_one_and_repeats_enough() {
        for experiment in EXPERIMENTS {
            for command in [experiment.command, experiment.quick] {
                let words = std::iter::once("comet-bench").chain(command.split(' '));
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", experiment.name));
            }
            assert!(!experiment.lines.is_empty());
        }
    }

    #[test]
    fn names_and_targets_are_unique() {
        let mut names: Vec<&str> = EXPERIMENTS.iter().map(|experiment| experiment.name).collect();
        let mut whats: Vec<&str> = EXPERIMENTS
            .iter()
            .flat_map(|experiment| experiment.lines)
            .map(|line| line.what)
            .collect();
        for list in [&mut names, &mut whats] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }
}
