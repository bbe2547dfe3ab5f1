//! `cargo xtask coverage [SEEDS]`: which regions of the core's decisions no seed of the simulator reaches. Each of
//! them needs a reason in `sim/unreached.txt`; one without a reason, and a reason without a region, fail.
//!
//! A region is what the compiler counts: every arm of a match, every side of `&&` and `?`, every closure. The side of
//! an `if` without `else` that does nothing has no region of its own; stable Rust counts no branches.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::machine::{cargo, command, root, target};
use crate::stage::{Outcome, Stages, run};

/// Seeds that have to reach everything but what has a reason, and nothing of that.
const SEEDS: &str = "2000";
/// Where the core decides. What is left of it are pure functions between bytes and values, which have oracles of
/// their own (docs/testing.md); of them only the share is told.
const DECIDING: [&str; 2] = ["core/src/engine", "core/src/state"];
/// The reasons.
const REASONS: &str = "sim/unreached.txt";

/// Something no seed reached: a stretch of neighbouring regions.
#[derive(PartialEq, Eq, Debug)]
struct Unreached {
    file: String,
    function: String,
    line: usize,
    /// The line before it, if it does not begin with the function, and those it stretches over.
    code: Vec<String>,
}

/// Why something need not be reached.
#[derive(PartialEq, Eq, Debug)]
struct Reason {
    file: String,
    function: String,
    code: Vec<String>,
    text: String,
}

impl Reason {
    /// It holds for the lines it was written for and for a part of them, of which more seeds may reach the rest; not for
    /// what is written beside them later.
    fn explains(&self, unreached: &Unreached) -> bool {
        (&self.file, &self.function) == (&unreached.file, &unreached.function)
            && self
                .code
                .windows(unreached.code.len().max(1))
                .any(|lines| lines == unreached.code)
    }
}

/// How many regions there are and were reached.
#[derive(Clone, Copy, Default)]
struct Share {
    regions: u64,
    reached: u64,
}

/// Measures and judges. `seeds`: how many, `report`: where the JSON goes.
pub(crate) fn coverage(seeds: Option<&str>, report: Option<&str>) -> bool {
    let seeds = seeds.unwrap_or(SEEDS);
    let Some(tools) = tools() else {
        println!("llvm-profdata and llvm-cov are missing: rustup component add llvm-tools");
        println!("coverage: skipped, nothing was measured");
        return true;
    };
    let mut stages = Stages::default();
    let folder = target().join("coverage");
    // A script that is gone must not reach anything any more.
    for old in counted(&folder) {
        if let Err(error) = fs::remove_file(&old) {
            println!("{}: {error}; it would be counted", old.display());
            return false;
        }
    }
    stages.run("instrumented build", || {
        let mut build = cargo(&["build", "--release", "--quiet", "-p", "comet-sim"]);
        run(build
            .env("CARGO_TARGET_DIR", &folder)
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("RUSTFLAGS", "-C instrument-coverage"))
    });
    stages.run("seeds", || run_seeds(&folder, seeds));
    stages.run("unreached regions", || match measure(&tools, &folder) {
        Ok(measured) => judge(&measured, seeds, report),
        Err(error) => {
            println!("{error}");
            Outcome::of(false)
        }
    });
    stages.summary()
}

/// The folder of the compiler's own coverage tools, if they are installed.
pub(crate) fn tools() -> Option<PathBuf> {
    let sysroot = command("rustc", &["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8(sysroot.stdout).ok()?;
    let hosts = fs::read_dir(Path::new(sysroot.trim()).join("lib").join("rustlib")).ok()?;
    let mut folders = hosts.flatten().map(|host| host.path().join("bin"));
    folders.find(|bin| bin.join("llvm-cov").is_file() && bin.join("llvm-profdata").is_file())
}

fn program(folder: &Path) -> PathBuf {
    folder.join("release").join("comet-sim")
}

fn run_seeds(folder: &Path, seeds: &str) -> Outcome {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let counted = run(command(
        program(folder),
        &["run", "--survey", "--seeds", seeds, "--jobs", &jobs.to_string()],
    )
    .env("LLVM_PROFILE_FILE", folder.join("seeds.profraw")));
    // The scripts of past failures are runs, too.
    let scripts = root().join("tests").join("scripts");
    let files = fs::read_dir(scripts).into_iter().flatten().flatten();
    let scripts = files
        .map(|file| file.path())
        .filter(|file| file.extension().is_some_and(|e| e == "txt"));
    scripts.fold(counted, |outcome, script| {
        let raw = folder
            .join(script.file_stem().unwrap_or_default())
            .with_extension("profraw");
        let mut replay = command(program(folder), &["script", "--bare"]);
        let replay = replay.arg(&script).env("LLVM_PROFILE_FILE", raw);
        outcome.and(run(replay.stdout(std::process::Stdio::null())))
    })
}

/// What the runs have counted.
fn counted(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = files.map(|file| file.path());
    files
        .filter(|file| file.extension().is_some_and(|e| e == "profraw"))
        .collect()
}

/// What `llvm-cov` exports.
fn measure(tools: &Path, folder: &Path) -> Result<Value, String> {
    let data = folder.join("seeds.profdata");
    let raw = counted(folder);
    let mut merge = command(tools.join("llvm-profdata"), &["merge", "-sparse", "-o"]);
    if !run(merge.arg(&data).args(raw)).is_ok() {
        return Err("llvm-profdata failed".to_owned());
    }
    let mut export = command(
        tools.join("llvm-cov"),
        &["export", "--format=text", "--skip-functions"],
    );
    export.arg("--instr-profile").arg(&data).arg(program(folder));
    let out = export
        .arg("--sources")
        .arg(root().join("core").join("src"))
        .output();
    let out = out.map_err(|error| format!("llvm-cov: {error}"))?;
    serde_json::from_slice(&out.stdout).map_err(|error| format!("llvm-cov: {error}"))
}

/// Compares what was not reached with the reasons, prints what does not fit, and writes the report.
fn judge(measured: &Value, seeds: &str, report: Option<&str>) -> Outcome {
    let reasons = match reasons(&fs::read_to_string(root().join(REASONS)).unwrap_or_default()) {
        Ok(reasons) => reasons,
        Err(error) => {
            println!("{REASONS}: {error}");
            return Outcome::of(false);
        }
    };
    let (mut unreached, mut deciding, mut rest) = (Vec::new(), Share::default(), Share::default());
    for file in measured["data"][0]["files"].as_array().into_iter().flatten() {
        let path = PathBuf::from(file["filename"].as_str().unwrap_or_default());
        let name = path
            .strip_prefix(root())
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        let share = if DECIDING.iter().any(|start| name.starts_with(start)) {
            let source = fs::read_to_string(&path).unwrap_or_default();
            unreached.extend(stretches(&name, &source, &file["segments"]));
            &mut deciding
        } else {
            &mut rest
        };
        let regions = &file["summary"]["regions"];
        share.regions += regions["count"].as_u64().unwrap_or(0);
        share.reached += regions["covered"].as_u64().unwrap_or(0);
    }
    let unexplained: Vec<_> = unreached
        .iter()
        .filter(|at| !reasons.iter().any(|reason| reason.explains(at)))
        .collect();
    let stale: Vec<_> = reasons
        .iter()
        .filter(|reason| !unreached.iter().any(|at| reason.explains(at)))
        .collect();
    tell(&unexplained, &stale);
    println!(
        "{}: {} of {} regions reached",
        DECIDING.join(", "),
        deciding.reached,
        deciding.regions
    );
    println!("the rest of core/src: {} of {}", rest.reached, rest.regions);
    println!(
        "{} stretches unreached, {} without a reason; {} reasons, {} stale",
        unreached.len(),
        unexplained.len(),
        reasons.len(),
        stale.len()
    );
    // More seeds may reach what has a true reason.
    let is_stale = if seeds == SEEDS { stale.len() } else { 0 };
    let failed = unexplained.len() + is_stale;
    let report_json = json!({
        "what": "regions of the core that the simulator reaches",
        "seeds": seeds.parse::<u64>().unwrap_or(0),
        "regions": deciding.regions,
        "reached": deciding.reached,
        "explained": unreached.len() - unexplained.len(),
        "unexplained": unexplained.len(),
        "stale_reasons": stale.len(),
        "failed": failed,
        "repeat": format!("cargo xtask coverage {seeds}"),
    });
    let written = report.is_none_or(|file| fs::write(file, format!("{report_json}\n")).is_ok());
    Outcome::of(deciding.regions > 0 && failed == 0 && written)
}

fn tell(unexplained: &[&Unreached], stale: &[&Reason]) {
    let quoted = |code: &[String]| {
        code.iter()
            .map(|line| format!("    > {line}\n"))
            .collect::<String>()
    };
    for at in unexplained {
        println!("no seed reaches line {}, say why in {REASONS}:", at.line);
        println!("{} {}\n{}", at.file, at.function, quoted(&at.code));
    }
    for reason in stale {
        println!("reached, changed or gone, remove it from {REASONS}:");
        let code = quoted(&reason.code);
        println!("{} {}\n{code}    {}\n", reason.file, reason.function, reason.text);
    }
}

/// The stretches of regions that were never entered, from llvm-cov's segments: line, column, count, has a count,
/// is a region's entry, is a gap. Between two statements nothing is counted, so a stretch goes on until something was
/// reached, or the function ends.
fn stretches(file: &str, source: &str, segments: &Value) -> Vec<Unreached> {
    let source: Vec<&str> = source.lines().collect();
    let lines: Vec<&str> = source.iter().map(|line| line.trim()).collect();
    // Without the source nobody can say what was not reached.
    let segments = segments.as_array().filter(|_| !lines.is_empty());
    let segments = segments.map_or(&[][..], Vec::as_slice);
    let mut found: Vec<Unreached> = Vec::new();
    let mut open = None;
    for (at, segment) in segments.iter().enumerate() {
        let flag = |at: usize| segment[at].as_bool().unwrap_or(false);
        if flag(5) || !flag(3) {
            continue;
        }
        if segment[2].as_u64() != Some(0) {
            open = None;
            continue;
        }
        let line = number(segment, 0).clamp(1, lines.len());
        let (head, function) = function_at(&lines, line);
        if open != Some(head) {
            open = Some(head);
            found.push(Unreached {
                file: file.to_owned(),
                function,
                line,
                code: Vec::new(),
            });
        }
        let last = line.max(end(&source, segments.get(at + 1).unwrap_or(segment)));
        if let Some(stretch) = found.last_mut() {
            stretch.code = code(&lines, head + 1, stretch.line, last);
        }
    }
    found
}

/// The last line that has something before the place where the next segment begins.
fn end(source: &[&str], next: &Value) -> usize {
    let line = number(next, 0).clamp(1, source.len());
    let text = source[line - 1];
    let before = text.get(..number(next, 1) - 1).unwrap_or(text);
    if before.trim().is_empty() { line - 1 } else { line }
}

/// Lines and columns count from 1.
fn number(segment: &Value, at: usize) -> usize {
    segment[at].as_u64().map_or(1, |number| number.max(1) as usize)
}

/// The lines from the first to the last, behind the one before them in the function that begins at `head`. Comments and
/// ends of blocks say nothing.
fn code(lines: &[&str], head: usize, first: usize, last: usize) -> Vec<String> {
    let says = |line: &&&str| line.contains(char::is_alphanumeric) && !line.starts_with("//");
    let before = lines[head - 1..first - 1].iter().rev().find(says);
    let stretch = lines[first - 1..last].iter().filter(says);
    let told = before.into_iter().chain(stretch);
    told.map(|line| (*line).to_owned()).collect()
}

/// The function around a line: the nearest `fn` at or above it, where it begins and its name.
fn function_at(lines: &[&str], line: usize) -> (usize, String) {
    let name = |(at, code): (usize, &&str)| {
        let (before, rest) = code.split_once("fn ")?;
        let is_head = before.is_empty() || before.ends_with(' ');
        let name = rest.split(['(', '<']).next()?;
        (is_head && !code.starts_with("//")).then(|| (at, name.to_owned()))
    };
    let heads = lines.iter().enumerate().take(line).rev();
    heads.into_iter().find_map(name).unwrap_or_default()
}

/// Reads the file of reasons: a line with file and function, then indented the lines of code behind `> `, then why.
fn reasons(text: &str) -> Result<Vec<Reason>, String> {
    let mut reasons: Vec<Reason> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = line.trim();
        if words.is_empty() || words.starts_with('#') {
            continue;
        }
        if !line.starts_with(' ') {
            let (file, function) = words
                .split_once(' ')
                .ok_or_else(|| format!("line {number}: no function"))?;
            let (file, function) = (file.to_owned(), function.to_owned());
            reasons.push(Reason {
                file,
                function,
                code: Vec::new(),
                text: String::new(),
            });
            continue;
        }
        let reason = reasons
            .last_mut()
            .ok_or_else(|| format!("line {number}: about nothing"))?;
        match words.strip_prefix('>') {
            Some(code) => reason.code.push(code.trim().to_owned()),
            None => reason.text = format!("{} {words}", reason.text).trim().to_owned(),
        }
    }
    match reasons
        .iter()
        .find(|reason| reason.code.is_empty() || reason.text.is_empty())
    {
        Some(reason) => Err(format!(
            "{} {}: no code or no reason",
            reason.file, reason.function
        )),
        None => Ok(reasons),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "//! Head.\n\nfn a(x: bool) {\n    if x {\n        return;\n    }\n}\n";

    #[test]
    fn a_region_that_was_never_entered_is_found_and_explained() {
        let segments = json!([
            [3, 1, 7, true, true, false],
            [4, 10, 0, true, true, false],
            [6, 6, 7, true, false, false],
            [7, 2, 0, false, false, false]
        ]);
        let found = stretches("core/src/a.rs", SOURCE, &segments);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].function.as_str(), found[0].line), ("a", 4));
        let text =
            "core/src/a.rs a\n    > fn a(x: bool) {\n    > if x {\n    > return;\n    Nobody says so.\n";
        let reasons = reasons(text).unwrap();
        assert!(reasons[0].explains(&found[0]));
        assert_eq!(reasons[0].text, "Nobody says so.");
    }

    #[test]
    fn a_reason_does_not_hold_for_what_is_written_beside_it_later() {
        let source =
            |more: &str| format!("fn a() {{\n    b();\n    if c() {{\n        d();\n{more}    }}\n}}\n");
        let never = |source: &str, last: usize| {
            let segments = json!([
                [1, 1, 7, true, true, false],
                [3, 12, 0, true, true, false],
                [last, 6, 7, true, false, false]
            ]);
            stretches("core/src/a.rs", source, &segments).remove(0)
        };
        let reason = Reason {
            file: "core/src/a.rs".to_owned(),
            function: "a".to_owned(),
            code: never(&source(""), 5).code,
            text: "Nobody says so.".to_owned(),
        };
        assert_eq!(reason.code, ["b();", "if c() {", "d();"]);
        assert!(reason.explains(&never(&source("        // Why.\n"), 6)));
        assert!(!reason.explains(&never(&source("        e();\n"), 6)));
        assert!(!reason.explains(&never(&source("").replace("d()", "f()"), 5)));
        assert!(reason.explains(&never(&source(""), 4)), "seeds that reach more");
    }

    #[test]
    fn a_stretch_ends_where_something_was_reached_and_with_its_function() {
        let source = "fn a() {\n    b();\n    c();\n    d();\n}\nfn e() {\n    f();\n}\n";
        let segments = json!([
            [1, 1, 0, true, true, false],
            [1, 8, 0, false, false, false],
            [2, 5, 0, true, true, false],
            [2, 8, 0, false, false, false],
            [3, 5, 1, true, true, false],
            [3, 8, 0, false, false, false],
            [4, 5, 0, true, true, false],
            [6, 1, 0, true, true, false],
            [7, 5, 0, true, true, false]
        ]);
        let found = stretches("core/src/a.rs", source, &segments);
        let places: Vec<_> = found.iter().map(|at| (at.function.as_str(), at.line)).collect();
        assert_eq!(places, [("a", 1), ("a", 4), ("e", 6)]);
    }

    #[test]
    fn a_reason_needs_words() {
        assert!(reasons("core/src/a.rs a\n    > return;\n").is_err());
        assert!(reasons("    > return;\n").is_err());
    }
}
