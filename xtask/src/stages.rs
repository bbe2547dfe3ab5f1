//! The verbs: which stages each one has, in which order.

use std::path::Path;
use std::process::Command;

use crate::browser;
use crate::clients::{self, Scope};
use crate::deny;
use crate::fuzz::Corpus;
use crate::machine::{cargo, command, release, root};
use crate::prove;
use crate::stage::{Outcome, Stages, run, run_tests};

/// Seeds of `cargo xtask sim`.
pub(crate) const SIM_SEEDS: &str = "2000";

/// Targets without an operating system that the core is built for when one of them is installed.
const BARE_TARGETS: [&str; 4] = [
    "x86_64-unknown-none",
    "thumbv7em-none-eabi",
    "aarch64-unknown-none",
    "riscv32imac-unknown-none-elf",
];

/// Everything CI runs.
pub(crate) fn test() -> bool {
    let mut stages = Stages::default();
    stages.run("format", || run(&mut cargo(&["fmt", "--all", "--check"])));
    stages.run("lints", || {
        run(&mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    });
    stages.run("licences, sources, advisories", deny::check);
    stages.run("core without std", core_without_std);
    stages.run("release build", build_release);
    stages.run("MySQL clients of CI", || {
        clients::install(Scope::Ci);
        Outcome::of(true)
    });
    stages.run("tests", || run_tests(&mut tests(&[])));
    stages.run("client", browser::client);
    stages.run("browser", browser::browser);
    stages.run("benchmark smoke", benchmark);
    prove::run_in(&mut stages, &prove::Asked::of_ci());
    stages.summary()
}

/// Formats the workspace.
pub(crate) fn format() -> bool {
    run(&mut cargo(&["fmt", "--all"])).is_ok()
}

/// Installs all MySQL clients and runs them against the real server; a client that is missing is a failure.
pub(crate) fn clients() -> bool {
    let mut stages = Stages::default();
    stages.run("install all MySQL clients", || {
        clients::install(Scope::All);
        Outcome::of(true)
    });
    stages.run("release build", build_release);
    stages.run("client matrix", || {
        run_tests(tests(&["-p", "comet-tests", "--test", "clients"]).env("COMET_CLIENTS", "all"))
    });
    stages.summary()
}

/// The JavaScript client, alone and in a real browser against the release build.
pub(crate) fn client() -> bool {
    let mut stages = Stages::default();
    stages.run("client", browser::client);
    stages.run("release build", || {
        run(&mut cargo(&[
            "build",
            "--release",
            "--quiet",
            "-p",
            "comet-server",
        ]))
    });
    stages.run("browser", browser::browser);
    stages.summary()
}

/// Simulator and planted bugs.
pub(crate) fn simulate(seeds: &str) -> bool {
    let mut stages = Stages::default();
    stages.run("release build", build_release);
    stages.run("simulator", || run_simulator(seeds));
    stages.run("planted bugs", planted);
    stages.summary()
}

/// Every fuzz target for some seconds.
pub(crate) fn fuzz(seconds: &str, corpus: Corpus, json: Option<&Path>) -> bool {
    let mut stages = Stages::default();
    stages.run("fuzzing", || crate::fuzz::fuzz(seconds, corpus, json));
    stages.summary()
}

fn build_release() -> Outcome {
    run(&mut cargo(&[
        "build",
        "--release",
        "--quiet",
        "-p",
        "comet-server",
        "-p",
        "comet-sim",
        "-p",
        "comet-bench",
    ]))
}

/// `cargo test` on the release build of the server, so that whole-system tests do not build it again.
fn tests(selection: &[&str]) -> Command {
    let mut tests = cargo(&["test", "--quiet", "--no-fail-fast"]);
    if selection.is_empty() {
        tests.arg("--workspace");
    }
    tests
        .args(selection)
        .env("COMET_SERVER_BIN", release("comet-server"));
    tests
}

fn core_without_std() -> Outcome {
    let listed = command("rustc", &["--print", "sysroot"])
        .output()
        .map(|out| out.stdout)
        .unwrap_or_default();
    let libraries = root()
        .join(String::from_utf8_lossy(&listed).trim())
        .join("lib")
        .join("rustlib");
    match BARE_TARGETS.iter().find(|target| libraries.join(target).is_dir()) {
        Some(target) => run(&mut cargo(&[
            "build",
            "--quiet",
            "-p",
            "comet-core",
            "--target",
            target,
        ])),
        None => {
            println!(
                "no target without an operating system is installed (rustup target add {})",
                BARE_TARGETS[0]
            );
            println!("comet-core is #![no_std]: checking it for this machine instead");
            run(&mut cargo(&["check", "--quiet", "-p", "comet-core"]))
        }
    }
}

fn run_simulator(seeds: &str) -> Outcome {
    let jobs = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .to_string();
    run(&mut command(
        release("comet-sim"),
        &["run", "--seeds", seeds, "--jobs", &jobs],
    ))
}

fn planted() -> Outcome {
    run(&mut command(release("comet-sim"), &["planted"]))
}

/// Not a measurement: pages and back ends on the real server for some seconds, and nothing lost, doubled or disordered.
fn benchmark() -> Outcome {
    let bench = |load: &[&str]| {
        let server = release("comet-server");
        run(command(release("comet-bench"), load).arg("--spawn").arg(server))
    };
    bench(&["fanout", "--subscribers", "100", "--seconds", "1"]).and(bench(&["mixed", "--seconds", "10"]))
}
