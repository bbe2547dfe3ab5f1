//! The browser's side: the client's package (types, build, unit tests) and the tests in a real Chromium. Needs Node and
//! npm, which it names if they are missing; installs the rest.
//!
//! It knows the commands and how their runners count; what is tested lives in `client/`.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::{apt, command, has, release, root};
use crate::stage::{Outcome, run, run_counted};

/// Oldest Node that the tools of the package run on: major and minor.
const NODE_MIN: (u32, u32) = (20, 19);

/// Programs of the browser, best first.
const BROWSERS: [&str; 3] = ["chromium", "google-chrome", "chromium-browser"];

/// Types, build and unit tests of the client.
pub(crate) fn client() -> Outcome {
    if !packages() {
        return Outcome::of(false);
    }
    let types = run(&mut npm(&["run", "--silent", "typecheck"]));
    // The committed files are what the sources give, and small enough; prints the sizes.
    let build = run(&mut in_client("node", &["build.mjs", "--check"]));
    let units = run_counted(&mut npm(&["run", "--silent", "test"]), vitest_result);
    types.and(build).and(units)
}

/// Pages in a real browser against the release build of the server.
pub(crate) fn browser() -> Outcome {
    if !packages() || !chromium() {
        return Outcome::of(false);
    }
    let mut tests = npm(&["run", "--silent", "browser"]);
    tests.env("COMET_SERVER_BIN", release("comet-server"));
    run_counted(&mut tests, playwright_result)
}

fn folder() -> PathBuf {
    root().join("client")
}

fn in_client(program: &str, args: &[&str]) -> Command {
    let mut command = command(program, args);
    // Colours would hide the counts.
    command
        .current_dir(folder())
        .env("NO_COLOR", "1")
        .env_remove("FORCE_COLOR");
    command
}

fn npm(args: &[&str]) -> Command {
    in_client("npm", args)
}

/// The packages of the lock file are installed; installs them if there are none or the lock file is another one.
fn packages() -> bool {
    if !node() {
        return false;
    }
    let lock = std::fs::read(folder().join("package-lock.json")).unwrap_or_default();
    let installed = folder().join("node_modules").join(".installed-lock");
    if std::fs::read(&installed).is_ok_and(|before| before == lock) {
        return true;
    }
    let done = run(&mut npm(&["ci", "--no-audit", "--no-fund"])).is_ok();
    if done && let Err(error) = std::fs::write(&installed, &lock) {
        println!("cannot write {}: {error}", installed.display());
    }
    done
}

/// Node and npm are there and new enough.
fn node() -> bool {
    let there = ["node", "npm"].into_iter().all(has);
    if !there && !apt(&["nodejs", "npm"]) {
        println!(
            "MISSING: Node {}.{} or newer with npm (https://nodejs.org)",
            NODE_MIN.0, NODE_MIN.1
        );
        return false;
    }
    let told = command("node", &["--version"]).output();
    let told = told.map(|out| out.stdout).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    let enough = node_version(&told).is_some_and(|version| version >= NODE_MIN);
    if !enough {
        println!(
            "MISSING: Node {}.{} or newer (https://nodejs.org); this one is {}",
            NODE_MIN.0,
            NODE_MIN.1,
            told.trim()
        );
    }
    enough
}

fn chromium() -> bool {
    let there = std::env::var_os("COMET_CHROMIUM").is_some() || BROWSERS.iter().any(|name| has(name));
    if !there && !apt(&["chromium"]) {
        println!("MISSING: Chromium or Chrome; COMET_CHROMIUM names one that is not on PATH");
        return false;
    }
    true
}

/// `v20.19.1` is 20 and 19.
fn node_version(told: &str) -> Option<(u32, u32)> {
    let mut numbers = told
        .trim()
        .strip_prefix('v')?
        .split('.')
        .map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Reads Vitest's line `Tests  1 failed | 11 passed | 2 skipped (14)`.
fn vitest_result(line: &str) -> Option<Outcome> {
    let counts = line.trim().strip_prefix("Tests  ")?.split_once(" (")?.0;
    let parts = counts.split('|').filter_map(|part| counted(part.trim()));
    Some(parts.fold(Outcome::default(), Outcome::and))
}

/// Reads one of Playwright's closing lines, such as `50 passed (1.2m)`. What was not run because of an earlier failure
/// has not passed.
fn playwright_result(line: &str) -> Option<Outcome> {
    let line = line.trim();
    counted(line.split_once(" (").map_or(line, |(counts, _)| counts))
}

fn counted(part: &str) -> Option<Outcome> {
    let (number, word) = part.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "passed" => Some(Outcome {
            passed: number,
            failed: 0,
        }),
        "failed" | "flaky" | "interrupted" | "did not run" => Some(Outcome {
            passed: 0,
            failed: number,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_runners() {
        let both = Outcome {
            passed: 11,
            failed: 1,
        };
        assert_eq!(
            vitest_result("      Tests  1 failed | 11 passed | 2 skipped (14)"),
            Some(both)
        );
        assert_eq!(vitest_result(" Test Files  1 failed | 24 passed (25)"), None);
        assert_eq!(vitest_result(" ✓ test/wire.test.ts (12 tests) 40ms"), None);
        assert_eq!(
            playwright_result("  50 passed (1.2m)"),
            Some(Outcome {
                passed: 50,
                failed: 0
            })
        );
        assert_eq!(
            playwright_result("  3 did not run"),
            Some(Outcome { passed: 0, failed: 3 })
        );
        assert_eq!(playwright_result("  1 skipped"), None);
        assert_eq!(
            playwright_result("  ✓  1 e2e/a.spec.ts:9:1 › a page (4.8s)"),
            None
        );
    }

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(node_version("v20.19.1\n"), Some((20, 19)));
        assert_eq!(node_version("v24.0.0"), Some((24, 0)));
        assert_eq!(node_version(""), None);
        assert!(node_version("v18.20.4") < Some(NODE_MIN));
    }
}
