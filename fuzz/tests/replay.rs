//! Runs every input that fuzzing once found worth keeping: `corpus/` (it covers much) and `regressions/` (it failed
//! before), one folder per target, on the stable toolchain and without a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use comet_fuzz::TARGETS;

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

#[test]
fn corpus_and_regressions() {
    for (target, body) in TARGETS {
        let corpus = inputs("corpus", target);
        assert!(!corpus.is_empty(), "{target} has a corpus");
        for path in corpus.into_iter().chain(inputs("regressions", target)) {
            let data = fs::read(&path).expect("a readable input");
            // Printed only when the body panics.
            println!("{}", path.display());
            body(&data);
        }
    }
}

/// Short inputs of every shape reach the edges no corpus holds: nothing, one byte, the same byte many times.
#[test]
fn plain_inputs() {
    for (_, body) in TARGETS {
        body(&[]);
        for byte in 0..=255 {
            body(&[byte]);
            body(&[byte; 40]);
            body(&[byte; 600]);
        }
    }
}
