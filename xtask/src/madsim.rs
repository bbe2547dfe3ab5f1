//! The runtime in simulated worlds. `--cfg madsim` changes every crate of the tree, so it is built in a folder of its own,
//! which leaves the other builds as they are.

use crate::machine::{cargo, command, target};
use crate::stage::{Outcome, Stages, run};

/// Worlds and planted mistakes with these options of `comet-madsim`.
pub(crate) fn madsim(options: &[&str]) -> bool {
    let mut stages = Stages::default();
    stages.run("build for simulated worlds", build);
    stages.run("runtime in simulated worlds", || worlds(options));
    if options.is_empty() {
        stages.run("planted mistakes of the runtime", planted);
    }
    stages.summary()
}

fn folder() -> std::path::PathBuf {
    target().join("madsim")
}

fn build() -> Outcome {
    let mut build = cargo(&["build", "--quiet", "-p", "comet-madsim"]);
    build
        .env("RUSTFLAGS", "--cfg madsim -D warnings")
        .env("CARGO_TARGET_DIR", folder());
    run(&mut build)
}

fn worlds(options: &[&str]) -> Outcome {
    let jobs = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .to_string();
    let program = folder().join("debug").join("comet-madsim");
    run(command(program, options).args(["--jobs", &jobs]))
}

fn planted() -> Outcome {
    worlds(&["--planted"])
}
