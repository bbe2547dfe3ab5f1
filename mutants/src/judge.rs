//! Wakes one mutant after the other and looks whether a test notices.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::hints::Hints;
use crate::killers::{self, Killer};
use crate::list::Mutant;

/// A test that takes so many times as long as without a mutant …
const TIMES_SLOWER: u32 = 10;
/// … and this on top does not end: other work on the machine alone does not make that of it.
const PATIENCE: Duration = Duration::from_secs(8);

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

impl Verdict {
    /// By a test.
    const fn is_noticed(self) -> bool {
        match self {
            Self::Caught | Self::TimedOut => true,
            Self::Survived | Self::NeverMet => false,
        }
    }
}

/// So many tests are tried alone, the best first, before the rest of each program is run in one process.
const ALONE: usize = 3;

/// How often which test caught a mutant of which file.
type Catches = BTreeMap<(String, String), u32>;

/// Everything the judges share.
struct Court<'m> {
    killers: &'m [Killer],
    hints: &'m Hints,
    catches: Mutex<Catches>,
    jobs: usize,
}

/// Judges them, several at a time: first by the quick tests, then those that are left by the slow ones.
pub(crate) fn judge<'m>(
    mutants: &[&'m Mutant],
    killers: &'m [Killer],
    hints: &'m Hints,
    jobs: usize,
) -> Vec<(&'m Mutant, Verdict)> {
    let court = Court {
        killers,
        hints,
        catches: Mutex::default(),
        jobs,
    };
    let (left, mut verdicts): (Vec<_>, Vec<_>) = court
        .each(mutants, |mutant| court.quick(mutant))
        .into_iter()
        .partition(|(_, verdict)| *verdict == Verdict::Survived);
    println!("{} of {} are left for the slow tests", left.len(), mutants.len());
    let left: Vec<&Mutant> = left.into_iter().map(|(mutant, _)| mutant).collect();
    verdicts.extend(court.each(&left, |mutant| court.slow(mutant)));
    verdicts.sort_by_key(|(mutant, _)| mutant.id);
    verdicts
}

impl<'m> Court<'m> {
    /// The verdict about each.
    fn each(
        &self,
        mutants: &[&'m Mutant],
        verdict: impl Fn(&Mutant) -> Verdict + Sync,
    ) -> Vec<(&'m Mutant, Verdict)> {
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let verdict = verdict(mutant);
                        if let Ok(mut verdicts) = verdicts.lock() {
                            verdicts.push((*mutant, verdict));
                        }
                    }
                });
            }
        });
        verdicts.into_inner().unwrap_or_default()
    }

    /// The test that caught it before, then the quick ones.
    fn quick(&self, mutant: &Mutant) -> Verdict {
        let order = self.order(mutant);
        if order.is_empty() {
            println!("{}:{} is never met: {}", mutant.file, mutant.line, mutant.key);
            return Verdict::NeverMet;
        }
        let hint = self.hints.of(&mutant.key);
        let is_wanted = |killer: &&Killer| killer.is_quick() || hint == Some(&killer.name);
        let order: Vec<&Killer> = order.into_iter().filter(is_wanted).collect();
        let (alone, rest) = order.split_at(order.len().min(ALONE));
        let mut programs: BTreeMap<&Path, Vec<&Killer>> = BTreeMap::new();
        for &killer in rest {
            programs.entry(killer.program()).or_default().push(killer);
        }
        let alone = alone.iter().map(core::slice::from_ref);
        let verdict = self.first(mutant, alone.chain(programs.values().map(Vec::as_slice)));
        if verdict == Verdict::Survived {
            println!(
                "{}:{} passes the quick tests: {}",
                mutant.file, mutant.line, mutant.key
            );
        }
        verdict
    }

    fn slow(&self, mutant: &Mutant) -> Verdict {
        let order = self.order(mutant);
        let slow: Vec<&Killer> = order.into_iter().filter(|killer| !killer.is_quick()).collect();
        let verdict = self.first(mutant, slow.iter().map(core::slice::from_ref));
        if verdict == Verdict::Survived {
            println!("{}:{} survives: {}", mutant.file, mutant.line, mutant.key);
        }
        verdict
    }

    /// The tests that come by: the one that caught it before, then the quick ones, and those that catch much in its file.
    fn order(&self, mutant: &Mutant) -> Vec<&'m Killer> {
        let catches = self.catches.lock().map(|known| known.clone()).unwrap_or_default();
        let hint = self.hints.of(&mutant.key);
        let reaching = self.killers.iter();
        let mut order: Vec<&Killer> = reaching
            .filter(|killer| killer.reaches.contains(&mutant.id))
            .collect();
        order.sort_by_key(|killer| {
            let caught = catches.get(&(mutant.file.clone(), killer.name.clone()));
            (
                hint != Some(&killer.name),
                killer.takes / (1 + caught.copied().unwrap_or(0)),
            )
        });
        order
    }

    /// Asks sets of tests until one notices.
    fn first<'k>(&self, mutant: &Mutant, sets: impl Iterator<Item = &'k [&'k Killer]>) -> Verdict {
        let mut verdicts = sets.map(|tests| self.ask(mutant, tests));
        verdicts
            .find(|verdict| verdict.is_noticed())
            .unwrap_or(Verdict::Survived)
    }

    /// Several tests in one process may end for a reason that is none of theirs: if none of them is named as failed, each
    /// is asked alone.
    fn ask(&self, mutant: &Mutant, tests: &[&Killer]) -> Verdict {
        let (verdict, printed) = outcome(mutant, tests);
        if !verdict.is_noticed() {
            return verdict;
        }
        let failed: Vec<&str> = killers::failed(&printed).collect();
        let named = tests.iter().find(|killer| failed.contains(&killer.test()));
        match (tests, named) {
            ([catcher], _) | (_, Some(catcher)) => {
                self.note(mutant, catcher);
                verdict
            }
            (_, None) => self.first(mutant, tests.iter().map(core::slice::from_ref)),
        }
    }

    fn note(&self, mutant: &Mutant, catcher: &Killer) {
        self.hints.note(&mutant.key, &catcher.name);
        if let Ok(mut catches) = self.catches.lock() {
            let of_file = (mutant.file.clone(), catcher.name.clone());
            *catches.entry(of_file).or_default() += 1;
        }
    }
}

/// What these tests say, and what they printed.
fn outcome(mutant: &Mutant, tests: &[&Killer]) -> (Verdict, String) {
    let nothing = (Verdict::Survived, String::new());
    let (Some(mut command), Ok(mut output)) = (killers::command(tests), tempfile::tempfile()) else {
        return nothing;
    };
    let Ok(copy) = output.try_clone() else {
        return nothing;
    };
    command.env("COMET_MUTANT", mutant.id.to_string()).stdout(copy);
    let Ok(mut child) = command.spawn() else {
        return nothing;
    };
    let usual: Duration = tests.iter().map(|killer| killer.takes).sum();
    let patience = usual * TIMES_SLOWER + PATIENCE;
    let begun = Instant::now();
    let verdict = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break Verdict::Survived,
            Ok(Some(_)) | Err(_) => break Verdict::Caught,
            Ok(None) if begun.elapsed() > patience => {
                let _ = child.kill();
                let _ = child.wait();
                break Verdict::TimedOut;
            }
            Ok(None) => thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut printed = Vec::new();
    // Without it the next run knows less, nothing else.
    let _ = output.rewind().and_then(|()| output.read_to_end(&mut printed));
    (verdict, String::from_utf8_lossy(&printed).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(id: u32) -> Mutant {
        Mutant {
            id,
            file: "core/src/a.rs".to_owned(),
            line: 1,
            key: format!("core/src/a.rs | a | {id}"),
        }
    }

    /// What a court says that asks two tests of this program in one process.
    fn asked(script: &str) -> Verdict {
        let folder = tempfile::tempdir().expect("a folder");
        let hints = Hints::read(folder.path()).expect("nothing is known");
        let killers = killers::scripted(folder.path(), script, &["a", "b"]);
        let court = Court {
            killers: &killers,
            hints: &hints,
            catches: Mutex::default(),
            jobs: 1,
        };
        let tests: Vec<&Killer> = killers.iter().collect();
        court.ask(&mutant(0), &tests)
    }

    #[test]
    fn tests_of_one_process_are_believed_if_one_is_named() {
        assert_eq!(asked("exit 0"), Verdict::Survived);
        let named = "[ $# -lt 4 ] || { printf '\\nfailures:\\n    b\\n'; exit 101; }";
        assert_eq!(asked(named), Verdict::Caught);
        assert_eq!(asked("[ $# -lt 4 ]"), Verdict::Survived, "none fails alone");
        assert_eq!(asked("[ $3 = a ] && [ $# -lt 4 ]"), Verdict::Caught, "one does");
    }
}
