//! The list of all mutants. Numbers hold for one state of the source; the key of a mutant survives other lines coming
//! and going.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::site;
use crate::weave::Numbered;

/// One mutant.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) id: u32,
    /// Relative to the repository.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// File, function, mistake and the line it is in.
    pub(crate) key: String,
}

/// A source file and its sites.
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) sites: Vec<Numbered>,
}

/// Everything that could be wrong.
pub(crate) struct Listed {
    pub(crate) mutants: Vec<Mutant>,
    pub(crate) sources: Vec<Source>,
}

/// Files whose mistakes show nothing: checks of our own invariants, which are tests themselves.
const LEFT_OUT: [&str; 1] = ["core/src/engine/check.rs"];

/// Reads `core/src`.
pub(crate) fn list(root: &Path) -> Result<Listed, String> {
    let mut files = Vec::new();
    rust_files(&root.join("core").join("src"), &mut files)?;
    files.sort();
    let mut listed = Listed {
        mutants: Vec::new(),
        sources: Vec::new(),
    };
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for path in files {
        let file = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        if LEFT_OUT.contains(&file.as_str()) || file.contains("/tests") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        let found = site::sites(&text).map_err(|error| format!("{file}: {error}"))?;
        let mut sites = Vec::new();
        for site in found {
            let first = listed.mutants.len() as u32 + 1;
            let line = text.lines().nth(site.line - 1).unwrap_or_default().trim();
            for (id, mistake) in (first..).zip(&site.mistakes) {
                let name = format!("{file} | {} | {} | {line}", site.function, mistake.what);
                let nth = seen.entry(name.clone()).or_default();
                *nth += 1;
                let key = if *nth == 1 {
                    name
                } else {
                    format!("{name} | {nth}")
                };
                let (file, line) = (file.clone(), site.line);
                listed.mutants.push(Mutant { id, file, line, key });
            }
            sites.push(Numbered { site, first });
        }
        listed.sources.push(Source { file, text, sites });
    }
    Ok(listed)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
