//! `comet-crash`: takes the power away from the shipping store, kills the process, and checks that nothing acknowledged
//! is missing afterwards (docs/testing.md, "Crashes").

#![deny(unsafe_code)]

mod args;
mod disk;
mod faults;
mod files;
mod kill;
mod load;
mod marks;
mod page;
mod plan;
mod planted;
mod power;
mod process;
mod report;
mod simulate;
mod sql;
mod statement;
mod story;
mod vfs;
mod world;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Disk(args) => simulate::seeds(&args),
        Command::Every(args) => simulate::every(&args),
        Command::Planted(args) => simulate::planted(&args),
        Command::Kill(args) => kill::run(&args),
        Command::Power(args) => power::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("comet-crash: {error}");
            ExitCode::FAILURE
        }
    }
}
