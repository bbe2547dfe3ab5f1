//! The programs that have to notice: every test of the core, the simulator's first seeds, the fuzzers' corpora and the
//! golden transcripts.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tree::Copy;

/// No test may take more memory than this; an endless loop would like to.
const MEMORY_MAX_KIB: u32 = 6 * 1024 * 1024;

/// One test program.
#[derive(Debug)]
pub(crate) struct Killer {
    pub(crate) name: String,
    program: PathBuf,
    folder: PathBuf,
    /// How long it takes when nothing is wrong.
    pub(crate) takes: Duration,
    /// Mutants whose question it asks.
    pub(crate) reaches: BTreeSet<u32>,
}

impl Killer {
    /// The program, quiet and with a bound on its memory.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -v {MEMORY_MAX_KIB}; exec \"$0\" -q"))
            .arg(&self.program)
            .current_dir(&self.folder)
            .env("RUST_BACKTRACE", "0")
            .env("PROPTEST_FAILURE_PERSISTENCE", "off")
            .env("INSTA_UPDATE", "no")
            .env("INSTA_FORCE_PASS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// Compiles them.
pub(crate) fn build(copy: &Copy) -> Result<Vec<Killer>, String> {
    let mut killers = Vec::new();
    for selection in [
        &[
            "-p",
            "comet-core",
            "-p",
            "comet-sim",
            "-p",
            "comet-fuzz",
            "--lib",
            "--tests",
        ][..],
        &["-p", "comet-tests", "--test", "golden", "--test", "wire_vectors"],
    ] {
        let output = copy
            .cargo(&["test", "--no-run", "--quiet", "--message-format=json"])
            .args(selection)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo: {error}"))?;
        if !output.status.success() {
            return Err("the tests of the copy do not compile".to_owned());
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            killers.extend(serde_json::from_str(line).ok().as_ref().and_then(killer));
        }
    }
    Ok(killers)
}

fn killer(message: &Value) -> Option<Killer> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    Some(Killer {
        name: message["target"]["name"].as_str()?.to_owned(),
        program: PathBuf::from(message["executable"].as_str()?),
        folder: PathBuf::from(message["manifest_path"].as_str()?)
            .parent()?
            .to_path_buf(),
        takes: Duration::ZERO,
        reaches: BTreeSet::new(),
    })
}

/// Runs each twice with no mutant: does it pass, how long does it take, and which mutants does it meet? The quickest come first.
pub(crate) fn reach(killers: Vec<Killer>, mutants: usize) -> Vec<Killer> {
    let mut useful = Vec::new();
    for mut killer in killers {
        let begun = Instant::now();
        let passed = killer.command().status().is_ok_and(|status| status.success());
        killer.takes = begun.elapsed();
        if !passed {
            println!("{} fails without any mutant and is left out", killer.name);
            continue;
        }
        let file = std::env::temp_dir().join(format!("comet-mutants-{}-{}", killer.name, std::process::id()));
        // Counting allocations does not go together with writing a file; only what was met matters here.
        let _ = killer.command().env("COMET_MUTANTS_REACHED", &file).status();
        let met = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(&file);
        killer.reaches = met.lines().filter_map(|line| line.parse().ok()).collect();
        println!(
            "{:24} {:6.2} s, meets {} of {mutants}",
            killer.name,
            killer.takes.as_secs_f64(),
            killer.reaches.len()
        );
        useful.push(killer);
    }
    useful.sort_by_key(|killer| killer.takes);
    useful
}
