//! Mutation testing of `comet-core`: would the tests notice if a line were wrong?
//!
//! A mutant is the core with one small mistake: `<` for `<=`, a statement forgotten, a function that returns at once.
//! All of them are woven into one copy of the workspace, each asleep until `COMET_MUTANT` names its number, so the
//! copy is compiled once and a mutant costs only the tests that reach it. It is *caught* if a test fails, and a
//! *survivor* if none does. A survivor must stand in `mutants/survivors.txt` with a reason, else the command fails:
//! either a test is missing or the code says more than it means.

#![forbid(unsafe_code)]

mod hints;
mod judge;
mod killers;
mod list;
mod site;
mod survivors;
mod tree;
mod weave;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use hints::Hints;
use list::Mutant;

#[derive(Parser)]
#[command(about = "Mutation testing of comet-core")]
struct Cli {
    /// Only every N-th mutant, beginning with one chosen by `--seed`; all by default.
    #[arg(long, default_value_t = 1)]
    every: u32,
    /// Chooses which ones `--every` takes.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Only mutants of files whose path contains this.
    #[arg(long)]
    file: Option<String>,
    /// Mutants judged at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Writes the figures as one JSON object.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes every survivor without a reason into the list, as "open".
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match mutate(&cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn mutate(cli: &Cli) -> Result<bool, String> {
    let root = tree::root();
    let reasons = survivors::read(&root)?;
    let listed = list::list(&root)?;
    println!("{} mutants in core/src", listed.mutants.len());
    let copy = tree::copy(&root, &listed)?;
    let unviable = tree::build(&copy, &listed)?;
    let killers = killers::build(&copy)?;
    let killers = killers::reach(killers, listed.mutants.len(), cli.jobs.max(1))?;
    let chosen: Vec<&Mutant> = listed
        .mutants
        .iter()
        .filter(|mutant| !unviable.contains(&mutant.id))
        .filter(|mutant| (mutant.id + cli.seed).is_multiple_of(cli.every.max(1)))
        .filter(|mutant| {
            cli.file
                .as_ref()
                .is_none_or(|part| mutant.file.contains(part.as_str()))
        })
        .collect();
    println!(
        "{} do not compile; judging {} of the others",
        unviable.len(),
        chosen.len()
    );
    let hints = Hints::read(&copy.target)?;
    let verdicts = judge::judge(&chosen, &killers, &hints, cli.jobs.max(1));
    let mut summary = survivors::Summary::of(&verdicts, &reasons);
    summary.tell(cli.every, cli.seed);
    if let Some(path) = &cli.json {
        std::fs::write(path, summary.json(listed.mutants.len(), unviable.len()))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let whole = cli.every <= 1 && cli.file.is_none();
    if cli.write {
        if !whole {
            return Err("--write needs a whole run: reasons of others would be lost".to_owned());
        }
        survivors::write(&root, &summary)?;
    }
    if whole {
        for stale in survivors::stale(&reasons, &verdicts) {
            println!("listed as a survivor, but is none: {stale}");
        }
    }
    Ok(summary.is_clean())
}
