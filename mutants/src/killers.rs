//! The tests that have to notice: those of the core, the simulator's first seeds, and the golden transcripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tree::{Copy, root};

/// No test may take more memory than this; an endless loop would like to.
const MEMORY_MAX_KIB: u32 = 6 * 1024 * 1024;

/// It asks whether the simulator sees other mistakes, and takes long.
const NO_JUDGE: &str = "planted_bugs_are_found";

/// Tests that take longer are asked when all others have passed, and each in a process of its own.
const QUICK: Duration = Duration::from_millis(600);

/// So many tests are named with their time.
const SLOWEST_TOLD: usize = 8;

/// A compiled program of tests.
#[derive(Debug)]
struct Program {
    name: String,
    path: PathBuf,
    folder: PathBuf,
}

/// One test.
#[derive(Debug)]
pub(crate) struct Killer {
    /// Program and test.
    pub(crate) name: String,
    program: Arc<Program>,
    test: String,
    /// How long it takes when nothing is wrong.
    pub(crate) takes: Duration,
    /// Mutants whose question it asks.
    pub(crate) reaches: BTreeSet<u32>,
}

impl Killer {
    /// Finds out how long it takes and what it meets. False: it fails without any mutant.
    fn look(&mut self, job: usize) -> bool {
        let Some(mut alone) = command(&[self]) else {
            return true;
        };
        let begun = Instant::now();
        let passed = alone.status().is_ok_and(|status| status.success());
        self.takes = begun.elapsed();
        if !passed {
            return false;
        }
        let file = std::env::temp_dir().join(format!("comet-mutants-{}-{job}", std::process::id()));
        // Counting allocations does not go together with writing a file; only what was met matters here.
        let _ = alone.env("COMET_MUTANTS_REACHED", &file).status();
        let met = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        self.reaches = met.lines().filter_map(|line| line.parse().ok()).collect();
        true
    }

    pub(crate) fn is_quick(&self) -> bool {
        self.takes <= QUICK
    }

    /// Its name in its program.
    pub(crate) fn test(&self) -> &str {
        &self.test
    }

    /// The program it is part of; two packages may have one of the same name.
    pub(crate) fn program(&self) -> &Path {
        &self.program.path
    }
}

/// Tests of one program in one process, quiet and with a bound on its memory. None for no tests.
pub(crate) fn command(tests: &[&Killer]) -> Option<Command> {
    let mut command = tests.first()?.program.command();
    command.args(["-q", "--exact"]);
    command.args(tests.iter().map(|killer| &killer.test));
    Some(command)
}

/// The tests that failed, of what such a process has printed.
pub(crate) fn failed(printed: &str) -> impl Iterator<Item = &str> {
    let list = printed.rsplit_once("\nfailures:\n").map_or("", |(_, list)| list);
    list.lines().map_while(|line| line.strip_prefix("    "))
}

impl Program {
    /// Tests that choose by chance choose the same every time.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {MEMORY_MAX_KIB}; exec \"$0\" \"$@\""))
            .arg(&self.path)
            .current_dir(&self.folder)
            .env("RUST_BACKTRACE", "0")
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env("PROPTEST_RNG_SEED", "1")
            .env("INSTA_UPDATE", "no")
            .env("INSTA_FORCE_PASS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The tests in it.
    fn tests(self) -> Result<Vec<Killer>, String> {
        let output = self
            .command()
            .args(["--list", "--format", "terse"])
            .stdout(Stdio::piped())
            .output()
            .map_err(|error| format!("{}: {error}", self.name))?;
        let program = Arc::new(self);
        let tests = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.strip_suffix(": test"))
            .filter(|test| *test != NO_JUDGE)
            .map(|test| Killer {
                name: format!("{} {test}", program.name),
                program: Arc::clone(&program),
                test: test.to_owned(),
                takes: Duration::ZERO,
                reaches: BTreeSet::new(),
            })
            .collect();
        Ok(tests)
    }
}

/// Compiles them, all at once, so that the core is compiled once for all.
pub(crate) fn build(copy: &Copy) -> Result<Vec<Killer>, String> {
    let mut words: Vec<String> = ["test", "--no-run", "--quiet", "--message-format=json", "--lib"]
        .map(str::to_owned)
        .into();
    words.extend(["comet-core", "comet-sim", "comet-tests"].map(|package| format!("--package={package}")));
    let mut tests = vec!["golden".to_owned(), "wire_vectors".to_owned()];
    for package in ["core", "sim"] {
        tests.extend(integration_tests(&root().join(package).join("tests"))?);
    }
    words.extend(tests.iter().map(|test| format!("--test={test}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = copy
        .cargo(&words)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests of the copy do not compile".to_owned());
    }
    let mut killers = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let program = serde_json::from_str(line).ok().as_ref().and_then(program);
        // The rules of the repository know nothing of the core.
        if let Some(program) = program.filter(|program| program.name != "comet_tests") {
            killers.extend(program.tests()?);
        }
    }
    Ok(killers)
}

fn integration_tests(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.path());
    let sources = names.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    Ok(sources
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect())
}

fn program(message: &Value) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    Some(Program {
        name: message["target"]["name"].as_str()?.to_owned(),
        path: PathBuf::from(message["executable"].as_str()?),
        folder: PathBuf::from(message["manifest_path"].as_str()?)
            .parent()?
            .to_path_buf(),
    })
}

/// Runs each twice with no mutant, several at a time: does it pass, how long does it take, and which mutants does it meet?
/// Those that meet none are left out; the quickest come first. One that fails says nothing about any mutant.
pub(crate) fn reach(killers: Vec<Killer>, mutants: usize, jobs: usize) -> Result<Vec<Killer>, String> {
    let waiting = Mutex::new(killers);
    let useful = Mutex::new(Vec::new());
    let failing = Mutex::new(Vec::new());
    let next = || waiting.lock().ok()?.pop();
    thread::scope(|scope| {
        for job in 0..jobs {
            let (next, useful, failing) = (&next, &useful, &failing);
            scope.spawn(move || {
                while let Some(mut killer) = next() {
                    let to = if killer.look(job) { useful } else { failing };
                    if let Ok(mut to) = to.lock() {
                        to.push(killer);
                    }
                }
            });
        }
    });
    let failing = failing.into_inner().unwrap_or_default();
    if !failing.is_empty() {
        let names: Vec<&str> = failing.iter().map(|killer| killer.name.as_str()).collect();
        return Err(format!("these fail without any mutant: {}", names.join(", ")));
    }
    let mut useful: Vec<Killer> = useful.into_inner().unwrap_or_default();
    useful.retain(|killer| !killer.reaches.is_empty());
    useful.sort_by_key(|killer| killer.takes);
    let met: BTreeSet<u32> = useful
        .iter()
        .flat_map(|killer| killer.reaches.iter().copied())
        .collect();
    let takes: Duration = useful.iter().map(|killer| killer.takes).sum();
    println!(
        "{} tests, {:.1} s in all, meet {} of {mutants}; the slowest:",
        useful.len(),
        takes.as_secs_f64(),
        met.len()
    );
    for killer in useful.iter().rev().take(SLOWEST_TOLD) {
        println!(
            "{:7.2} s  {}, meets {}",
            killer.takes.as_secs_f64(),
            killer.name,
            killer.reaches.len()
        );
    }
    pass_together(&useful)?;
    Ok(useful)
}

/// Quick tests of one program are asked in one process. One that minds that would catch every mutant.
fn pass_together(killers: &[Killer]) -> Result<(), String> {
    let mut programs: BTreeMap<&Path, Vec<&Killer>> = BTreeMap::new();
    for killer in killers.iter().filter(|killer| killer.is_quick()) {
        programs.entry(killer.program()).or_default().push(killer);
    }
    for (program, tests) in programs {
        let Some(mut together) = command(&tests) else {
            continue;
        };
        let output = together
            .stdout(Stdio::piped())
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let failed: Vec<&str> = failed(&printed).collect();
            return Err(format!(
                "{}: these pass alone, and not with the others: {}",
                program.display(),
                failed.join(", ")
            ));
        }
    }
    Ok(())
}

/// Quick tests of a program that is a shell script: after `-q --exact` come the names of those to run.
#[cfg(test)]
pub(crate) fn scripted(folder: &Path, script: &str, tests: &[&str]) -> Vec<Killer> {
    // Another process writes it: what a process begun meanwhile has open for writing cannot be run.
    let write = "printf '#!/bin/sh\\n%s\\n' \"$0\" > program && chmod +x program";
    let mut shell = Command::new("sh");
    shell.args(["-c", write, script]).current_dir(folder);
    assert!(shell.status().is_ok_and(|status| status.success()));
    let program = Arc::new(Program {
        name: "program".to_owned(),
        path: folder.join("program"),
        folder: folder.to_owned(),
    });
    let killer = |test: &&str| Killer {
        name: format!("program {test}"),
        program: Arc::clone(&program),
        test: (*test).to_owned(),
        takes: Duration::ZERO,
        reaches: BTreeSet::from([0]),
    };
    tests.iter().map(killer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_mind_their_neighbours_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let killers = |script: &str| scripted(folder.path(), script, &["a", "b"]);
        assert_eq!(pass_together(&killers("exit 0")), Ok(()));
        let minds = killers("[ $# -lt 4 ] || { printf '\\nfailures:\\n    b\\n'; exit 101; }");
        assert_eq!(pass_together(&minds[..1]), Ok(()));
        let told = pass_together(&minds).expect_err("it fails with another");
        assert!(told.ends_with("not with the others: b"), "{told}");
    }

    #[test]
    fn the_last_list_names_what_failed() {
        let printed = "\nrunning 3 tests\n.FF\nfailures:\n\n---- a::b stdout ----\nfailures:\n    no\n\n\
                       failures:\n    a::b\n    c\n\ntest result: FAILED. 1 passed; 2 failed;\n";
        assert_eq!(failed(printed).collect::<Vec<_>>(), ["a::b", "c"]);
        assert_eq!(failed("test result: ok.").count(), 0);
    }
}
