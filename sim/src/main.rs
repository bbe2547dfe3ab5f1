//! `comet-sim`: runs seeds and scripts, shrinks failures, proves that planted bugs are found.
//!
//! Exit status: 0 clean, 1 the core did something wrong or nothing was run, 2 a run got stuck, 101 an assertion of the
//! core fired.

mod alarm;
mod recordings;
mod report;
mod shrink_process;
mod totals;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, value_parser};
use comet_sim::recording::law::Law;
use comet_sim::recording::script::Recorded;
use comet_sim::{Planted, Script, generate, run};
use totals::Totals;

#[derive(Parser)]
#[command(about = "Drives the shipped core through simulated browsers, back ends, networks and disks")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one seed or many.
    Run(RunArgs),
    /// Runs a script from a file, one of the simulator's or a recording as text; or makes such a text of a recording.
    Script(ScriptArgs),
    /// Replays what a server recorded (`comet-server --record`), comparing everything it did.
    Replay {
        /// The directory of the recording, or one file of it.
        path: PathBuf,
        /// Writes a report to this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Shows in how many seeds each planted bug is found; fails if one survives.
    Planted {
        /// Seeds tried per bug.
        #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..))]
        seeds: u64,
        /// Writes a report to this file.
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

#[derive(Args)]
struct ScriptArgs {
    /// The script to run.
    #[arg(required_unless_present = "from")]
    file: Option<PathBuf>,
    /// A recording to be made a text of: one of its files, or a directory, of which the first segment counts that is not
    /// replayed as recorded or breaks a law, else the last one.
    #[arg(long, conflicts_with = "file")]
    from: Option<PathBuf>,
    /// Where the text is written; without it to standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// What must be true of the recording: `at-most N conn C "TEXT"`, `at-least N conn C "TEXT"`. Repeatable.
    #[arg(long)]
    law: Vec<Law>,
    /// Neither shrinks nor explains a crash.
    #[arg(long)]
    bare: bool,
}

#[derive(Args)]
struct RunArgs {
    /// Exactly this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// So many seeds.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Stop after so many seconds, whatever is left.
    #[arg(long)]
    time_budget: Option<u64>,
    /// Steps per seed, instead of a number drawn by the seed.
    #[arg(long)]
    steps: Option<u64>,
    /// One line per failing seed instead of stopping and shrinking at the first.
    #[arg(long)]
    survey: bool,
    /// Threads; each run stays on one.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Writes a report to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

thread_local! {
    /// What this thread runs, for the report of a crash.
    static CURRENT: RefCell<Option<(u64, Option<Script>, String)>> = const { RefCell::new(None) };
}

fn main() {
    match Cli::parse().command {
        Command::Run(args) => run_seeds(&args),
        Command::Script(args) => script(&args),
        Command::Replay { path, json } => {
            report_crashes();
            recordings::replay(&path, json.as_deref());
        }
        Command::Planted { seeds, json } => {
            let found = alarm::planted(seeds, json.as_deref());
            exit(if found { 0 } else { report::WRONG });
        }
    }
}

/// An assertion of the core: tell which run it was before the process ends.
fn report_crashes() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        eprintln!("{text}");
        report::tell_event();
        let current = CURRENT.with(|current| current.take());
        match current {
            Some((_, Some(script), repeat)) => report::tell_crash(&script, &text, &repeat),
            Some((seed, None, repeat)) => println!("seed {seed} crash: {text}\n{repeat}"),
            None => {}
        }
        exit(report::CRASHED);
    }));
}

fn repeat_command(seed: u64, steps: Option<u64>) -> String {
    let steps = steps.map_or_else(String::new, |steps| format!(" --steps {steps}"));
    format!("comet-sim run --seed {seed}{steps}")
}

fn run_seeds(args: &RunArgs) {
    report_crashes();
    let (first, count) = args.seed.map_or((args.start, args.seeds), |seed| (seed, 1));
    if count == 1 {
        let world = generate(first, args.steps).profile;
        println!("seed {first}, world {}", world.print());
    } else {
        println!("seeds {first} to {}", first + count - 1);
    }
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = |s| begun.elapsed() >= Duration::from_secs(s);
                    if seed >= first + count || args.time_budget.is_some_and(is_late) {
                        break;
                    }
                    run_seed(args, seed, &totals);
                }
            });
        }
    });
    let micros = begun.elapsed().as_micros().max(1) as u64;
    let totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    let repeat = match count {
        1 => repeat_command(first, args.steps),
        _ => repeat_all(args, first, totals.seeds),
    };
    println!("{}", totals.line(micros, args.jobs.max(1)));
    println!("{repeat}");
    let report = totals.json(micros, args.jobs.max(1), &repeat);
    let written = args.json.as_ref().is_none_or(|file| totals::write(file, &report));
    if totals.seeds == 0 {
        println!("nothing was run");
    }
    let clean = totals.failed == 0 && totals.seeds > 0 && written;
    exit(if clean { 0 } else { report::WRONG });
}

fn repeat_all(args: &RunArgs, first: u64, seeds: u64) -> String {
    let steps = args
        .steps
        .map_or_else(String::new, |steps| format!(" --steps {steps}"));
    format!("comet-sim run --start {first} --seeds {seeds}{steps}")
}

/// Runs one seed; a failure ends the process, but for a survey.
fn run_seed(args: &RunArgs, seed: u64, totals: &Mutex<Totals>) {
    let script = generate(seed, args.steps);
    let repeat = repeat_command(seed, args.steps);
    CURRENT
        .with(|current| current.replace(Some((script.profile.seed, Some(script.clone()), repeat.clone()))));
    let outcome = run(&script, Planted::none(), false);
    let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
    totals.add(&outcome);
    let Some(failure) = outcome.failure else { return };
    println!("seed {seed} {}: {:.300}", failure.kind, failure.text);
    if args.survey {
        return;
    }
    println!("world {}", script.profile.print());
    report::tell_failure(&script, &failure, &repeat);
    if let Some(file) = &args.json {
        totals::write(file, &totals.json(1, args.jobs.max(1), &repeat));
    }
    exit(report::status(&failure));
}

fn script(args: &ScriptArgs) {
    report_crashes();
    if let Some(from) = &args.from {
        recordings::make_script(from, &args.law, args.output.as_deref());
    }
    let Some(file) = &args.file else { return };
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| recordings::fail(file, &error));
    if Recorded::is_one(&text) {
        recordings::run_script(file, &text, &args.law, args.bare);
    }
    run_script(file, &text, args.bare);
}

fn run_script(file: &Path, text: &str, bare: bool) {
    let script = Script::parse(text).unwrap_or_else(|error| recordings::fail(file, &error));
    println!("world {}", script.profile.print());
    let repeat = format!("comet-sim script {}", file.display());
    if !bare {
        CURRENT.with(|current| {
            current.replace(Some((script.profile.seed, Some(script.clone()), repeat.clone())))
        });
    }
    let outcome = run(&script, Planted::none(), false);
    if let Some(failure) = &outcome.failure {
        println!("{}: {}", failure.kind, failure.text);
    }
    println!("{} steps, digest {:016x}", outcome.handled, outcome.digest);
    println!("{repeat}");
    if outcome.failure.is_none() && script.steps.is_empty() {
        recordings::fail(file, &"there is no step in it");
    }
    exit(outcome.failure.as_ref().map_or(0, report::status));
}
