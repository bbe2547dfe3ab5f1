//! `comet-sim`: runs seeds and scripts, shrinks failures, proves that planted bugs are found.
//!
//! Exit status: 0 clean, 1 the core did something wrong, 2 a run got stuck, 101 an assertion of the core fired.

mod report;
mod shrink_process;

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::exit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use comet_sim::{Bug, Planted, Script, generate, run};

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
    /// Runs a script from a file.
    Script {
        /// The file.
        file: PathBuf,
        /// Neither shrinks nor explains a crash.
        #[arg(long)]
        bare: bool,
    },
    /// Shows in how many seeds each planted bug is found; fails if one survives.
    Planted {
        /// Seeds tried per bug.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
    },
}

#[derive(Args)]
struct RunArgs {
    /// Exactly this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// So many seeds.
    #[arg(long, default_value_t = 1)]
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
}

thread_local! {
    /// What this thread runs, for the report of a crash.
    static CURRENT: RefCell<Option<(u64, Option<Script>, String)>> = const { RefCell::new(None) };
}

fn main() {
    match Cli::parse().command {
        Command::Run(args) => run_seeds(&args),
        Command::Script { file, bare } => run_script(&file, bare),
        Command::Planted { seeds } => planted(seeds),
    }
}

/// An assertion of the core: tell which run it was before the process ends.
fn report_crashes() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        eprintln!("{text}");
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
        println!(
            "seed {first}, world {}",
            generate(first, args.steps).profile.print()
        );
    } else {
        println!("seeds {first} to {}", first + count - 1);
    }
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let handled = AtomicU64::new(0);
    let compared = AtomicU64::new(0);
    let digest = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let told = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = args
                        .time_budget
                        .is_some_and(|s| begun.elapsed() >= Duration::from_secs(s));
                    if seed >= first + count || late {
                        break;
                    }
                    let script = generate(seed, args.steps);
                    let repeat = repeat_command(seed, args.steps);
                    CURRENT.with(|current| {
                        current.replace(Some((script.profile.seed, Some(script.clone()), repeat.clone())))
                    });
                    let outcome = run(&script, Planted::none(), false);
                    handled.fetch_add(outcome.handled, Ordering::Relaxed);
                    compared.fetch_add(outcome.compared, Ordering::Relaxed);
                    digest.fetch_xor(outcome.digest, Ordering::Relaxed);
                    if let Some(failure) = outcome.failure.as_ref().filter(|_| args.survey) {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("seed {seed} {}: {:.300}", failure.kind, failure.text);
                    } else if let Some(failure) = outcome.failure {
                        let _one_at_a_time = told.lock();
                        println!("seed {seed}, world {}", script.profile.print());
                        report::tell_failure(&script, &failure, &repeat);
                        exit(report::status(&failure));
                    }
                }
            });
        }
    });
    let done = next.load(Ordering::Relaxed).min(first + count) - first;
    let (handled, micros) = (handled.into_inner(), begun.elapsed().as_micros().max(1) as u64);
    println!(
        "{done} seeds, {} failed, {handled} steps, {} comparisons, {} steps/s on {} threads, digest {:016x}",
        failed.load(Ordering::Relaxed),
        compared.into_inner(),
        handled * 1_000_000 / micros,
        args.jobs.max(1),
        digest.into_inner(),
    );
    if count == 1 {
        println!("{}", repeat_command(first, args.steps));
    } else {
        println!("comet-sim run --start {first} --seeds {count}");
    }
    exit(if failed.into_inner() > 0 { report::WRONG } else { 0 });
}

fn run_script(file: &PathBuf, bare: bool) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| {
        eprintln!("{}: {error}", file.display());
        exit(report::WRONG)
    });
    let script = Script::parse(&text).unwrap_or_else(|error| {
        eprintln!("{}: {error}", file.display());
        exit(report::WRONG)
    });
    report_crashes();
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
    exit(outcome.failure.as_ref().map_or(0, report::status));
}

fn planted(seeds: u64) {
    let mut survived = 0;
    println!("{seeds} seeds per planted bug");
    for &bug in Bug::ALL {
        let found: Vec<_> = (1..=seeds)
            .filter_map(|seed| {
                run(&generate(seed, None), Planted::bug(bug), false)
                    .failure
                    .map(|f| (seed, f.kind))
            })
            .collect();
        let first = found.first().map_or_else(
            || "SURVIVED".to_owned(),
            |(seed, kind)| format!("first by seed {seed} ({kind})"),
        );
        println!("{:24} {:4} of {seeds} seeds, {first}", bug.name(), found.len());
        survived += u64::from(found.is_empty());
    }
    println!("comet-sim planted --seeds {seeds}");
    exit(i32::from(survived > 0));
}
