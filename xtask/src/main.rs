//! Repository tasks, run as `cargo xtask VERB`. Promise: `cargo xtask test` runs everything CI runs, installs what is
//! missing or names it, and works on a machine that has nothing but the Rust toolchain, Node and apt.
//!
//! It knows commands and their exit status only; what is tested lives in the crates.

#![forbid(unsafe_code)]

mod browser;
mod clients;
mod coverage;
mod deny;
mod fuzz;
mod machine;
mod madsim;
mod prove;
mod repeat;
mod stage;
mod stages;

use std::env;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;

use fuzz::Corpus;
use prove::Asked;

const USAGE: &str = "\
cargo xtask VERB

  test             everything CI runs: format, lints, licences, release build, all tests, MySQL clients, the
                   JavaScript client alone and in Chromium, a short benchmark, `prove --quick` from seed 1. Ends
                   with `N passed, N failed`
  fmt              formats the workspace
  client           the JavaScript client: types, build, unit tests, then pages in Chromium on the real server
  clients          installs every MySQL client apt, pip and npm have, then runs all of them
  sim [SEEDS]      simulator runs in release (default 2000), then the planted bugs
  coverage [SEEDS] [--json FILE]
                   what of core/src/engine and core/src/state no seed reaches, against sim/unreached.txt
  madsim [--seeds N] [--start N] [--json FILE] | --seed N | --planted
                   the real runtime on simulated sockets, time, threads and disk; without options 100 worlds, then
                   the planted mistakes
  fuzz SECONDS     fuzzes every target that long on the stable toolchain, as many at a time as there are
                   processors; new inputs go to fuzz/corpus, or with --keep nowhere. --json FILE: counts
  repeat START N   N seeds on one thread, on two, and in a debug build: the same digest. --json FILE
  prove --quick    every checker on new seeds, 20 minutes on two cores, and a report
  prove --long N   the same for N hours. With either: --start SEED repeats a report, --only NAME, --json FILE,
                   --write puts the report into docs/proof.md
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let ok = match words.as_slice() {
        ["test"] => stages::test(),
        ["fmt"] => stages::format(),
        ["client"] => stages::client(),
        ["clients"] => stages::clients(),
        ["sim"] => stages::simulate(stages::SIM_SEEDS),
        ["sim", seeds] if is_some(seeds) => stages::simulate(seeds),
        ["coverage"] => coverage::coverage(None, None),
        ["coverage", "--json", file] => coverage::coverage(None, Some(file)),
        ["coverage", seeds] if is_some(seeds) => coverage::coverage(Some(seeds), None),
        ["coverage", seeds, "--json", file] if is_some(seeds) => coverage::coverage(Some(seeds), Some(file)),
        ["madsim", options @ ..] => madsim::madsim(options),
        ["fuzz", seconds, rest @ ..] if is_some(seconds) => match rest {
            [] => stages::fuzz(seconds, Corpus::Grown, None),
            ["--json", file] => stages::fuzz(seconds, Corpus::Grown, Some(Path::new(file))),
            ["--keep"] => stages::fuzz(seconds, Corpus::Kept, None),
            ["--keep", "--json", file] => stages::fuzz(seconds, Corpus::Kept, Some(Path::new(file))),
            _ => return usage(),
        },
        ["repeat", start, seeds, rest @ ..] => match rest {
            [] => repeat::repeat(start, seeds, None).is_ok(),
            ["--json", file] => repeat::repeat(start, seeds, Some(Path::new(file))).is_ok(),
            _ => return usage(),
        },
        ["prove", rest @ ..] => match Asked::parse(rest) {
            Some(asked) => prove::prove(&asked),
            None => return usage(),
        },
        _ => return usage(),
    };
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A number of things; none would prove nothing, and to libFuzzer 0 s are for ever.
fn is_some(number: &str) -> bool {
    number.parse::<NonZeroU32>().is_ok()
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_no_number_of_seeds() {
        assert!(is_some("1"));
        assert!(!is_some("0") && !is_some("x"));
    }
}
