//! Seeds: one fresh thread for each, twice to compare the logs, and what is told about all of them.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use comet_server::rt::sim::Mistake;
use madsim::runtime::Runtime;

use crate::world::{self, Report};

/// Virtual time after which a world is considered stuck.
const WORLD_MAX: Duration = Duration::from_secs(3600);
/// Of so many seeds one is run twice.
const TWICE: u64 = 4;
/// Seeds in which a planted mistake has to be found.
const PLANTED_SEEDS: u64 = 50;
/// Each with the promise it breaks, as a part of the finding: what is found by chance may be missed the next time.
const MISTAKES: [(Mistake, &str); 5] = [
    (Mistake::AcknowledgesBeforeCommit, "5.1: "),
    (Mistake::DropsUnderPressure, "S26: "),
    (Mistake::EndsWithoutFlush, "S26: "),
    (Mistake::LeavesFramesOut, "S26: "),
    (Mistake::SendsToNeighbours, "a message for somebody else: "),
];
const USAGE: &str = "comet-madsim [--start N] [--seeds N] [--jobs N] [--json FILE] | --seed N | --planted";

/// What the command line asks for.
#[derive(Clone, Debug)]
struct Task {
    start: u64,
    seeds: u64,
    jobs: u64,
    json: Option<PathBuf>,
    verbose: bool,
    planted: bool,
}

fn task(mut args: impl Iterator<Item = String>) -> Option<Task> {
    let mut task = Task {
        start: 1,
        seeds: 100,
        jobs: 1,
        json: None,
        verbose: false,
        planted: false,
    };
    while let Some(arg) = args.next() {
        let mut number = || args.next()?.parse::<u64>().ok();
        match arg.as_str() {
            "--start" => task.start = number()?,
            "--seeds" => task.seeds = number().filter(|seeds| *seeds > 0)?,
            "--jobs" => task.jobs = number()?.max(1),
            "--seed" => (task.start, task.seeds, task.verbose) = (number()?, 1, true),
            "--json" => task.json = Some(args.next()?.into()),
            "--planted" => task.planted = true,
            _ => return None,
        }
    }
    Some(task)
}

pub(crate) fn main() -> ExitCode {
    let Some(task) = task(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // What a world dies of is told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let ok = if task.planted {
        planted(task.json.as_deref())
    } else {
        run(&task)
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// A place for the store's file that no disk slows down, if there is one.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return Ok(dir);
    }
    tempfile::tempdir()
}

/// One world on a thread of its own, as the thread's hash maps are seeded once.
fn world(seed: u64, mistake: Option<Mistake>, verbose: bool) -> Result<Report, String> {
    let dir = scratch().map_err(|error| error.to_string())?;
    let data_dir = dir.path().join("data");
    let live = move || {
        let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.set_time_limit(WORLD_MAX);
        runtime.block_on(world::run(&data_dir, mistake, verbose))
    };
    let thread = std::thread::Builder::new().name(format!("seed {seed}"));
    let thread = thread.spawn(live).map_err(|error| error.to_string())?;
    thread.join().map_err(|panic| words(&*panic))
}

/// The world of a seed, and for some of them once more: the logs have to be the same.
fn seed(seed: u64, twice: bool, verbose: bool) -> Result<Report, String> {
    let first = world(seed, None, verbose)?;
    if twice {
        let second = world(seed, None, false)?;
        if first != second {
            return Err(format!("not the same again: {first:?}, then {second:?}"));
        }
    }
    Ok(first)
}

#[derive(Default)]
struct Total {
    reports: Vec<Report>,
    failed: Vec<u64>,
    twice: u64,
}

fn run(task: &Task) -> bool {
    let next = AtomicU64::new(task.start);
    let total = Mutex::new(Total::default());
    let end = task.start + task.seeds;
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return;
            }
            let twice = number.is_multiple_of(TWICE) || task.seeds == 1;
            let result = seed(number, twice, task.verbose);
            let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            total.twice += u64::from(twice);
            match result {
                Ok(report) => total.reports.push(report),
                Err(what) => {
                    println!("seed {number} FAILED: {what}\n  cargo xtask madsim --seed {number}");
                    total.failed.push(number);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..task.jobs {
            scope.spawn(work);
        }
    });
    let total = total
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    tell(task, &total)
}

fn tell(task: &Task, total: &Total) -> bool {
    let sum = |of: fn(&Report) -> u64| total.reports.iter().map(of).sum::<u64>();
    let digests: std::collections::BTreeSet<u64> =
        total.reports.iter().map(|report| report.log.digest).collect();
    let digest = digests.iter().fold(0, |all, digest| all ^ digest);
    let differ = digests.len() == total.reports.len();
    if !differ {
        println!("FAILED: different seeds gave the same log");
    }
    let failed = total.failed.len() as u64 + u64::from(!differ);
    let repeat = format!("cargo xtask madsim --start {} --seeds {}", task.start, task.seeds);
    let simulated_ms = sum(|report| report.simulated.as_millis() as u64);
    let facts = serde_json::json!({
        "what": "runtime on madsim",
        "seeds": task.seeds,
        "simulated_ms": simulated_ms,
        "faults": sum(|report| report.faults),
        "steps": sum(|report| report.log.entries),
        "statements": sum(|report| report.statements),
        "frames": sum(|report| report.frames),
        "connections": sum(|report| report.connections),
        "run_twice": total.twice,
        "digest": format!("{digest:016x}"),
        "failed": failed,
        "command": repeat,
    });
    println!(
        "{} seeds, {failed} failed, {} run twice with the same log, {} s simulated, {} faults, {} connections, {} statements, {} frames, digest {digest:016x}\n{repeat}",
        task.seeds,
        total.twice,
        simulated_ms / 1000,
        facts["faults"],
        facts["connections"],
        facts["statements"],
        facts["frames"],
    );
    if let Some(file) = &task.json
        && let Err(error) = std::fs::write(file, format!("{facts}\n"))
    {
        println!("{}: {error}", file.display());
        return false;
    }
    failed == 0
}

/// Every planted mistake has to be found.
fn planted(json: Option<&Path>) -> bool {
    let mut needed = Vec::new();
    for (mistake, promise) in MISTAKES {
        // A seed that fails without the mistake, too, has not found it.
        let found = (1..=PLANTED_SEEDS).find_map(|seed| {
            let what = world(seed, Some(mistake), false).err()?;
            let is_meant = what.contains(promise);
            (is_meant && world(seed, None, false).is_ok()).then_some((seed, what))
        });
        match found {
            Some((seed, what)) => {
                println!("{mistake:?}: found by seed {seed}: {what}");
                needed.push(seed);
            }
            None => println!("{mistake:?}: NOT FOUND in {PLANTED_SEEDS} seeds"),
        }
    }
    let facts = serde_json::json!({
        "what": "planted mistakes of the runtime",
        "planted": MISTAKES.len(),
        "found": needed.len(),
        "seeds_needed": needed.iter().max(),
        "failed": MISTAKES.len() - needed.len(),
        "command": "cargo xtask madsim --planted",
    });
    let written = json.is_none_or(|path| std::fs::write(path, facts.to_string()).is_ok());
    written && needed.len() == MISTAKES.len()
}
