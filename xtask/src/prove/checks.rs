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
    pub(super) figures: Figures,
    /// The key of the figure without which nothing was looked at: it has to be above zero.
    pub(super) substance: &'static str,
    /// Why it does not run.
    pub(super) missing: Option<String>,
}

impl Check {
    /// The programs of ours that it starts; what cargo starts, cargo builds.
    pub(super) fn programs(&self) -> &'static [&'static str] {
        match self.command.first().map(String::as_str) {
            Some("comet-sim") => &["comet-sim"],
            Some("comet-crash") => &["comet-crash", "comet-server"],
            Some(_) | None => &[],
        }
    }
}

pub(super) type Figures = &'static [(&'static str, &'static str)];

/// How much is done.
struct Amount {
    seeds: u64,
    long_runs: u64,
    /// Simulated worlds of the runtime.
    worlds: u64,
    /// Simulated disks.
    disks: u64,
    /// Kills of the real server, with each kind of durability.
    cycles: u64,
    /// Disks as a power cut leaves them.
    images: u64,
    /// Seeds per planted bug.
    planted: u64,
    /// Seeds that have to reach everything.
    reaching: u64,
    /// One mutant of so many.
    every: u64,
    /// Seconds per fuzz target.
    fuzz_s: u64,
    /// Seconds after which the simulator stops by itself.
    budget_s: Option<u64>,
}

impl Amount {
    fn of(depth: Depth) -> Self {
        match depth {
            Depth::Quick => Self {
                seeds: 3000,
                long_runs: 20,
                worlds: 100,
                disks: 1500,
                cycles: 100,
                images: 150,
                planted: 200,
                reaching: 2000,
                every: 60,
                fuzz_s: 8,
                budget_s: None,
            },
            Depth::Long(hours) => Self {
                seeds: u64::MAX / 4,
                long_runs: 250 * hours,
                worlds: 300 * hours,
                disks: 10_000 * hours,
                cycles: 200 * hours,
                images: 1000 * hours,
                planted: 500,
                reaching: 5000,
                every: 1,
                // A quarter of the time for the simulator; the targets of the fuzzer have a sixth, two of them at a time. All
                // mutants take a quarter of an hour.
                fuzz_s: hours * 3600 / 3 / FUZZ_TARGETS,
                budget_s: Some(hours * 3600 / 4),
            },
        }
    }

    fn budget(&self) -> String {
        let budget = self.budget_s.map(|seconds| format!(" --time-budget {seconds}"));
        budget.unwrap_or_default()
    }
}

/// Only the share of time depends on it.
const FUZZ_TARGETS: u64 = 15;

const SIMULATOR: Figures = &[
    ("seeds", "seeds"),
    ("steps", "steps"),
    ("simulated_ms", "simulated hours"),
    ("faults", "faults injected"),
    ("comparisons", "comparisons"),
    ("undecided", "histories left undecided"),
    ("digest", "digest"),
];

const PLANTED: Figures = &[
    ("planted", "planted"),
    ("found", "found"),
    ("seeds_needed", "seeds needed at most"),
];

/// All of them, in the order in which they run.
pub(super) fn checks(depth: Depth, start: u64) -> Vec<Check> {
    let amount = Amount::of(depth);
    let mut all = simulator(&amount, start);
    all.extend(runtime(&amount, start));
    all.extend(crashes(&amount, start));
    all.extend(watchers(&amount, start));
    all.push(fuzzing(&amount));
    all
}

/// A check that can run everywhere.
fn check(
    name: &'static str,
    claim: &'static str,
    minutes: u64,
    command: &str,
    substance: &'static str,
    figures: Figures,
) -> Check {
    Check {
        name,
        claim,
        command: command.split(' ').map(str::to_owned).collect(),
        time_max: Duration::from_secs(60 * minutes),
        figures,
        substance,
        missing: None,
    }
}

fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn simulator(amount: &Amount, start: u64) -> Vec<Check> {
    let (seeds, long_runs, budget, jobs) = (amount.seeds, amount.long_runs, amount.budget(), jobs());
    let minutes = amount.budget_s.unwrap_or_default() / 60 + 10;
    vec![
        check(
            "simulator",
            "under these schedules and faults the core did what the model says",
            minutes,
            &format!("comet-sim run --start {start} --seeds {seeds} --jobs {jobs}{budget}"),
            "steps",
            SIMULATOR,
        ),
        check(
            "long runs",
            "the same for runs of 10,000 steps",
            minutes,
            &format!("comet-sim run --start {start} --seeds {long_runs} --steps 10000 --jobs {jobs}{budget}"),
            "steps",
            SIMULATOR,
        ),
        check(
            "repetition",
            "the same seeds on one thread, on two, and in a debug build do the same",
            20,
            &format!("cargo xtask repeat {start} 60"),
            "seeds",
            &[("seeds", "seeds"), ("ways", "ways"), ("digest", "digest")],
        ),
    ]
}

/// Sockets, threads, time and disk are simulated, the runtime is the real one.
fn runtime(amount: &Amount, start: u64) -> Vec<Check> {
    let worlds = amount.worlds;
    vec![
        check(
            "runtime on madsim",
            "under partitions, resets and slow peers the real runtime kept the same promises, and twice the same log",
            worlds / 100 + 20,
            &format!("cargo xtask madsim --start {start} --seeds {worlds}"),
            "statements",
            &[
                ("seeds", "seeds"),
                ("simulated_ms", "simulated hours"),
                ("faults", "faults injected"),
                ("statements", "statements"),
                ("frames", "frames"),
                ("run_twice", "run twice"),
                ("digest", "digest"),
            ],
        ),
        check(
            "runtime, planted",
            "each mistake that is made on purpose in the runtime is found",
            30,
            "cargo xtask madsim --planted",
            "found",
            PLANTED,
        ),
    ]
}

/// What was acknowledged is there after crashes: of a simulated disk, of the real process, of the power.
fn crashes(amount: &Amount, start: u64) -> Vec<Check> {
    let (worlds, cycles, images, jobs) = (amount.disks, amount.cycles, amount.images, jobs());
    let minutes = cycles / 20 + 20;
    let kill = |name, durability| {
        check(
            name,
            "after kill -9 of the real server everything acknowledged is there",
            minutes,
            &format!("comet-crash kill --cycles {cycles} --durability {durability} --seed {start}"),
            "acknowledged",
            &[
                ("cycles", "crash cycles"),
                ("kills", "kills"),
                ("steps", "statements"),
                ("acknowledged", "acknowledged"),
                ("acknowledged_by_page", "confirmed to the page or for it"),
            ],
        )
    };
    vec![
        check(
            "every crash point",
            "a crash at each file operation of a small workload loses nothing",
            20,
            "comet-crash every",
            "records_checked",
            &[
                ("points", "crash points"),
                ("seeds", "crashes"),
                ("records_checked", "records checked"),
            ],
        ),
        check(
            "failing disks",
            "on disks that fail, tear and forget nothing acknowledged is lost",
            worlds / 100 + 20,
            &format!("comet-crash disk --start {start} --seeds {worlds} --jobs {jobs}"),
            "records_checked",
            &[
                ("seeds", "seeds"),
                ("steps", "file operations"),
                ("faults", "faults injected"),
                ("power_cuts", "power cuts"),
                ("kills", "kills"),
                ("records_checked", "records checked"),
            ],
        ),
        kill("kill -9", "fsync"),
        kill("kill -9, os", "os"),
        check(
            "power cuts",
            "what the real server had acknowledged when the power went is there",
            images / 20 + 20,
            &format!("comet-crash power --images {images} --seed {start}"),
            "images",
            &[
                ("images", "images"),
                ("real_starts", "started for real"),
                ("steps", "file operations"),
            ],
        ),
        check(
            "store, planted",
            "each mistake that is made on purpose in the store is found",
            20,
            "comet-crash planted",
            "found",
            PLANTED,
        ),
    ]
}

/// Who watches the checkers.
fn watchers(amount: &Amount, start: u64) -> Vec<Check> {
    let (planted, reaching, every) = (amount.planted, amount.reaching, amount.every);
    let no_tools = "llvm-tools are not installed (rustup component add llvm-tools)";
    let planted = check(
        "planted bugs",
        "each mistake that is made on purpose is found",
        30,
        &format!("comet-sim planted --seeds {planted}"),
        "found",
        PLANTED,
    );
    let mut coverage = check(
        "coverage",
        "what of the core's decisions no seed reaches is known, with a reason",
        20,
        &format!("cargo xtask coverage {reaching}"),
        "reached",
        &[
            ("seeds", "seeds"),
            ("regions", "regions"),
            ("reached", "reached"),
            ("explained", "explained"),
            ("unexplained", "without a reason"),
        ],
    );
    coverage.missing = coverage::tools().is_none().then(|| no_tools.to_owned());
    let mutants = check(
        "mutants",
        "of small mistakes in the core each is noticed, or has a reason",
        60,
        &format!(
            "cargo run --quiet -p comet-mutants -- --every {every} --seed {} --jobs {}",
            start % every,
            jobs()
        ),
        "judged",
        &[
            ("listed", "in all"),
            ("judged", "judged"),
            ("caught", "caught"),
            ("explained", "with a reason"),
            ("open", "open"),
        ],
    );
    vec![planted, coverage, mutants]
}

fn fuzzing(amount: &Amount) -> Check {
    let seconds = amount.fuzz_s;
    let mut fuzzing = check(
        "fuzzing",
        "no input broke a promise of its target",
        seconds * FUZZ_TARGETS / 60 + 20,
        &format!("cargo xtask fuzz {seconds} --keep"),
        "executions",
        &[
            ("targets", "targets"),
            ("executions", "executions"),
            ("finds", "finds"),
        ],
    );
    // libFuzzer is C++.
    let compiles = ["c++", "g++", "clang++"].into_iter().any(has);
    fuzzing.missing = (!compiles).then(|| "there is no C++ compiler".to_owned());
    fuzzing
}
