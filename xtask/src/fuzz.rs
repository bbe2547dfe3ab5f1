//! Fuzzing: builds the libFuzzer shells once, runs each for some seconds within bounds of memory and time per input,
//! counts what was executed, keeps what is worth keeping and what failed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::machine::{cargo, command, root, target};
use crate::stage::{Outcome, run};

/// Longest input, bytes; the same as of an input in the repository (`fuzz/tests/replay.rs`).
const INPUT_BYTES_MAX: usize = 4096;
/// All inputs of one target in the repository, bytes.
const CORPUS_BYTES_MAX: u64 = 130_000;
/// And their number.
const CORPUS_INPUTS_MAX: usize = 300;
/// What one input may cost: seconds, MiB of the process, MiB at once.
const BOUNDS: [&str; 3] = ["-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=256"];

/// What becomes of new inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Corpus {
    /// The repository stays as it is.
    Kept,
    /// Inputs that reach something new go to `fuzz/corpus`, as few and as short as possible.
    Grown,
}

/// Fuzzes every target for so many seconds. The report counts executions and finds by target.
pub(crate) fn fuzz(seconds: &str, corpus: Corpus, json: Option<&Path>) -> Outcome {
    let shells = shells();
    if shells.is_empty() || !build() {
        return Outcome::of(false);
    }
    let mut report = Map::new();
    let (mut executions, mut finds) = (0, 0);
    let mut total = Outcome::default();
    for (shell, ran) in shells.iter().zip(all(&shells, seconds)) {
        executions += ran.executions;
        finds += ran.finds;
        report.insert(format!("executions_{shell}"), json!(ran.executions));
        total = total.and(Outcome::of(ran.clean));
        if corpus == Corpus::Grown && ran.clean {
            grow(shell);
        }
    }
    for (name, value) in [
        ("what", json!("fuzzing")),
        ("targets", json!(shells.len())),
        ("seconds_each", json!(seconds.parse::<u64>().unwrap_or_default())),
        ("executions", json!(executions)),
        ("finds", json!(finds)),
        ("failed", json!(total.failed)),
    ] {
        report.insert(name.to_owned(), value);
    }
    println!(
        "{executions} executions of {} targets, {finds} finds",
        shells.len()
    );
    let written = json.is_none_or(|file| fs::write(file, format!("{}\n", Value::Object(report))).is_ok());
    total.and(Outcome {
        passed: 0,
        failed: u64::from(!written),
    })
}

/// The names of the targets, in order.
fn shells() -> Vec<String> {
    let folder = libfuzzer().join("fuzz_targets");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn libfuzzer() -> PathBuf {
    root().join("fuzz").join("libfuzzer")
}

/// What makes the compiler count what an input reaches, as libFuzzer wants it; the same words as cargo-fuzz has. No
/// sanitizer: the address sanitizer needs a nightly compiler, and there is no unsafe code of ours to look at.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Ccodegen-units=1";

fn build() -> bool {
    // With a target named, flags are not for build scripts.
    let host = host();
    let mut build = cargo(&["build", "--quiet", "--release", "--target", &host]);
    build.env("RUSTFLAGS", INSTRUMENTED);
    run(build.current_dir(libfuzzer())).is_ok()
}

/// The program of a target, where cargo puts it.
fn program(shell: &str) -> PathBuf {
    target().join(host()).join("release").join(shell)
}

/// This machine's name for the compiler.
fn host() -> String {
    let told = command("rustc", &["-vV"]).output().map(|out| out.stdout);
    let told = String::from_utf8_lossy(&told.unwrap_or_default()).into_owned();
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_default().to_owned()
}

struct Ran {
    executions: u64,
    finds: u64,
    clean: bool,
}

/// As many at a time as there are processors; in the order of the names.
fn all(shells: &[String], seconds: &str) -> Vec<Ran> {
    let waiting = Mutex::new(shells.iter().enumerate());
    let next = || waiting.lock().ok()?.next();
    let work = || {
        let turns = std::iter::from_fn(next);
        turns
            .map(|(at, shell)| (at, one(shell, seconds)))
            .collect::<Vec<_>>()
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut ran: Vec<(usize, Ran)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| worker.join());
        done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    ran.sort_by_key(|(at, _)| *at);
    ran.into_iter().map(|(_, ran)| ran).collect()
}

fn one(shell: &str, seconds: &str) -> Ran {
    let failed = Ran {
        executions: 0,
        finds: 0,
        clean: false,
    };
    let found = target().join("fuzz-found").join(shell);
    let crashes = target().join("fuzz-crashes").join(shell);
    for folder in [&found, &crashes] {
        if let Err(error) = fs::create_dir_all(folder) {
            println!("cannot make {}: {error}", folder.display());
            return failed;
        }
    }
    let mut fuzz = Command::new(program(shell));
    // New inputs go to the first folder; the others are read.
    fuzz.arg(&found).args(kept(shell)).args(BOUNDS).args([
        format!("-max_len={INPUT_BYTES_MAX}"),
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", crashes.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    let (executions, clean) = watched(&mut fuzz);
    let finds = keep_finds(shell, &crashes);
    println!("{shell}: {executions} executions in {seconds} s, {finds} finds");
    Ran {
        executions,
        finds,
        // Without executions it was not understood, or did nothing.
        clean: clean && finds == 0 && executions > 0,
    }
}

/// The folders of the repository with inputs of this target.
fn kept(shell: &str) -> Vec<PathBuf> {
    let of = |kind: &str| root().join("fuzz").join(kind).join(shell);
    let mut folders = vec![of("corpus"), of("regressions")];
    folders.retain(|folder| folder.is_dir());
    folders
}

/// Runs libFuzzer; shows what is not its usual chatter, and counts what it executed.
fn watched(fuzz: &mut Command) -> (u64, bool) {
    let Ok(mut child) = fuzz.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() else {
        println!("cannot start {}", fuzz.get_program().to_string_lossy());
        return (0, false);
    };
    let mut executions = 0;
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|out| BufReader::new(out).split(b'\n'))
    {
        let line = String::from_utf8_lossy(&line.unwrap_or_default()).into_owned();
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = count.trim().parse().unwrap_or_default();
        } else if !line.starts_with(['#', '\t']) && !line.starts_with("stat::") && !line.starts_with("INFO:")
        {
            println!("  {line}");
        }
    }
    (executions, child.wait().is_ok_and(|status| status.success()))
}

/// Moves what failed into `fuzz/regressions`, where it is replayed for ever.
fn keep_finds(shell: &str, crashes: &Path) -> u64 {
    let home = root().join("fuzz").join("regressions").join(shell);
    let mut finds = 0;
    for find in fs::read_dir(crashes).into_iter().flatten().flatten() {
        let kept = home.join(find.file_name());
        let moved = fs::create_dir_all(&home).is_ok()
            && fs::copy(find.path(), &kept).is_ok()
            && fs::remove_file(find.path()).is_ok();
        println!(
            "FOUND: {}{}",
            kept.display(),
            if moved { "" } else { " (not copied)" }
        );
        println!("       cargo test -p comet-fuzz every_past_find");
        finds += 1;
    }
    finds
}

/// Lets libFuzzer choose the fewest and shortest inputs that reach everything, and keeps those that fit.
fn grow(shell: &str) {
    let chosen = target().join("fuzz-chosen").join(shell);
    let _ = fs::remove_dir_all(&chosen);
    if fs::create_dir_all(&chosen).is_err() {
        return;
    }
    let corpus = root().join("fuzz").join("corpus").join(shell);
    let mut merge = Command::new(program(shell));
    merge
        .arg("-merge=1")
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .args(BOUNDS);
    merge
        .arg(&chosen)
        .args(kept(shell))
        .arg(target().join("fuzz-found").join(shell));
    if !watched(&mut merge).1 {
        println!("{shell}: the corpus stays as it is");
        return;
    }
    let mut inputs: Vec<(u64, PathBuf)> = fs::read_dir(&chosen)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())))
        .collect();
    // The shortest ones reach most, and most quickly.
    inputs.sort();
    inputs.truncate(CORPUS_INPUTS_MAX);
    let mut room = CORPUS_BYTES_MAX;
    inputs.retain(|(length, _)| {
        let fits = *length <= room;
        room -= if fits { *length } else { 0 };
        fits
    });
    let _ = fs::remove_dir_all(&corpus);
    let copied = fs::create_dir_all(&corpus).is_ok()
        && inputs.iter().all(|(_, path)| {
            path.file_name()
                .is_some_and(|name| fs::copy(path, corpus.join(name)).is_ok())
        });
    println!(
        "{shell}: {} inputs of {} bytes{}",
        inputs.len(),
        CORPUS_BYTES_MAX - room,
        if copied { "" } else { ", NOT all copied" }
    );
}
