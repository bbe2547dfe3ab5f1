//! The files of the repository as the tests of its rules see them: text, path, lines.
//!
//! Walks the folders instead of asking git, so that the rules also hold for what is not committed yet.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the workspace by folder.
pub(crate) const CRATES: [&str; 11] = [
    "core", "mysql", "runtime", "sim", "fuzz", "tests", "bench", "crash", "xtask", "madsim", "mutants",
];

/// One text file.
pub(crate) struct File {
    /// Relative to the top, with `/`.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl File {
    /// Lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// The file is a test, or part of one.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Every Rust file of the workspace, in the order of their paths.
pub(crate) fn rust_files() -> Vec<File> {
    let mut files = Vec::new();
    for name in CRATES {
        collect(name, &|path| path.ends_with(".rs"), &mut files);
    }
    assert!(files.len() > CRATES.len(), "the crates were found");
    files
}

/// Every text file that belongs to the project: sources, documents, scripts, settings.
pub(crate) fn text_files() -> Vec<File> {
    let mut files = Vec::new();
    let text = |path: &str| {
        let endings = [
            ".rs", ".toml", ".md", ".txt", ".py", ".php", ".js", ".ts", ".pl", ".rb", ".java", ".go", ".sh",
            ".html", ".ini", ".json", ".yml", "/run",
        ];
        endings.iter().any(|ending| path.ends_with(ending))
    };
    for name in ["", "docs", ".ci", ".cargo", "client"].into_iter().chain(CRATES) {
        collect(name, &text, &mut files);
    }
    files
}

/// One file's text.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The top folder itself is not descended into: its subfolders are named by the callers.
fn collect(folder: &str, wanted: &dyn Fn(&str) -> bool, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(top().join(folder)) else {
        return;
    };
    let mut names: Vec<(bool, String)> = entries
        .filter_map(Result::ok)
        .map(|entry| {
            (
                entry.path().is_dir(),
                entry.file_name().to_string_lossy().into_owned(),
            )
        })
        .collect();
    names.sort();
    for (is_folder, name) in names {
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if is_folder {
            let foreign = matches!(
                name.as_str(),
                "target" | "node_modules" | "dist" | "corpus" | "artifacts"
            );
            if !folder.is_empty() && !foreign {
                collect(&path, wanted, files);
            }
        } else if wanted(&path)
            && let Ok(text) = fs::read_to_string(top().join(&path))
        {
            files.push(File { path, text });
        }
    }
}
