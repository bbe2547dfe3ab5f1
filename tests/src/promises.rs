//! Every promise has an address: docs/promises.md names, for each S-number of docs/protocol.md section 11, the code of the
//! server and of the client that keeps it and the tests that prove it, and each of them must cite the number.

use crate::repository::{File, read, rust_files, text_files};

/// Promises in the specification.
const COUNT: usize = 67;

/// One row of the table.
struct Promise {
    name: String,
    code: Vec<String>,
    tests: Vec<String>,
}

/// The names in a cell.
fn names(cell: &str) -> Vec<String> {
    cell.split_whitespace()
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

fn table() -> Vec<Promise> {
    let text = read("docs/promises.md");
    let rows = text.lines().filter(|line| line.starts_with("| S"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "five columns: {row}");
        Promise {
            name: cells[0].to_owned(),
            code: names(cells[3]),
            tests: names(cells[4]),
        }
    })
    .collect()
}

/// The text contains the number as a word of its own.
fn cites(text: &str, number: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == number)
}

/// A title of a test in TypeScript cites the number: what the runner prints then tells which promise broke.
fn title_cites(text: &str, number: &str) -> bool {
    let title = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("test") || line.starts_with("describe")
    };
    text.lines().filter(title).any(|line| cites(line, number))
}

/// What is wrong with a file that is said to keep a promise.
fn code_fault(promise: &Promise, path: &str) -> Option<String> {
    let ours = ["core/src/", "runtime/src/", "mysql/src/", "client/src/"]
        .iter()
        .any(|root| path.starts_with(root));
    let file = File {
        path: path.to_owned(),
        text: String::new(),
    };
    if !ours || file.is_test() {
        return Some(format!(
            "{}: {path} is no code of the server or the client",
            promise.name
        ));
    }
    let cited = cites(&read(path), &promise.name);
    (!cited).then(|| format!("{}: {path} does not cite it", promise.name))
}

/// What is wrong with a test a promise names.
fn test_fault(files: &[File], promise: &Promise, test: &str) -> Option<String> {
    let parts: Vec<&str> = test.split("::").collect();
    let (path, function) = match parts.as_slice() {
        ["golden", topic] => (format!("tests/golden/{topic}.txt"), None),
        ["end_to_end", file, function] => (format!("tests/tests/end_to_end/{file}.rs"), Some(*function)),
        ["browser", file] => (format!("client/e2e/{file}.spec.ts"), None),
        ["client", file] => (format!("client/test/{file}.test.ts"), None),
        _ => return Some(format!("{}: {test} is no test we know", promise.name)),
    };
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return Some(format!("{}: {path} is missing", promise.name));
    };
    let there = function.is_none_or(|name| file.text.contains(&format!("fn {name}(")));
    let cited = if path.ends_with(".ts") {
        title_cites(&file.text, &promise.name)
    } else {
        cites(&file.text, &promise.name)
    };
    if !there {
        Some(format!("{}: there is no test {test}", promise.name))
    } else if cited {
        None
    } else {
        Some(format!("{}: {path} does not cite it", promise.name))
    }
}

/// Which side a promise has code on but no test.
fn gaps(promise: &Promise) -> Vec<String> {
    let has = |roots: &[&str]| {
        let mut tests = promise.tests.iter();
        tests.any(|test| roots.iter().any(|root| test.starts_with(root)))
    };
    let is_client = |path: &String| path.starts_with("client/src/");
    let mut gaps = Vec::new();
    if promise.code.is_empty() {
        gaps.push(format!("{}: no code", promise.name));
    }
    if !promise.code.iter().all(is_client) && !has(&["golden::", "end_to_end::"]) {
        gaps.push(format!("{}: no test of the server", promise.name));
    }
    if promise.code.iter().any(is_client) && !has(&["browser::", "client::"]) {
        gaps.push(format!("{}: no test of the client", promise.name));
    }
    gaps
}

#[test]
fn the_table_is_complete() {
    let names: Vec<String> = table().into_iter().map(|promise| promise.name).collect();
    let expected: Vec<String> = (1..=COUNT).map(|number| format!("S{number}")).collect();
    assert_eq!(names, expected);
    let spec = read("docs/protocol.md");
    let number = |line: &str| line.strip_prefix("| S")?.split(' ').next()?.parse::<usize>().ok();
    let specified = spec.lines().filter_map(number).count();
    assert_eq!(specified, COUNT, "the specification has as many");
}

#[test]
fn every_promise_has_code_and_tests_that_cite_it() {
    let files = text_files();
    let mut faults = Vec::new();
    for promise in table() {
        faults.extend(gaps(&promise));
        faults.extend(promise.code.iter().filter_map(|path| code_fault(&promise, path)));
        let tests = promise.tests.iter();
        faults.extend(tests.filter_map(|test| test_fault(&files, &promise, test)));
    }
    assert!(
        faults.is_empty(),
        "{} promises without an address:\n  {}",
        faults.len(),
        faults.join("\n  ")
    );
}

#[test]
fn nothing_cites_a_promise_that_is_none() {
    let mut wrong = Vec::new();
    let is_client = |file: &File| file.path.starts_with("client/") && file.path.ends_with(".ts");
    let client = text_files().into_iter().filter(is_client);
    for file in rust_files().into_iter().chain(client) {
        for word in file.text.split(|c: char| !c.is_ascii_alphanumeric()) {
            let number = word
                .strip_prefix('S')
                .filter(|digits| !digits.is_empty() && digits.len() <= 3);
            if let Some(Ok(number)) = number.map(str::parse::<usize>)
                && !(1..=COUNT).contains(&number)
            {
                wrong.push(format!("{}: {word}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "unknown promises: {wrong:?}");
}
