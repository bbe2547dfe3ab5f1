//! `cargo deny`: licences, duplicate and yanked crates, known vulnerabilities. The advisory database comes over the
//! network; where that is impossible the rest is checked and the gap is said aloud.

use crate::machine::{cargo, has, succeeds};
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
        return rest;
    }
    rest.and(run(cargo(&quiet).arg("advisories")))
}
