//! Golden table: what each statement is answered (protocol.md 7.3, 7.5 – 7.16, appendix A).
//!
//! `cometql_golden/*.txt` hold one statement per line, behind the code it gets; `ok` stands for accepted. Lines that
//! begin with `//` are titles.

use comet_core::cometql::{Limits, parse, prepare};
use comet_core::{Config, ErrorCode};

fn limits() -> Limits {
    Limits::of(&Config::default())
}

fn outcome(statement: &str) -> String {
    match parse(statement.as_bytes(), &limits()) {
        Ok(_) => "ok".into(),
        Err(error) => error.code.number().to_string(),
    }
}

fn check(table: &str) {
    let mut wrong = Vec::new();
    for line in table
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
    {
        let (expected, statement) = line.split_once('\t').expect("a tab behind the code");
        let found = outcome(statement);
        if found != expected {
            wrong.push(format!("{statement}\n    expected {expected}, found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn published_statements() {
    check(include_str!("cometql_golden/published.txt"));
}

/// Q41, Q42, Q43.
#[test]
fn grammar() {
    check(include_str!("cometql_golden/grammar.txt"));
}

/// Q32, Q46, Q48, Q56, Q79.
#[test]
fn tables() {
    check(include_str!("cometql_golden/tables.txt"));
}

/// Q49.
#[test]
fn show_and_constants() {
    check(include_str!("cometql_golden/show.txt"));
}

/// A statement that cannot be parsed is that for a prepared statement, too; one that can has no parameters.
#[test]
fn prepared_agrees() {
    for table in [
        include_str!("cometql_golden/published.txt"),
        include_str!("cometql_golden/grammar.txt"),
        include_str!("cometql_golden/tables.txt"),
        include_str!("cometql_golden/show.txt"),
    ] {
        let lines = table.lines().filter_map(|line| line.split_once('\t'));
        for (_, statement) in lines.filter(|(_, statement)| !statement.contains('?')) {
            let direct = parse(statement.as_bytes(), &limits());
            let prepared = prepare(statement.as_bytes(), &limits());
            if let Ok(prepared) = &prepared {
                assert_eq!(prepared.params(), 0, "{statement}");
            }
            let bound = prepared.and_then(|prepared| prepared.bind(&[], &limits()));
            assert_eq!(direct, bound, "{statement}");
        }
    }
}

/// protocol.md 7.2: length, then UTF-8, then NUL.
#[test]
fn bytes_of_a_statement() {
    let code = |bytes: &[u8]| parse(bytes, &limits()).map_err(|error| error.code);
    assert_eq!(code(b""), Err(ErrorCode::TooShort));
    assert_eq!(code(b";;;"), Err(ErrorCode::TooShort));
    assert!(code(b";;;;").is_ok());
    assert_eq!(code(b"SELECT \xff1"), Err(ErrorCode::InvalidData));
    assert_eq!(code(b"SELECT\0 1"), Err(ErrorCode::Syntax));
    assert_eq!(code(b"SELECT 1\0"), Err(ErrorCode::Syntax));
    assert_eq!(code(b"SELECT 1 AS 'a\0b'"), Err(ErrorCode::Syntax));

    let longest = format!("SELECT 1{}", " ".repeat(limits().query_bytes_max - 8));
    assert!(code(longest.as_bytes()).is_ok());
    assert_eq!(code(format!("{longest} ").as_bytes()), Err(ErrorCode::TooLong));
}
