//! The load generator against its own reference loop: the whole path of a fan-out measurement, judged by what arrived and
//! never by how fast.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

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

/// The reference loop as a server that runs already; it ends with its standard input.
struct Running {
    child: Child,
    addresses: [String; 2],
}

impl Running {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_comet-bench"))
            .arg("raw-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it prints its addresses");
        let mut words = line.split_whitespace().map(str::to_owned);
        let addresses = [(); 2].map(|()| words.next().expect("two addresses"));
        Self { child, addresses }
    }

    fn bench(&self, arguments: &[&str]) -> Output {
        let [ws, sql] = &self.addresses;
        bench(&[arguments, &["--ws", ws, "--sql", sql, "--pin", "none", "--json"]].concat())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

#[test]
fn all_says_for_each_line_whether_it_was_reached_or_why_it_was_not_measured() {
    let server = Running::start();
    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("all.svg");
    let only = ["--only", "fanout-1000", "--only", "restart"];
    let drawn = ["--plot", picture.to_str().unwrap()];
    let output = server.bench(&[&["all", "--quick"], &only[..], &drawn[..]].concat());
    let table = json(&output);
    assert_eq!(output.status.code(), Some(0), "{table}");
    let [rate, cpu, restart] = &table["targets"].as_array().unwrap()[..] else {
        panic!("{table}")
    };
    assert!(rate["measured"]["median"].as_f64().unwrap() > 0.0, "{rate}");
    assert_eq!(rate["ratio"]["rounds"], 2, "{rate}");
    assert_eq!(rate["verdict"], "works", "too small for more: {rate}");
    assert_eq!(cpu["verdict"], "not measured", "its process is not known: {cpu}");
    assert_eq!(restart["verdict"], "not measured");
    assert!(restart["text"].as_str().unwrap().contains("--spawn"), "{restart}");
    assert!(
        table["conditions"]["kernel"]
            .as_str()
            .unwrap()
            .starts_with("Linux")
    );
    let rounds = &table["experiments"][0]["reports"][1]["rounds"];
    assert_eq!(rounds.as_array().unwrap().len(), 2, "every round is there");
    let svg = std::fs::read_to_string(picture).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("comet-bench fanout --vs-raw"),
        "{svg}"
    );
}

#[test]
fn half_of_what_the_slower_side_manages_is_what_both_are_asked_for() {
    let server = Running::start();
    let shape = ["--subscribers", "20", "--rounds", "1", "--seconds", "1"];
    let output = server.bench(&[&["fanout", "--vs-raw", "--half-rate"], &shape[..]].concat());
    let reports = json(&output);
    assert_eq!(output.status.code(), Some(0), "{reports}");
    let asked = reports[2]["conditions"]["publishes per second"].as_str().unwrap();
    let numbers: Vec<f64> = asked
        .split([' ', ','])
        .filter_map(|word| word.parse().ok())
        .collect();
    let Some(&[half, most]) = numbers.first_chunk() else {
        panic!("{asked}")
    };
    assert!(half > 0.0 && (most - 2.0 * half).abs() < 0.2, "{asked}");
    for side in [&reports[0], &reports[1]] {
        let curve = &side["rounds"][0]["curves"]["percentile, µs"];
        assert!(curve[0][1].as_f64().unwrap() > 0.0, "{side}");
    }
    assert!(reports[2]["median"]["p99_ratio"].as_f64().unwrap() > 0.0);
}

#[test]
fn an_unknown_experiment_is_answered_with_those_there_are() {
    let output = bench(&["all", "--only", "nonsense"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("there is no nonsense; --only takes fanout-1000, "),
        "{text}"
    );
}
