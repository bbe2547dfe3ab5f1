//! Tiny versions of the scenarios that need users, queues and a store, against the real server: judged by what arrived and
//! never by how fast. The server is `COMET_SERVER_BIN`, or what cargo builds now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

fn server() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("COMET_SERVER_BIN") {
            return PathBuf::from(path);
        }
        let target = Path::new(env!("CARGO_BIN_EXE_comet-bench")).ancestors().nth(2);
        let target = target.expect("the binary lies in <target>/<profile>");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "comet-server"])
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "comet-server builds");
        target.join("debug").join("comet-server")
    })
}

/// Runs a scenario to its clean end; its report.
fn clean(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_comet-bench"))
        .args(arguments)
        .args(["--pin", "none", "--json", "--spawn"])
        .arg(server())
        .output()
        .expect("the binary starts");
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(report["clean"], true, "{report}");
    report
}

#[test]
fn held_connections_are_all_alive_at_the_end() {
    let size = ["--connections", "40", "--subscriptions", "2", "--seconds", "1"];
    let report = clean(&[&["hold", "--authorized"], &size[..]].concat());
    let figures = &report["median"];
    assert_eq!([&figures["alive"], &figures["reached"]], [40.0, 40.0], "{report}");
    assert_eq!(figures["failed_handshakes"], 0.0);
}

/// 5.1: nothing is lost when everybody is cut off at once.
#[test]
fn a_storm_loses_nothing() {
    let size = [
        "--users",
        "60",
        "--room",
        "20",
        "--sessions",
        "2",
        "--seconds",
        "1",
    ];
    let traffic = ["--rate", "400", "--room-rate", "60", "--opening", "16"];
    let report = clean(&[&["storm"], &size[..], &traffic[..]].concat());
    let figures = &report["median"];
    assert_eq!(figures["received"], figures["acknowledged"], "{report}");
    assert!(figures["replayed"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn visitors_who_have_left_are_gone() {
    let size = [
        "--cycles",
        "600",
        "--level",
        "50",
        "--warm-up",
        "300",
        "--tolerance",
        "200",
    ];
    let report = clean(&[&["churn"], &size[..]].concat());
    assert_eq!(
        report["median"]["answers"], 18.0,
        "every fiftieth of 900: {report}"
    );
}

/// S10, Q31: all of the queue, once and in order.
#[test]
fn a_crowd_drains_its_queues() {
    let size = [
        "--users",
        "50",
        "--messages",
        "4",
        "--window",
        "16",
        "--sessions",
        "3",
    ];
    let report = clean(&[&["drain", "--subscribers", "5"], &size[..]].concat());
    let figures = &report["median"];
    assert_eq!(
        [&figures["drained"], &figures["left_in_queues"]],
        [200.0, 0.0],
        "{report}"
    );
}

#[test]
fn a_filled_server_starts_with_everything() {
    let size = [
        "--users",
        "700",
        "--messages",
        "1200",
        "--each",
        "3",
        "--rounds",
        "2",
    ];
    let report = clean(&[&["startup"], &size[..]].concat());
    assert_eq!(report["rounds"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["median"]["checked"], 700.0);
}

#[test]
fn the_no_op_server_answers_like_one() {
    let report = clean(&["roundtrip", "--sessions", "3", "--seconds", "1", "--rounds", "1"]);
    for ratio in ["rate_ratio_1", "rate_ratio_many"] {
        assert!(report["median"][ratio].as_f64() > Some(0.0), "{report}");
    }
}
