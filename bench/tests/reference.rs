//! The load generator against its own reference loop: the whole path of a fan-out measurement, judged by what arrived and
//! never by how fast.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comet-bench"))
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn json(output: &Output) -> Value {
    let shown = || {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown()))
}

#[test]
fn fifty_subscribers_get_everything_once_and_in_order() {
    let output = bench(&[
        "raw",
        "--subscribers",
        "50",
        "--seconds",
        "1",
        "--rounds",
        "3",
        "--pin",
        "none",
        "--json",
    ]);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["clean"], true);
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 3);
    for round in rounds {
        assert!(round["deliveries_per_s"].as_f64().unwrap() > 0.0, "{round}");
        assert_eq!(
            [&round["lost"], &round["duplicated"], &round["disordered"]],
            [0.0, 0.0, 0.0]
        );
    }
}

#[test]
fn several_publishers_channels_and_frames_per_send_stay_in_order() {
    let shape = [
        "--channels",
        "3",
        "--subscribers",
        "10",
        "--publishers",
        "2",
        "--in-flight",
        "4",
        "--coalesce",
        "2",
    ];
    let output = bench(&[&["raw", "--seconds", "1", "--pin", "none", "--json"], &shape[..]].concat());
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["faults"].as_array().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_done_is_one_clear_line() {
    let nobody = ["--ws", "127.0.0.1:1", "--sql", "127.0.0.1:1"];
    let output = bench(&[&["publish"], &nobody[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.starts_with("comet-bench: connect to CometQL at 127.0.0.1:1: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);

    let output = bench(&[
        "offline",
        "--restart",
        "--ws",
        "127.0.0.1:1",
        "--sql",
        "127.0.0.1:1",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--restart needs --spawn"));

    assert_eq!(bench(&["fanout", "--pin", "nonsense"]).status.code(), Some(2));
    assert_eq!(bench(&["mixed", "--pages", "7"]).status.code(), Some(2));
}
