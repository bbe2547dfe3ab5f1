//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};

/// Crashes comet-server, simulated and real, and checks that nothing acknowledged is missing (docs/testing.md, "Crashes").
/// Exit status: 0 clean, 1 something was found or could not be carried out, 101 an assertion of the server fired.
#[derive(Debug, Parser)]
#[command(name = "comet-crash")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The shipping store on a simulated disk that fails and loses power, a world per seed.
    Disk(Seeds),
    /// A small workload, once for every file operation in it as the moment of the crash, in several ways each.
    Every(Every),
    /// Makes known mistakes on purpose and shows in how many seeds each is found.
    Planted(Planted),
    /// The real server, killed at random moments of load, start and stop.
    Kill(Kill),
    /// Power cuts of the real server, made from a recording of its file operations.
    Power(Power),
}

#[derive(Debug, Args)]
pub(crate) struct Seeds {
    /// How many seeds.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    pub(crate) start: u64,
    /// Runs one seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "start"])]
    pub(crate) seed: Option<u64>,
    /// Processors to use.
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: u64,
    /// Begins no further seed after so many seconds.
    #[arg(long)]
    pub(crate) time_budget: Option<u64>,
    /// Writes the result as a JSON object to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Every {
    /// The workload.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Commits of the workload.
    #[arg(long, default_value_t = 12, value_parser = value_parser!(u64).range(1..))]
    pub(crate) commits: u64,
    /// Crashes at each operation, each leaving something else of what was not synced.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u64).range(1..))]
    pub(crate) ways: u64,
    /// Writes the result as a JSON object to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Planted {
    /// Most seeds for each mistake.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Writes the result as a JSON object to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// The server's program; default: comet-server beside this one.
    #[arg(long)]
    pub(crate) spawn: Option<PathBuf>,
    /// How often it is killed.
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u64).range(1..))]
    pub(crate) cycles: u64,
    /// fsync or os: after the death of the process alone both keep everything.
    #[arg(long, default_value = "fsync")]
    pub(crate) durability: String,
    /// What is sent, and when the server is killed, as far as a machine repeats that.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// SQLite checks every so many cycles what is left; 0: never.
    #[arg(long, default_value_t = 10)]
    pub(crate) integrity_every: u64,
    /// Writes the result as a JSON object to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Power {
    /// The server's program; default: comet-server beside this one.
    #[arg(long)]
    pub(crate) spawn: Option<PathBuf>,
    /// How many images of the disk are made and opened.
    #[arg(long, default_value_t = 300, value_parser = value_parser!(u64).range(1..))]
    pub(crate) images: u64,
    /// Every so many images are also started by the real server; 0: none.
    #[arg(long, default_value_t = 50)]
    pub(crate) real_every: u64,
    /// What is sent, and which images are made.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Writes the result as a JSON object to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_nothing_is_an_error() {
        for words in [
            ["disk", "--seeds"],
            ["every", "--commits"],
            ["every", "--ways"],
            ["planted", "--seeds"],
            ["kill", "--cycles"],
            ["power", "--images"],
        ] {
            let asked = |number| {
                let words = ["comet-crash"].into_iter().chain(words).chain([number]);
                Cli::try_parse_from(words).is_ok()
            };
            assert!(asked("1") && !asked("0"), "{words:?}");
        }
    }
}
