//! `mutants/survivors.txt`: which mutants live, and why that is right. One line each: the key, ` => `, the reason. The
//! reason `open` says that nobody has looked yet, or that a test is still missing; it is counted as such.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::judge::Verdict;
use crate::list::Mutant;

const FILE: &str = "mutants/survivors.txt";
const OPEN: &str = "open";
const HEAD: &str = "\
# Mutants of comet-core that no test catches, and why that is right; `open`: a test is missing.
# file | function | mistake | line => reason
";

/// Key and reason.
pub(crate) type Reasons = BTreeMap<String, String>;

/// Reads the list.
pub(crate) fn read(root: &Path) -> Result<Reasons, String> {
    let text = fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let (key, reason) = line
                .rsplit_once(" => ")
                .ok_or_else(|| format!("{FILE}: no reason: {line}"))?;
            Ok((key.to_owned(), reason.trim().to_owned()))
        })
        .collect()
}

/// Listed survivors of files we have that were not seen to survive.
pub(crate) fn stale<'r>(reasons: &'r Reasons, verdicts: &[(&Mutant, Verdict)]) -> Vec<&'r str> {
    let alive = |key: &str| {
        verdicts
            .iter()
            .any(|(mutant, verdict)| mutant.key == key && is_alive(*verdict))
    };
    reasons
        .keys()
        .map(String::as_str)
        .filter(|key| !alive(key))
        .collect()
}

fn is_alive(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Survived | Verdict::NeverMet)
}

/// The score.
pub(crate) struct Summary<'v> {
    judged: usize,
    caught: usize,
    explained: Vec<(&'v str, &'v str)>,
    open: Vec<&'v str>,
    command: String,
}

impl<'v> Summary<'v> {
    /// Counts.
    pub(crate) fn of(verdicts: &'v [(&Mutant, Verdict)], reasons: &'v Reasons) -> Self {
        let mut summary = Self {
            judged: verdicts.len(),
            caught: 0,
            explained: Vec::new(),
            open: Vec::new(),
            command: String::new(),
        };
        for (mutant, verdict) in verdicts {
            let reason = reasons.get(&mutant.key).filter(|reason| *reason != OPEN);
            match (is_alive(*verdict), reason) {
                (false, _) => summary.caught += 1,
                (true, Some(reason)) => summary.explained.push((&mutant.key, reason)),
                (true, None) => summary.open.push(&mutant.key),
            }
        }
        summary
    }

    /// Something was judged, and whatever lives has a written reason; also what no test meets.
    pub(crate) fn is_clean(&self) -> bool {
        self.judged > 0 && self.open.is_empty()
    }

    /// Prints the last line.
    pub(crate) fn tell(&mut self, every: u32, seed: u32) {
        self.command = format!("cargo run -p comet-mutants -- --every {every} --seed {seed}");
        println!(
            "{} mutants judged: {} caught ({:.1} %), {} live for a written reason, {} live without one",
            self.judged,
            self.caught,
            100.0 * self.caught as f64 / self.judged.max(1) as f64,
            self.explained.len(),
            self.open.len()
        );
        println!("{}", self.command);
    }

    /// For `cargo xtask prove`.
    pub(crate) fn json(&self, listed: usize, unviable: usize) -> String {
        json!({
            "what": "mutants",
            "listed": listed,
            "do_not_compile": unviable,
            "judged": self.judged,
            "caught": self.caught,
            "explained": self.explained.len(),
            "open": self.open.len(),
            "failed": self.open.len(),
            "command": self.command,
        })
        .to_string()
    }
}

/// Writes the survivors of a whole run, reasons kept.
pub(crate) fn write(root: &Path, summary: &Summary<'_>) -> Result<(), String> {
    let open = summary.open.iter().map(|key| (*key, OPEN));
    let mut all: Vec<(&str, &str)> = summary.explained.iter().copied().chain(open).collect();
    all.sort_unstable();
    let mut text = HEAD.to_owned();
    for (key, reason) in all {
        text.push_str(&format!("{key} => {reason}\n"));
    }
    fs::write(root.join(FILE), text).map_err(|error| format!("{FILE}: {error}"))
}
