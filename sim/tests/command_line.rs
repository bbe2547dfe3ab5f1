//! The program refuses to be content with nothing: a run of no seed proves nothing (docs/testing.md).

use std::process::Command;

fn succeeds(words: &[&str]) -> bool {
    let program = Command::new(env!("CARGO_BIN_EXE_comet-sim")).args(words).output();
    program.expect("comet-sim starts").status.success()
}

#[test]
fn a_run_of_nothing_is_an_error() {
    assert!(succeeds(&["run", "--seeds", "1"]));
    for nothing in [
        &["run", "--seeds", "0"][..],
        &["run", "--seeds", "9", "--time-budget", "0"],
        &["planted", "--seeds", "0"],
        &["replay", "/dev/null"],
        &["script", "/dev/null"],
    ] {
        assert!(!succeeds(nothing), "{nothing:?}");
    }
}
