//! Every promise has an address: docs/promises.md names, for each S-number of docs/protocol.md section 11, the code that
//! keeps it and the tests that prove it, and each of them must cite the number.

use crate::repository::{File, read, rust_files, text_files};

/// Promises in the specification.
const COUNT: usize = 67;

/// One row of the table.
struct Promise {
    name: String,
    code: String,
    tests: Vec<String>,
}

fn table() -> Vec<Promise> {
    let text = read("docs/promises.md");
    let rows = text.lines().filter(|line| line.starts_with("| S"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "five columns: {row}");
        let tests = cells[4]
            .split_whitespace()
            .map(|test| test.trim_matches('`').to_owned());
        Promise {
            name: cells[0].to_owned(),
            code: cells[3].trim_matches('`').to_owned(),
            tests: tests.filter(|test| test != "–").collect(),
        }
    })
    .collect()
}

/// The text contains the number as a word of its own.
fn cites(text: &str, number: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| word == number)
}

/// What is wrong with the code a promise names.
fn code_fault(promise: &Promise) -> Option<String> {
    let server = ["core/src/", "runtime/src/", "mysql/src/"]
        .iter()
        .any(|root| promise.code.starts_with(root));
    let file = File {
        path: promise.code.clone(),
        text: String::new(),
    };
    if !server || file.is_test() {
        return Some(format!(
            "{}: {} is no code of the server",
            promise.name, promise.code
        ));
    }
    let cited = cites(&read(&promise.code), &promise.name);
    (!cited).then(|| format!("{}: {} does not cite it", promise.name, promise.code))
}

/// What is wrong with a test a promise names.
fn test_fault(promise: &Promise, test: &str) -> Option<String> {
    let parts: Vec<&str> = test.split("::").collect();
    let (path, function) = match parts.as_slice() {
        ["golden", topic] => (format!("tests/golden/{topic}.txt"), None),
        ["end_to_end", file, function] => (format!("tests/tests/end_to_end/{file}.rs"), Some(*function)),
        _ => return Some(format!("{}: {test} is no test we know", promise.name)),
    };
    let files = text_files();
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return Some(format!("{}: {path} is missing", promise.name));
    };
    let there = function.is_none_or(|name| file.text.contains(&format!("fn {name}(")));
    if !there {
        Some(format!("{}: there is no test {test}", promise.name))
    } else if cites(&file.text, &promise.name) {
        None
    } else {
        Some(format!("{}: {path} does not cite it", promise.name))
    }
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
    let mut faults = Vec::new();
    for promise in table() {
        if promise.code == "client" {
            continue;
        }
        faults.extend(code_fault(&promise));
        if promise.tests.is_empty() {
            faults.push(format!("{}: no test", promise.name));
        }
        faults.extend(promise.tests.iter().filter_map(|test| test_fault(&promise, test)));
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
    for file in rust_files() {
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
