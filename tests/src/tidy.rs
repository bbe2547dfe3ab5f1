//! The repository checks itself: the rules of CONTRIBUTING that a compiler cannot see. Each test lists every place that
//! breaks its rule, so one run is enough to mend them all.

use std::collections::BTreeMap;
use std::fs;

use crate::repository::{CRATES, File, read, rust_files, text_files, top};

/// Longest file, lines.
const FILE_LINES_MAX: usize = 500;
/// Longest file of tests, which are read one by one.
const TEST_FILE_LINES_MAX: usize = 600;
/// Longest function, lines of code between its braces; what clippy's `too_many_lines` counts.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that are over the limit today and may only shrink: path and lines. Nothing may be added.
const LONG_FILES: [(&str, usize); 0] = [];
/// Functions that are over the limit today and may only shrink. Nothing may be added.
const LONG_FUNCTIONS: [(&str, usize); 0] = [];

fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Every line of the files that contains one of the words, unless `allowed` says the file may.
fn lines_with(files: &[File], words: &[&str], allowed: impl Fn(&File) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !allowed(file)) {
        for (number, line) in file.lines() {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{number}: {code}", file.path));
            }
        }
    }
    found
}

#[test]
fn the_clock_is_read_in_one_file() {
    let words = [concat!("Instant", "::now"), concat!("SystemTime", "::now")];
    let allowed = |file: &File| {
        file.path == "runtime/src/clock.rs"
            // Its `--time-budget` is about the person who waits, not about the simulated world.
            || file.path == "sim/src/main.rs"
            || file.is_test()
            || file.path.starts_with("bench/")
            // How long a search took, and how long a real server is waited for.
            || file.path.starts_with("crash/")
            || file.path.starts_with("xtask/")
            || file.path.starts_with("mutants/")
    };
    none(
        "clocks are read in runtime/src/clock.rs only",
        lines_with(&rust_files(), &words, allowed),
    );
}

#[test]
fn chance_comes_from_one_file() {
    let words = [
        concat!("get", "random"),
        concat!("thread_", "rng"),
        concat!("rand", "::"),
        concat!("System", "Random"),
        concat!("Random", "State"),
        concat!("/dev/", "urandom"),
    ];
    // An example shows how to live without a runtime.
    // In a simulated world the seed is the only chance there is.
    let allowed = |file: &File| {
        ["runtime/src/entropy.rs", "runtime/src/rt/sim.rs"].contains(&file.path.as_str())
            || file.path.contains("/examples/")
    };
    none(
        "random numbers are made in runtime/src/entropy.rs only",
        lines_with(&rust_files(), &words, allowed),
    );
}

#[test]
fn core_and_simulator_have_no_unordered_containers() {
    let words = [concat!("Hash", "Map"), concat!("Hash", "Set")];
    let allowed = |file: &File| !file.path.starts_with("core/src") && !file.path.starts_with("sim/src");
    none(
        "core and sim iterate in an order that is the same everywhere",
        lines_with(&rust_files(), &words, allowed),
    );
}

#[test]
fn every_file_says_why_it_exists() {
    let bad = rust_files()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    none("files begin with a //! head", bad);
}

#[test]
fn files_fit_in_the_head() {
    let files = rust_files();
    let sizes = |tests: bool| {
        let of_kind = files.iter().filter(move |file| file.is_test() == tests);
        of_kind.map(|file| (file.path.clone(), file.text.lines().count()))
    };
    none(
        "files have at most 500 lines",
        over(sizes(false), FILE_LINES_MAX, &LONG_FILES),
    );
    none(
        "files of tests have at most 600 lines",
        over(sizes(true), TEST_FILE_LINES_MAX, &[]),
    );
}

#[test]
fn functions_fit_on_a_screen() {
    let files = rust_files();
    let sizes = files.iter().flat_map(|file| {
        functions(file)
            .into_iter()
            .map(|(name, lines)| (format!("{} {name}", file.path), lines))
    });
    none(
        "functions have at most 70 lines of code",
        over(sizes, FUNCTION_LINES_MAX, &LONG_FUNCTIONS),
    );
}

/// What is over `max` and not over its own limit in the list of exceptions, which has to follow every shrinking.
fn over(
    sizes: impl Iterator<Item = (String, usize)>,
    max: usize,
    exceptions: &[(&str, usize)],
) -> Vec<String> {
    let mut exceptions: BTreeMap<&str, usize> = exceptions.iter().copied().collect();
    let mut bad = Vec::new();
    for (name, lines) in sizes {
        let limit = exceptions.remove(name.as_str());
        if lines > limit.unwrap_or(max) {
            bad.push(format!("{name}: {lines} lines"));
        } else if let Some(limit) = limit.filter(|limit| lines < *limit) {
            bad.push(format!(
                "{name}: has {lines} lines now, lower its limit of {limit}"
            ));
        }
    }
    bad.extend(
        exceptions
            .keys()
            .map(|name| format!("{name}: is gone, remove its limit")),
    );
    bad
}

/// Name and lines of code of every function. rustfmt puts the closing brace under the `fn`, so no parser is needed.
fn functions(file: &File) -> Vec<(String, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, rest)) = code.split_once("fn ") else {
            continue;
        };
        let is_head = before.split(' ').all(|word| {
            matches!(word, "" | "async" | "const" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub")
        });
        if !is_head {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let mut body = lines[at..]
            .iter()
            .skip_while(|line| !line.ends_with('{'))
            .skip(1)
            .take_while(|line| line.strip_prefix(indent) != Some("}"))
            .map(|line| line.trim_start());
        let one_line = code.ends_with('}') || code.ends_with(';');
        let count = if one_line {
            1
        } else {
            body.by_ref()
                .filter(|line| !line.is_empty() && !line.starts_with("//"))
                .count()
        };
        let name = rest.split(['(', '<']).next().unwrap_or_default();
        found.push((name.to_owned(), count));
    }
    found
}

#[test]
fn nothing_is_left_over() {
    let words = [
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
        concat!("unimpl", "emented"),
        concat!("todo", "!"),
    ];
    let mut bad = Vec::new();
    for file in rust_files() {
        for (number, line) in file.lines() {
            let found = words.iter().any(|word| {
                line.split(|c: char| !c.is_alphanumeric() && c != '!')
                    .any(|part| part == *word)
            });
            if found || line.contains(words[3]) {
                bad.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none("left-overs", bad);
}

/// docs/architecture.md: which of our crates each crate may name, also in its tests.
const ARROWS: [(&str, &[&str]); 11] = [
    ("core", &[]),
    ("mysql", &[]),
    ("runtime", &["comet-core", "comet-mysql"]),
    ("sim", &["comet-core"]),
    (
        "fuzz",
        &["comet-core", "comet-mysql", "comet-server", "comet-sim"],
    ),
    (
        "tests",
        &[
            "comet-core",
            "comet-mysql",
            "comet-server",
            "comet-sim",
            "comet-fuzz",
        ],
    ),
    ("bench", &[]),
    ("crash", &["comet-core", "comet-server", "comet-sim"]),
    ("xtask", &[]),
    ("madsim", &["comet-server"]),
    ("mutants", &[]),
];

#[test]
fn dependencies_follow_the_arrows() {
    let mut bad = Vec::new();
    assert_eq!(ARROWS.map(|(name, _)| name), CRATES, "every crate has its arrows");
    for (name, allowed) in ARROWS {
        let manifest = read(&format!("{name}/Cargo.toml"));
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            }
            let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if in_dependencies && key.starts_with("comet-") && !allowed.contains(&key) {
                bad.push(format!("{name} may not depend on {key}"));
            }
        }
        // SQLite's file layer is an interface of C: `crash` says in its manifest which single lint it takes differently.
        let own_lints = name == "crash" && manifest.contains("[lints.rust]\nunsafe_code = \"deny\"");
        if !own_lints && !manifest.contains("[lints]\nworkspace = true") {
            bad.push(format!("{name}/Cargo.toml does not take the workspace's lints"));
        }
    }
    none("arrows of docs/architecture.md", bad);
}

#[test]
fn unsafe_code_is_in_one_file() {
    let words = [
        concat!("unsafe", " {"),
        concat!("unsafe", " fn"),
        concat!("unsafe", " extern"),
    ];
    none(
        "unsafe code is in crash/src/vfs.rs only",
        lines_with(&rust_files(), &words, |file| file.path == "crash/src/vfs.rs"),
    );
}

#[test]
fn no_machine_is_named() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("../sha", "red"),
        concat!("/fa", "rm/"),
    ];
    let mut bad = Vec::new();
    for file in text_files() {
        for (number, line) in file.lines() {
            if words.iter().any(|word| line.contains(word)) {
                bad.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    none("paths of one machine", bad);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut bad = Vec::new();
    for file in text_files().iter().filter(|file| file.path.ends_with(".md")) {
        let folder = top()
            .join(&file.path)
            .parent()
            .map_or_else(top, std::path::Path::to_path_buf);
        for link in links(&file.text) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty()
                && !target.contains("://")
                && !target.starts_with("mailto:")
                && fs::metadata(folder.join(target)).is_err()
            {
                bad.push(format!("{}: {link}", file.path));
            }
        }
    }
    none("broken links", bad);
}

/// The targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block || line.starts_with("    ") {
            continue;
        }
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            for rest in piece.split("](").skip(1) {
                if let Some((target, _)) = rest.split_once(')') {
                    found.push(target.split(' ').next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn the_rules_can_fail() {
    let long = (0..80)
        .map(|n| format!("    let x{n} = {n};\n"))
        .collect::<String>();
    let file = File {
        path: "core/src/x.rs".into(),
        text: format!("pub(crate) fn long() {{\n{long}}}\n\nfn short() {{}}\n"),
    };
    assert_eq!(
        functions(&file),
        [("long".to_owned(), 80), ("short".to_owned(), 1)]
    );
    assert_eq!(
        links("see [a](b.md#c) and `[x](y)`\n```\n[p](q)\n```\n"),
        ["b.md#c"]
    );
    let sizes = || [("a".to_owned(), 80), ("b".to_owned(), 60)].into_iter();
    assert_eq!(over(sizes(), 70, &[]), ["a: 80 lines"]);
    assert!(over(sizes(), 70, &[("a", 80)]).is_empty());
    assert_eq!(over(sizes(), 70, &[("a", 90), ("c", 9)]).len(), 2);
    let clock = File {
        path: "core/src/y.rs".into(),
        text: concat!("let t = Instant", "::now();\n").into(),
    };
    assert_eq!(
        lines_with(&[clock], &[concat!("Instant", "::now")], |_| false).len(),
        1
    );
}
