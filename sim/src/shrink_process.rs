//! An assertion of the core ends the process (release builds abort), so a script that is expected to crash runs in
//! a process of its own.

use std::process::{Command, Stdio};

use comet_sim::Script;

use crate::report::CRASHED;

/// True if this script makes the core assert.
pub(crate) fn crashes(script: &Script) -> bool {
    let path = std::env::temp_dir().join(format!("comet-sim-trial-{}.txt", std::process::id()));
    if std::fs::write(&path, script.print()).is_err() {
        return false;
    }
    let Ok(me) = std::env::current_exe() else {
        return false;
    };
    let trial = Command::new(me)
        .args(["script", "--bare"])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = std::fs::remove_file(&path);
    trial.is_ok_and(|status| status.code() == Some(CRASHED))
}
