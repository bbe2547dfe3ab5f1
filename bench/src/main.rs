//! `comet-bench`: load generator and reference loops for comet-server. Depends on nothing of the server but its protocol
//! (`docs/protocol.md`), so that it measures any server that speaks it and can tell when the server is wrong.

#![forbid(unsafe_code)]

mod all;
mod args;
mod clock;
mod failure;
mod latency;
mod net;
mod output;
mod plot;
mod proc;
mod progress;
mod reference;
mod report;
mod run;
mod scenario;
mod sequence;
mod server;
mod sql;
mod stamp;
mod workers;
mod ws;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("comet-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// True when nothing was wrong.
fn carry_out(cli: &Cli) -> Result<bool, Failure> {
    if let Command::All(args) = &cli.command {
        let table = all::run(&cli.common, args)?;
        Output::of_table(&table).write(&cli.common)?;
        return Ok(table.is_clean());
    }
    let reports = run::run(cli)?;
    Output::of_reports(&reports).write(&cli.common)?;
    Ok(reports.iter().all(report::Report::is_clean))
}
