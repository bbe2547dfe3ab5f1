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
const SETTINGS: Server = Server::Own("wants a fresh server with settings of its own");

pub(super) const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "fanout-1000",
        command: "fanout --vs-raw --subscribers 1000 --rounds 5 --seconds 3",
        quick: "fanout --vs-raw --subscribers 100 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[
            rate("Fan-out 1 × 1,000, one publish in flight", 0.95),
            Line {
                what: "Server CPU per million deliveries",
                figure: "cpu_per_million",
                ratio: Some("cpu_ratio"),
                target: AtMost(1.15),
                beside: &["client_busy"],
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
        command: "fanout --vs-raw --subscribers 1000 --in-flight 8 --coalesce 8 --rounds 5 --seconds 3",
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
        command: "fanout --vs-raw --half-rate --subscribers 1000 --rounds 5 --seconds 3",
        quick: "fanout --vs-raw --half-rate --subscribers 100 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[Line {
            what: "p99 at half of the rate of one publish in flight",
            figure: "latency_p99",
            ratio: Some("p99_ratio"),
            target: AtMost(2.0),
            beside: &["client_busy"],
        }],
    },
    Experiment {
        name: "publish",
        command: "publish --rounds 5 --seconds 2",
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
        command: "private --sessions 16 --rounds 5 --seconds 2",
        quick: "private --sessions 16 --users 20 --rounds 1 --seconds 1",
        server: Server::Any,
        lines: &[figure(
            "CometQL: durable users_messages, 16 sessions, fsync",
            "acknowledged_per_s",
            AtLeast(25_000.0),
        )],
    },
    Experiment {
        name: "roundtrip",
        command: "roundtrip --sessions 16 --rounds 5 --seconds 1",
        quick: "roundtrip --sessions 4 --rounds 2 --seconds 1",
        server: Server::Any,
        lines: &[
            beside_no_op("One statement at a time, 1 session", "rate_1", "rate_ratio_1"),
            beside_no_op(
                "One statement at a time, 16 sessions",
                "rate_many",
                "rate_ratio_many",
            ),
        ],
    },
    Experiment {
        name: "hold-100000",
        command: "hold --connections 100000 --authorized --subscriptions 2 --ping-interval 10 --rounds 1 --seconds 12",
        quick: "hold --connections 500 --authorized --subscriptions 2 --ping-interval 2 --rounds 1 --seconds 3",
        server: SETTINGS,
        lines: &[
            Line {
                beside: &[
                    "rss_with_user",
                    "rss_after_idle",
                    "rss_after_message",
                    "kernel_per_connection",
                ],
                ..figure(
                    "KiB per idle authorized connection, 2 subscriptions",
                    "rss_per_connection",
                    AtMost(2.0),
                )
            },
            Line {
                beside: &["opened_per_s"],
                ..figure(
                    "Connect + authorize + subscribe, per core",
                    "opened_per_core",
                    AtLeast(15_000.0),
                )
            },
            figure("Failed handshakes", "failed_handshakes", AtMost(0.0)),
        ],
    },
    Experiment {
        name: "hold-1000000",
        command: "hold --connections 1000000 --authorized --subscriptions 2 --ping-interval 60 --rounds 1 --seconds 65",
        quick: "hold --connections 1000 --authorized --subscriptions 2 --ping-interval 2 --rounds 1 --seconds 3",
        server: SETTINGS,
        lines: &[
            figure(
                "Connections held, alive at the end",
                "alive",
                AtLeast(1_000_000.0),
            ),
            figure("Their keep-alive, % of a processor", "idle_cpu", AtMost(100.0)),
        ],
    },
    Experiment {
        name: "storm",
        command: "storm --users 100000 --rounds 1",
        quick: "storm --users 300 --room 50 --rate 500 --rounds 1 --seconds 1",
        server: SETTINGS,
        lines: &[
            figure("Storm of 100,000 reconnects: messages lost", "lost", AtMost(0.0)),
            figure("The same: duplicated", "duplicated", AtMost(0.0)),
        ],
    },
    Experiment {
        name: "drain",
        command: "drain --users 100000 --messages 10 --rounds 1",
        quick: "drain --users 300 --messages 5 --subscribers 50 --window 50 --rounds 1",
        server: Server::Any,
        lines: &[rate_of("Queue drain, 100,000 users × 10", "drained_per_s", 0.5)],
    },
    Experiment {
        name: "churn",
        command: "churn --cycles 300000 --rounds 1",
        quick: "churn --cycles 1000 --warm-up 1000 --level 50 --tolerance 100 --rounds 1",
        server: SETTINGS,
        lines: &[Line {
            beside: &["rss_ratio", "rss_warm", "rss_end"],
            ..figure(
                "Memory that a visit leaves behind, bytes",
                "rss_per_visit",
                AtMost(1.0),
            )
        }],
    },
    Experiment {
        name: "startup",
        command: "startup --users 1000000 --messages 1000000 --rounds 3",
        quick: "startup --users 2000 --messages 2000 --rounds 2",
        server: RESTARTS,
        lines: &[figure("Start-up, seconds until ready", "ready", AtMost(5.0))],
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
    rate_of(what, "deliveries_per_s", least)
}

/// The same for another kind of rate.
const fn rate_of(what: &'static str, figure: &'static str, least: f64) -> Line {
    Line {
        what,
        figure,
        ratio: Some("rate_ratio"),
        target: AtLeast(least),
        beside: &["client_busy"],
    }
}

/// A line about statements, beside those of a server that does nothing.
const fn beside_no_op(what: &'static str, figure: &'static str, ratio: &'static str) -> Line {
    Line {
        what,
        figure,
        ratio: Some(ratio),
        target: AtLeast(1.0),
        beside: &[],
    }
}

/// A line about the figure itself.
const fn figure(what: &'static str, figure: &'static str, target: Target) -> Line {
    Line {
        what,
        figure,
        ratio: None,
        target,
        beside: &[],
    }
}

/// Targets that no load can show, and where they are judged: what of the server is measured where its crates are at hand,
/// and what was not built.
pub(super) const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "Fan-out 1 × 1,000 with io_uring, where offered",
        "≥ 1.3",
        "docs/fan-out-cost.md: measured, not built",
    ),
    (
        "Core alone: events per second",
        "≥ 1,500,000",
        "`cargo bench -p comet-core --bench handle`",
    ),
    (
        "Core alone: parse of a typical INSERT",
        "≤ 3 µs",
        "`cargo bench -p comet-core --bench cometql`",
    ),
    (
        "Core alone: allocations of a publish",
        "the same for any size",
        "`cargo test -p comet-core --test allocations`",
    ),
];

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::report::{Report, Round};

    fn parsed(command: &str) -> Cli {
        let words = std::iter::once("comet-bench").chain(command.split(' '));
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Five rounds at least, or the row says how many there were.
    #[test]
    fn every_command_is_one_and_repeats_enough() {
        for experiment in EXPERIMENTS {
            parsed(experiment.quick);
            let rounds = parsed(experiment.command).common.rounds;
            let rounds = rounds.unwrap_or_else(|| panic!("{} does not say its rounds", experiment.name));
            assert!(!experiment.lines.is_empty());
            for line in experiment.lines {
                let mut report = Report::new("sample");
                for _ in 0..rounds {
                    let mut round = Round::default();
                    round.add(line.ratio.unwrap_or(line.figure), 1.0, "");
                    report.rounds.push(round);
                }
                let text = line.judge(&[report], false).text();
                let said = ["1 round", "2 rounds", "3 rounds", "4 rounds"];
                assert!(
                    said.get(rounds - 1).is_none_or(|said| text.contains(said)),
                    "{}: {text}",
                    line.what
                );
                assert_eq!(rounds >= 5, !text.contains(" round"), "{}: {text}", line.what);
            }
        }
    }

    /// A window without a Ping says nothing about keep-alive.
    #[test]
    fn whatever_is_held_is_held_for_a_ping_interval() {
        for experiment in EXPERIMENTS {
            let cli = parsed(experiment.command);
            if let Command::Hold(args) = cli.command {
                assert!(
                    cli.common.seconds >= Some(args.ping_interval),
                    "{}",
                    experiment.name
                );
            }
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
