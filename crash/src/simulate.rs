//! The commands that need no real server: many seeds, every operation, known mistakes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use comet_server::config::Durability;
use comet_sim::prng::Prng;

use crate::args::{Every, Planted, Seeds};
use crate::disk::Disk;
use crate::plan::{Betrayal, End, Plan};
use crate::planted::Bug;
use crate::report::Report;
use crate::story::Story;
use crate::world::{self, Finding, Harm, Tally, World};

/// The sum of many runs.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    tally: Tally,
    harms: BTreeMap<(Betrayal, Harm), u64>,
    findings: Vec<(u64, Finding)>,
}

impl Sum {
    fn add(&mut self, run: u64, outcome: Result<Tally, Finding>) {
        self.runs += 1;
        match outcome {
            Ok(tally) => {
                self.tally.add(&tally);
                if let Some(harm) = tally.harm {
                    *self.harms.entry(harm).or_default() += 1;
                }
            }
            Err(finding) => self.findings.push((run, finding)),
        }
    }

    fn crashes(&self) -> u64 {
        self.tally.power_cuts + self.tally.kills
    }

    fn report(&self, what: &str) -> Report {
        let mut report = Report::new(what)
            .number("seeds", self.runs)
            .number("steps", self.tally.operations)
            .number("faults", self.tally.faults + self.crashes())
            .number("failed", self.findings.len() as u64)
            .number("power_cuts", self.tally.power_cuts)
            .number("kills", self.tally.kills)
            .number("commits", self.tally.commits)
            .number("records", self.tally.records)
            .number("records_checked", self.tally.checked);
        for ((betrayal, harm), count) in &self.harms {
            report = report.number(&format!("{}_{}", betrayal.label(), harm.label()), *count);
        }
        report
    }
}

thread_local! {
    /// The seed that this thread runs.
    static RUNNING: Cell<Option<u64>> = const { Cell::new(None) };
}

/// An assertion of the server ends the whole run.
fn tell_the_seed_of_a_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(seed) = RUNNING.get() {
            eprintln!("comet-crash disk --seed {seed}");
        }
        usual(panic);
    }));
}

/// A world per seed. True if nothing was found.
pub(crate) fn seeds(args: &Seeds) -> Result<bool, String> {
    let (first, count) = match args.seed {
        Some(seed) => (seed, 1),
        None => (args.start, args.seeds),
    };
    tell_the_seed_of_a_panic();
    let started = Instant::now();
    let budget = args.time_budget.map(Duration::from_secs);
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + count || budget.is_some_and(|budget| started.elapsed() >= budget) {
                        return;
                    }
                    RUNNING.set(Some(seed));
                    let outcome = world::run(seed);
                    sum.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .add(seed, outcome);
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.findings.sort();
    for (seed, finding) in &sum.findings {
        println!("seed {seed}: {finding}\n  comet-crash disk --seed {seed}");
    }
    for ((betrayal, harm), count) in &sum.harms {
        println!("{}: {} in {count} worlds", betrayal.label(), harm.label());
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {} failed, {} crashes ({} power cuts), {} commits, {} file operations, {} faults, {:.0} crashes/s",
        sum.runs,
        sum.findings.len(),
        sum.crashes(),
        sum.tally.power_cuts,
        sum.tally.commits,
        sum.tally.operations,
        sum.tally.faults,
        sum.crashes() as f64 / seconds,
    );
    let again = match args.seed {
        Some(seed) => format!("comet-crash disk --seed {seed}"),
        None => format!("comet-crash disk --start {first} --seeds {}", sum.runs),
    };
    println!("{again}");
    sum.report("crashes of a simulated disk")
        .text("command", &again)
        .write(args.json.as_deref())?;
    if sum.runs == 0 {
        return Err("nothing was run".to_owned());
    }
    Ok(sum.findings.is_empty())
}

/// The workload of `every`: always the same operations, since nothing but the crash is left to chance.
fn workload(args: &Every) -> Plan {
    Plan {
        durability: Durability::Fsync,
        power: true,
        lives: 1,
        commits: Some(args.commits),
        batch: 4,
        checkpoint_pages: 20,
        reach: 1,
        io_errors: 0,
        fills: false,
        betrayal: None,
    }
}

/// One run of the workload: three lives, of which the first and the second end in order, and a crash somewhere.
fn crash_at(story: &Story, plan: &Plan, at: Option<u64>, way: u64) -> Result<(Tally, bool), Finding> {
    let disk = Disk::new(Prng::keyed(way, at.unwrap_or(0)));
    let mut world = World::new(story, disk, plan.clone(), None, Prng::keyed(1, 2));
    let mut crashed = false;
    for _ in 0..3 {
        // One way in four is the death of the process alone.
        let end = if way % 4 == 3 { End::Kill } else { End::Power };
        crashed = world.life_until(at, end)?;
        if crashed {
            break;
        }
    }
    // It goes on after the crash.
    world.life_until(None, End::Stop)?;
    world.last_look()?;
    Ok((world.finish(), crashed))
}

/// Every operation of a small workload. True if nothing was found.
pub(crate) fn every(args: &Every) -> Result<bool, String> {
    let started = Instant::now();
    let story = Story::of(args.seed, 60);
    let plan = workload(args);
    let mut sum = Sum::default();
    let mut points = 0;
    loop {
        let mut reached = false;
        for way in 0..args.ways.max(1) {
            let outcome = crash_at(&story, &plan, Some(points + 1), way);
            reached = !matches!(outcome, Ok((_, false)));
            if !reached {
                break;
            }
            sum.add(points + 1, outcome.map(|(tally, _)| tally));
        }
        if !reached {
            break;
        }
        points += 1;
    }
    for (at, finding) in &sum.findings {
        println!("crash at operation {at}: {finding}");
    }
    println!(
        "{points} file operations, {} crashes, {} failed, {:.0} crashes/s\ncomet-crash every --seed {} --commits {} --ways {}",
        sum.runs,
        sum.findings.len(),
        sum.runs as f64 / started.elapsed().as_secs_f64(),
        args.seed,
        args.commits,
        args.ways,
    );
    sum.report("a crash at every file operation of the store")
        .number("points", points)
        .number("seed", args.seed)
        .write(args.json.as_deref())?;
    Ok(sum.findings.is_empty() && points > 0)
}

/// The mistake alone makes this seed fail.
fn tells(seed: u64, bug: Bug) -> bool {
    world::run_with(seed, Some(bug)).is_err() && world::run_with(seed, None).is_ok()
}

/// Every known mistake. True if each was found.
pub(crate) fn planted(args: &Planted) -> Result<bool, String> {
    let mut found = 0;
    for bug in Bug::ALL {
        let seed = (1..=args.seeds).find(|seed| tells(*seed, bug));
        match seed {
            Some(seed) => {
                found += 1;
                println!("found after {seed:>4} seeds: {}", bug.label());
            }
            None => println!("NOT FOUND in {} seeds: {}", args.seeds, bug.label()),
        }
    }
    let all = Bug::ALL.len() as u64;
    println!(
        "{found} of {all} planted mistakes of the store found\ncomet-crash planted --seeds {}",
        args.seeds
    );
    Report::new("planted mistakes of the store")
        .number("planted", all)
        .number("found", found)
        .number("failed", all - found)
        .write(args.json.as_deref())?;
    Ok(found == all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_seeds(start: u64, seeds: u64) -> Seeds {
        Seeds {
            seeds,
            start,
            seed: None,
            jobs: 1,
            time_budget: None,
            json: None,
        }
    }

    /// S10, S11, appendix B: what was reported as persisted survives every kind of crash.
    #[test]
    fn nothing_acknowledged_is_missing_in_the_first_seeds() {
        assert_eq!(seeds(&some_seeds(1, 25)), Ok(true));
    }

    #[test]
    fn who_had_no_time_for_a_single_seed_has_proven_nothing() {
        let mut none = some_seeds(1, 25);
        none.time_budget = Some(0);
        assert!(seeds(&none).is_err());
    }

    #[test]
    fn a_crash_at_every_operation_loses_nothing() {
        let args = Every {
            seed: 1,
            commits: 3,
            ways: 2,
            json: None,
        };
        assert_eq!(every(&args), Ok(true));
    }

    #[test]
    fn known_mistakes_are_found() {
        assert_eq!(
            planted(&Planted {
                seeds: 100,
                json: None
            }),
            Ok(true)
        );
    }

    #[test]
    fn a_seed_repeats_itself() {
        let run = |seed| format!("{:?}", world::run(seed));
        for seed in [3, 4, 5] {
            assert_eq!(run(seed), run(seed));
        }
    }
}
