//! Which checkers there are, how much each does at which depth, and which of its figures go into the report.

use std::time::Duration;

use super::Depth;
use crate::coverage;
use crate::machine::has;

/// A checker to run.
pub(super) struct Check {
    pub(super) name: &'static str,
    /// What is true when it has passed.
    pub(super) claim: &'static str,
    /// As a person would type it; a program of ours is one of the release build.
    pub(super) command: Vec<String>,
    /// After that it has failed.
    pub(super) time_max: Duration,
    /// Keys of what it writes, and what they are called in the report.
    pub(super) figures: &'static [(&'static str, &'static str)],
    /// Why it cannot run here.
    pub(super) missing: Option<String>,
}

const SIMULATOR: &[(&str, &str)] = &[
    ("seeds", "seeds"),
    ("steps", "steps"),
    ("simulated_ms", "simulated hours"),
    ("faults", "faults injected"),
    ("comparisons", "comparisons"),
    ("digest", "digest"),
];

/// All of them, in the order in which they run.
pub(super) fn checks(depth: Depth, start: u64) -> Vec<Check> {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let minutes = |share: u64| match depth {
        Depth::Quick => 5,
        Depth::Long(hours) => (hours * 60 * share).div_ceil(100),
    };
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (seeds, steps, planted, coverage, every, fuzz) = match depth {
        Depth::Quick => (3000, 20, 200, 2000, 60, 8),
        Depth::Long(_) => (u64::MAX / 4, 2000, 1000, 10_000, 1, minutes(40) * 4),
    };
    let budget = match depth {
        Depth::Quick => String::new(),
        Depth::Long(_) => format!(" --time-budget {}", minutes(30) * 60),
    };
    vec![
        Check {
            name: "simulator",
            claim: "under these schedules and faults the core did what the model says",
            command: words(format!(
                "comet-sim run --start {start} --seeds {seeds} --jobs {jobs}{budget}"
            )),
            time_max: Duration::from_secs(60 * (minutes(30) + 5)),
            figures: SIMULATOR,
            missing: None,
        },
        Check {
            name: "long runs",
            claim: "the same for runs of 10,000 steps",
            command: words(format!(
                "comet-sim run --start {start} --seeds {steps} --steps 10000 --jobs {jobs}"
            )),
            time_max: Duration::from_secs(60 * (minutes(10) + 5)),
            figures: SIMULATOR,
            missing: None,
        },
        Check {
            name: "planted bugs",
            claim: "each mistake that is made on purpose is found",
            command: words(format!("comet-sim planted --seeds {planted}")),
            time_max: Duration::from_secs(60 * 30),
            figures: &[
                ("planted", "planted"),
                ("found", "found"),
                ("seeds_needed", "seeds needed at most"),
            ],
            missing: None,
        },
        Check {
            name: "coverage",
            claim: "what of the core's decisions no seed reaches is known, with a reason",
            command: words(format!("cargo xtask coverage {coverage}")),
            time_max: Duration::from_secs(60 * 20),
            figures: &[
                ("seeds", "seeds"),
                ("regions", "regions"),
                ("reached", "reached"),
                ("explained", "explained"),
                ("unexplained", "without a reason"),
            ],
            missing: coverage::tools()
                .is_none()
                .then(|| "llvm-tools are not installed (rustup component add llvm-tools)".to_owned()),
        },
        Check {
            name: "mutants",
            claim: "of small mistakes in the core each is noticed, or has a reason",
            command: words(format!(
                "cargo run --quiet -p comet-mutants -- --every {every} --seed {} --jobs {jobs}",
                start % every
            )),
            time_max: Duration::from_secs(60 * (minutes(15) + 10)),
            figures: &[
                ("listed", "in all"),
                ("judged", "judged"),
                ("caught", "caught"),
                ("explained", "with a reason"),
                ("open", "open"),
            ],
            missing: None,
        },
        Check {
            name: "fuzzing",
            claim: "no input broke a promise of its target",
            command: words(format!("cargo xtask fuzz {fuzz} --keep")),
            time_max: Duration::from_secs(fuzz * 20 + 900),
            figures: &[
                ("targets", "targets"),
                ("executions", "executions"),
                ("finds", "finds"),
            ],
            missing: cpp(),
        },
    ]
}

/// libFuzzer is C++.
fn cpp() -> Option<String> {
    let there = ["c++", "g++", "clang++"].into_iter().any(has);
    (!there).then(|| "there is no C++ compiler".to_owned())
}
