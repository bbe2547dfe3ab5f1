//! `comet-bench`: load generator and reference loops for comet-server. Depends on nothing of the server but its protocol
//! (`docs/protocol.md`), so that it measures any server that speaks it and can tell when the server is wrong.

#![forbid(unsafe_code)]

mod args;
mod clock;
mod failure;
mod latency;
mod net;
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
mod ws;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use failure::{Failure, While as _};
use plot::Row;
use report::Report;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let outcome = run::run(&cli).and_then(|reports| {
        draw(&reports, cli.common.plot.as_deref())?;
        print(&reports, cli.common.json.as_deref())?;
        Ok(reports.iter().all(Report::is_clean))
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("comet-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn print(reports: &[Report], json: Option<&Path>) -> Result<(), Failure> {
    let value = match reports {
        [one] => one.json(),
        several => several.iter().map(Report::json).collect(),
    };
    if json == Some(Path::new("-")) {
        println!("{value:#}");
        return Ok(());
    }
    for report in reports {
        println!("{}", report.table());
    }
    match json {
        Some(file) => {
            std::fs::write(file, format!("{value:#}\n")).or_while(format!("write {}", file.display()))
        }
        None => Ok(()),
    }
}

/// All reports in one picture, so that what was measured in turn can be compared.
fn draw(reports: &[Report], file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else {
        return Ok(());
    };
    let series: Vec<_> = reports.iter().filter_map(Report::series).collect();
    if series.is_empty() {
        return Err(Failure::told(
            "this scenario has no curves to draw; --plot is for fanout, raw and all",
        ));
    }
    let title = reports
        .last()
        .map(|report| report.scenario.clone())
        .unwrap_or_default();
    std::fs::write(file, plot::svg(&[Row { title, series }])).or_while(format!("write {}", file.display()))
}
