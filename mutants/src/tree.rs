//! The copy of the workspace that contains all mutants, below `target`, so that it shares the compiled dependencies.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::list::{Listed, Source};
use crate::weave::weave;

/// So often mutants that do not compile are taken out before we give up.
const ROUNDS_MAX: u32 = 30;

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The copy.
pub(crate) struct Copy {
    pub(crate) folder: PathBuf,
    pub(crate) target: PathBuf,
}

impl Copy {
    /// Cargo in the copy: optimised a little, with all assertions.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(words)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo
    }
}

/// Copies every file that git knows and that is not woven.
pub(crate) fn copy(root: &Path, listed: &Listed) -> Result<Copy, String> {
    let target = target(root);
    let folder = target.join("mutants");
    let known = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let woven: BTreeSet<&str> = listed.sources.iter().map(|source| source.file.as_str()).collect();
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    for file in known.lines().filter(|file| !woven.contains(file)) {
        copy_file(&root.join(file), &folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(Copy { folder, target })
}

/// Leaves a file alone that is as it was, so that cargo does not build it again.
fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let Ok(bytes) = fs::read(from) else {
        return Ok(());
    };
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)
}

/// Weaves the mutants in, and takes out again what does not compile. Tells which these are.
pub(crate) fn build(copy: &Copy, listed: &Listed) -> Result<BTreeSet<u32>, String> {
    let mut out = BTreeSet::new();
    let before: Vec<Before> = listed
        .sources
        .iter()
        .filter_map(|source| Before::of(copy, source))
        .collect();
    write_switch(copy, listed.mutants.len())?;
    for _ in 0..ROUNDS_MAX {
        write_sources(copy, listed, &out)?;
        let bad = not_compiling(copy)?;
        if bad.is_empty() {
            before.iter().for_each(Before::restore);
            return Ok(out);
        }
        println!("{} mutants do not compile", bad.len());
        let before = out.len();
        out.extend(bad);
        if out.len() == before {
            return Err("the copy does not compile, for a reason that is no mutant".to_owned());
        }
    }
    Err("too many mutants do not compile".to_owned())
}

/// A woven file as the last run left it.
struct Before {
    path: PathBuf,
    text: String,
    changed: SystemTime,
}

impl Before {
    fn of(copy: &Copy, source: &Source) -> Option<Self> {
        let path = copy.folder.join(&source.file);
        let text = fs::read_to_string(&path).ok()?;
        let changed = fs::metadata(&path).ok()?.modified().ok()?;
        Some(Self { path, text, changed })
    }

    /// What came out as it was is as old as it was, so that cargo does not build it again.
    fn restore(&self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
            && let Ok(file) = fs::File::options().write(true).open(&self.path)
        {
            // At worst it is built again.
            let _ = file.set_modified(self.changed);
        }
    }
}

fn write_sources(copy: &Copy, listed: &Listed, out: &BTreeSet<u32>) -> Result<(), String> {
    for source in &listed.sources {
        let mut text = weave(&source.text, &source.sites, &|id| !out.contains(&id));
        if source.file == "core/src/lib.rs" {
            text = text.replacen(
                "#![forbid",
                "#![allow(warnings, arithmetic_overflow, unconditional_panic, clippy::all)]\n#![forbid",
                1,
            );
            text.push_str("mod mutant;\n");
        }
        write_if_new(&copy.folder.join(&source.file), &text)?;
    }
    Ok(())
}

fn write_if_new(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let written = path.parent().map_or(Ok(()), fs::create_dir_all);
    written
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The question that every mutant asks.
fn write_switch(copy: &Copy, mutants: usize) -> Result<(), String> {
    let text = include_str!("switch.rs.txt").replace("LENGTH", &(mutants + 1).to_string());
    write_if_new(&copy.folder.join("core/src/mutant.rs"), &text)
}

/// Numbers of the mutants that the compiler complains about.
fn not_compiling(copy: &Copy) -> Result<BTreeSet<u32>, String> {
    let output = copy
        .cargo(&["check", "-p", "comet-core", "--message-format=json", "--quiet"])
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let mut bad = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if message["message"]["level"] != "error" {
            continue;
        }
        for span in message["message"]["spans"].as_array().into_iter().flatten() {
            let (Some(file), Some(at)) = (span["file_name"].as_str(), span["byte_end"].as_u64()) else {
                continue;
            };
            bad.extend(mutant_before(&copy.folder.join(file), at as usize));
        }
    }
    if bad.is_empty() && !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(bad)
}

/// The mutant whose question is the last one before a place.
fn mutant_before(path: &Path, at: usize) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    let question = "mutant::made(";
    let begin = text.get(..at)?.rfind(question)? + question.len();
    let digits: String = text[begin..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
