//! Wakes one mutant after the other and looks whether a test notices.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::killers::Killer;
use crate::list::Mutant;

/// What became of a mutant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// A test failed.
    Caught,
    /// A test did not end.
    TimedOut,
    /// All tests passed.
    Survived,
    /// No test comes by.
    NeverMet,
}

/// Judges them, several at a time. What the time budget does not allow is missing from the result.
pub(crate) fn judge<'m>(
    mutants: &[&'m Mutant],
    killers: &[Killer],
    jobs: usize,
    time_budget: Option<u64>,
) -> Vec<(&'m Mutant, Verdict)> {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if time_budget.is_some_and(|most| begun.elapsed() > Duration::from_secs(most)) {
                        break;
                    }
                    let verdict = verdict(mutant, killers);
                    if matches!(verdict, Verdict::Survived | Verdict::NeverMet) {
                        println!("{}:{} survives: {}", mutant.file, mutant.line, mutant.key);
                    }
                    if let Ok(mut verdicts) = verdicts.lock() {
                        verdicts.push((*mutant, verdict));
                    }
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_default();
    verdicts.sort_by_key(|(mutant, _)| mutant.id);
    verdicts
}

fn verdict(mutant: &Mutant, killers: &[Killer]) -> Verdict {
    let mut met = false;
    for killer in killers
        .iter()
        .filter(|killer| killer.reaches.contains(&mutant.id))
    {
        met = true;
        match outcome(mutant, killer) {
            Verdict::Survived | Verdict::NeverMet => {}
            end @ (Verdict::Caught | Verdict::TimedOut) => return end,
        }
    }
    if met { Verdict::Survived } else { Verdict::NeverMet }
}

fn outcome(mutant: &Mutant, killer: &Killer) -> Verdict {
    let Ok(mut child) = killer
        .command()
        .env("COMET_MUTANT", mutant.id.to_string())
        .spawn()
    else {
        return Verdict::Survived;
    };
    let patience = killer.takes * 8 + Duration::from_secs(10);
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Verdict::Survived,
            Ok(Some(_)) | Err(_) => return Verdict::Caught,
            Ok(None) if begun.elapsed() > patience => {
                let _ = child.kill();
                let _ = child.wait();
                return Verdict::TimedOut;
            }
            Ok(None) => thread::sleep(Duration::from_millis(3)),
        }
    }
}
