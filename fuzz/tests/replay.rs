//! Runs every input that fuzzing once found worth keeping: `corpus/` (it covers much) and `regressions/` (it failed
//! before, and stays mended), one folder per target, on the stable toolchain and without a fuzzer.
//!
//! An input may make its target allocate only so often and so much: both are counted, not timed, so a machine that is
//! busy changes nothing, and an input of a few bytes that makes the server work for ever is found.

use std::fs;
use std::path::{Path, PathBuf};

use comet_fuzz::{Body, TARGETS};

/// Allocations of one input: the work it may cause.
const ALLOCATIONS_MAX: u64 = 300_000;
/// Bytes that one input may make its target hold at once.
const BYTES_MAX: u64 = 16 << 20;
/// Longest input in the repository.
const INPUT_BYTES_MAX: u64 = 4096;
/// All of them: a repository is no archive.
const ALL_BYTES_MAX: u64 = 2 << 20;

fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// Runs one input within its bounds.
fn run(target: &str, body: Body, data: &[u8]) {
    let used = allocation_counter::measure(|| body(data));
    assert!(
        used.count_total <= ALLOCATIONS_MAX,
        "{target}: {} allocations",
        used.count_total
    );
    assert!(
        used.bytes_max <= BYTES_MAX,
        "{target}: {} bytes at once",
        used.bytes_max
    );
}

fn replay(kind: &str, target: &str, body: Body) {
    for path in inputs(kind, target) {
        let data = fs::read(&path).expect("a readable input");
        // Printed only when the body panics.
        println!("{}", path.display());
        run(target, body, &data);
    }
}

#[test]
fn corpus() {
    for (target, body) in TARGETS {
        assert!(!inputs("corpus", target).is_empty(), "{target} has a corpus");
        replay("corpus", target, body);
    }
}

/// Every find of the past stays mended. A folder without a target would never be looked at.
#[test]
fn every_past_find_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let (target, body) = TARGETS
            .into_iter()
            .find(|(target, _)| *target == name)
            .unwrap_or_else(|| panic!("regressions/{name} belongs to no target"));
        replay("regressions", target, body);
    }
}

/// Short inputs of every shape reach the edges no corpus holds: nothing, one byte, the same byte many times.
#[test]
fn plain_inputs() {
    for (target, body) in TARGETS {
        run(target, body, &[]);
        for byte in 0..=255 {
            run(target, body, &[byte]);
            run(target, body, &[byte; 40]);
            run(target, body, &[byte; 600]);
        }
    }
}

/// Inputs without any sense, the same ones every time: targets that make choices of bytes go everywhere with them.
/// `COMET_FUZZ_RANDOM` asks for more than 100 of each.
#[test]
fn inputs_without_sense() {
    let count = std::env::var("COMET_FUZZ_RANDOM")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(100);
    for (target, body) in TARGETS {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        for number in 0..count {
            let length = usize::from(u16::from_le_bytes([next()[3], next()[4] & 3]));
            let data: Vec<u8> = std::iter::repeat_with(&mut next).flatten().take(length).collect();
            // Printed only when the body panics.
            println!("{target}, input {number}");
            run(target, body, &data);
        }
    }
}

#[test]
fn the_corpus_stays_small() {
    let mut all = 0;
    for (target, _) in TARGETS {
        for path in inputs("corpus", target) {
            let length = fs::metadata(&path).expect("a file").len();
            assert!(length <= INPUT_BYTES_MAX, "{}: {length} bytes", path.display());
            all += length;
        }
    }
    assert!(all <= ALL_BYTES_MAX, "{all} bytes");
}

/// libFuzzer runs the targets that are replayed here, and no others.
#[test]
fn every_target_has_its_shell() {
    let libfuzzer = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer");
    let manifest = fs::read_to_string(libfuzzer.join("Cargo.toml")).expect("a manifest");
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (target, _) in TARGETS {
        let shell = fs::read_to_string(libfuzzer.join(format!("fuzz_targets/{target}.rs"))).expect("a shell");
        assert!(shell.contains(&format!("comet_fuzz::{target}(data)")), "{target}");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}
