//! `cargo deny`: licences, duplicate and yanked crates, known vulnerabilities; `npm audit` for what the client is built
//! with. What is known of vulnerabilities comes over the network; where that is impossible the rest is checked and the
//! gap is said aloud.

use crate::machine::{cargo, command, has, succeeds};
use crate::stage::{Outcome, run};

pub(crate) fn check() -> Outcome {
    if !has("cargo-deny") {
        println!("cargo-deny is missing: installing it with `cargo install --locked cargo-deny`");
        if !run(&mut cargo(&["install", "--locked", "--quiet", "cargo-deny"])).is_ok() {
            return Outcome::of(false);
        }
    }
    let quiet = ["deny", "--log-level", "error", "check"];
    let rest = run(cargo(&quiet).args(["licenses", "bans", "sources"]));
    if !succeeds(env!("CARGO"), &["deny", "fetch", "db"]) {
        println!("ADVISORIES NOT CHECKED: the advisory database cannot be fetched from this machine");
        return rest.and(packages());
    }
    rest.and(run(cargo(&quiet).arg("advisories"))).and(packages())
}

/// The packages of `client/package-lock.json`; the client itself has none at run time.
fn packages() -> Outcome {
    let mut audit = command(
        "npm",
        &["audit", "--package-lock-only", "--audit-level=high", "--json"],
    );
    audit.current_dir(crate::machine::root().join("client"));
    let Ok(output) = audit.output() else {
        println!("NPM ADVISORIES NOT CHECKED: there is no npm on this machine");
        return Outcome::of(true);
    };
    let report = String::from_utf8_lossy(&output.stdout);
    if !report.contains("\"auditReportVersion\"") {
        println!("NPM ADVISORIES NOT CHECKED: the registry does not answer `npm audit`");
        return Outcome::of(true);
    }
    if !output.status.success() {
        println!("{report}");
    }
    Outcome::of(output.status.success())
}
