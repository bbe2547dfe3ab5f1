//! An assertion of the core ends the process (release builds abort), so a script that is expected to crash runs in
//! a process of its own.

use std::process::{Command, Stdio};

use comet_sim::Script;
use comet_sim::recording::script::Recorded;

use crate::report::CRASHED;

/// True if this script makes the core assert.
pub(crate) fn crashes(script: &Script) -> bool {
    text_crashes(&script.print())
}

/// True if the core asserts when this recording is played.
pub(crate) fn dies(recorded: &Recorded) -> bool {
    recorded.print().is_ok_and(|text| text_crashes(&text))
}

fn text_crashes(text: &str) -> bool {
    let path = std::env::temp_dir().join(format!("comet-sim-trial-{}.txt", std::process::id()));
    if std::fs::write(&path, text).is_err() {
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
