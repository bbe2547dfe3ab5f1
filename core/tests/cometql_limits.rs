//! Every limit at n and n + 1, and hostile statements (protocol.md 7.2, 7.3, 7.5).

use comet_core::cometql::{Limits, Param, Statement, parse, prepare};
use comet_core::{Config, ErrorCode};
use proptest::prelude::*;

fn limits() -> Limits {
    Limits::of(&Config::default())
}

fn outcome(statement: &str) -> Result<Statement, ErrorCode> {
    parse(statement.as_bytes(), &limits()).map_err(|error| error.code)
}

/// `make(n)` is accepted and `make(n + 1)` refused with `code`.
fn edge(n: usize, code: ErrorCode, make: impl Fn(usize) -> String) {
    assert!(outcome(&make(n)).is_ok(), "{n} refused");
    assert_eq!(outcome(&make(n + 1)), Err(code), "{} accepted", n + 1);
}

fn list(n: usize, item: &str) -> String {
    vec![item; n].join(",")
}

/// A pattern made for matchers that try again: with those this would take minutes.
#[test]
fn like_is_linear_in_the_text() {
    let text = "a".repeat(262_144);
    let pattern = format!("%{}%{}b", "a".repeat(100), "_a".repeat(70));
    for _ in 0..20 {
        assert!(!comet_core::cometql::like(&text, &pattern));
    }
    assert!(comet_core::cometql::like(&text, &pattern.replace('b', "a")));
}

#[test]
fn like_patterns() {
    edge(Limits::PATTERN_BYTES_MAX, ErrorCode::TooLong, |n| {
        format!("SHOW VARIABLES LIKE '{}'", "x".repeat(n))
    });
    edge(Limits::PATTERN_BYTES_MAX, ErrorCode::TooLong, |n| {
        format!(
            "SELECT * FROM pipes WHERE users = 1 AND (NOT name LIKE '{}')",
            "%".repeat(n)
        )
    });
}

#[test]
fn conditions() {
    let many = |n, how: &str| vec!["users = 1"; n].join(how);
    edge(10, ErrorCode::TooManyConditions, |n| {
        format!("SELECT * FROM pipes WHERE {}", many(n, " AND "))
    });
    edge(10, ErrorCode::TooManyConditions, |n| {
        format!("SELECT * FROM pipes WHERE ({}) OR users = 2", many(n - 1, " OR "))
    });
    let mut wide = limits();
    wide.conditions_max = 100_000;
    let text = format!("SELECT * FROM pipes WHERE {}", many(30_000, " OR "));
    assert!(parse(text.as_bytes(), &wide).is_ok());
}

#[test]
fn values() {
    edge(Limits::VALUES_MAX, ErrorCode::TooManyValues, |n| {
        format!("SELECT * FROM pipes WHERE users IN ({})", list(n, "1"))
    });
}

#[test]
fn columns() {
    edge(Limits::COLUMNS_MAX, ErrorCode::TooManyColumns, |n| {
        format!("SELECT {} FROM pipes", list(n, "name"))
    });
    edge(Limits::COLUMNS_MAX, ErrorCode::TooManyColumns, |n| {
        format!("SELECT {}", list(n, "@@version"))
    });
    edge(Limits::COLUMNS_MAX, ErrorCode::TooManyNames, |n| {
        format!("SELECT * FROM pipes ORDER BY {}", list(n, "name"))
    });
    let insert = |names: usize, values: usize| {
        outcome(&format!(
            "INSERT INTO pipes_settings ({}) VALUES ({})",
            list(names, "name"),
            list(values, "'abc'")
        ))
    };
    assert_eq!(insert(20, 20), Err(ErrorCode::KeyRequired));
    assert_eq!(insert(21, 20), Err(ErrorCode::TooManyColumns));
    assert_eq!(insert(1, 20), Err(ErrorCode::ColumnList));
    assert_eq!(insert(1, 21), Err(ErrorCode::TooManyColumns));
}

#[test]
fn depth() {
    edge(Limits::DEPTH_MAX, ErrorCode::Syntax, |n| {
        format!(
            "SELECT * FROM pipes WHERE {}users = 1{}",
            "(".repeat(n),
            ")".repeat(n)
        )
    });
    edge(Limits::DEPTH_MAX, ErrorCode::Syntax, |n| {
        format!("SELECT * FROM pipes WHERE {}users = 1", "NOT ".repeat(n))
    });
    edge(Limits::DEPTH_MAX / 2, ErrorCode::Syntax, |n| {
        format!(
            "SELECT * FROM pipes WHERE {}users = 1{}",
            "NOT (".repeat(n),
            ")".repeat(n)
        )
    });
}

/// Q46, Q59, Q79 and `max_message_body`.
#[test]
fn lengths_of_values() {
    edge(32, ErrorCode::TooLong, |n| {
        format!(
            "INSERT INTO users_auth (id, hash) VALUES (1, '{}')",
            "a".repeat(n)
        )
    });
    edge(64, ErrorCode::TooLong, |n| {
        format!("INSERT INTO pipes_settings (name) VALUES ('{}')", "a".repeat(n))
    });
    edge(64, ErrorCode::TooLong, |n| {
        format!(
            "INSERT INTO pipes_messages (name, event, message) VALUES ('abc', '{}', '')",
            "a".repeat(n)
        )
    });
    edge(600, ErrorCode::TooLong, |n| {
        format!("INSERT INTO revoked_tokens (token) VALUES ('{}')", "a".repeat(n))
    });
    // Bytes count, not characters.
    edge(300, ErrorCode::TooLong, |n| {
        format!("INSERT INTO revoked_tokens (token) VALUES ('{}')", "ü".repeat(n))
    });
    for insert in [
        "INSERT INTO users_data (id, data) VALUES (1, '",
        "INSERT INTO users_messages (id, event, message) VALUES (1, '', '",
        "INSERT INTO pipes_messages (name, event, message) VALUES ('abc', '', '",
    ] {
        edge(limits().body_bytes_max, ErrorCode::TooLong, |n| {
            format!("{insert}{}')", "a".repeat(n))
        });
    }
    // The decoded text counts.
    edge(limits().body_bytes_max, ErrorCode::TooLong, |n| {
        format!(
            "INSERT INTO users_data (id, data) VALUES (1, '{}')",
            "''".repeat(n)
        )
    });
}

/// A megabyte of anything is answered without recursion beyond the budget and without a panic.
#[test]
fn hostile_statements_in_a_small_stack() {
    let run = || {
        let long = |piece: &str, before: &str| {
            let mut text = String::from(before);
            while text.len() + piece.len() <= limits().query_bytes_max {
                text.push_str(piece);
            }
            text
        };
        let select = "SELECT * FROM pipes WHERE ";
        for text in [
            long("(", ""),
            long("(", select),
            long("NOT ", select),
            long("NOT(", select),
            long("users=1 AND ", select),
            long("users IN (", select),
            long("/*", select),
            long("/**/", select),
            long("-- \n", select),
            long("'", select),
            long("''", "SELECT * FROM pipes WHERE name = "),
            long("\\'", "SELECT * FROM pipes WHERE name = '"),
            long("1", "SELECT * FROM pipes WHERE users = "),
            long("@@a,", "SELECT "),
            long("SELECT ", ""),
            long(";", "SELECT 1"),
            long("'\"`;", "SELECT 1 "),
            long("(1),", "INSERT INTO pipes_settings (name) VALUES "),
            long("SET ", ""),
            long("[", "INSERT INTO users_data (id, data) VALUES (1,'\\n"),
        ] {
            let direct = parse(text.as_bytes(), &limits());
            let prepared = prepare(text.as_bytes(), &limits());
            assert_eq!(
                direct.is_err(),
                prepared.and_then(|p| p.bind(&[], &limits())).is_err()
            );
        }
        // The deepest statement that is accepted can be evaluated and dropped, too.
        let deepest = format!(
            "SELECT * FROM pipes WHERE {}users = 1",
            "NOT ".repeat(Limits::DEPTH_MAX)
        );
        assert!(outcome(&deepest).is_ok());
    };
    let thread = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(run)
        .expect("a thread");
    thread.join().expect("no panic");
}

/// `?` are counted in 16 bits on the wire.
#[test]
fn parameters() {
    let rows = |n| format!("INSERT INTO pipes_settings (name) VALUES {}", list(n, "(?)"));
    let prepared = prepare(rows(65_535).as_bytes(), &limits()).expect("as many as the protocol can count");
    assert_eq!(prepared.params(), 65_535);
    let names = vec![Param::Text("abc".into()); 65_535];
    assert!(prepared.bind(&names, &limits()).is_ok());
    let error = prepare(rows(65_536).as_bytes(), &limits()).map_err(|error| error.code);
    assert_eq!(error, Err(ErrorCode::TooManyValues));
}

/// Pieces that make parsers stumble, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("SELECT "),
        Just("INSERT INTO "),
        Just("DELETE FROM "),
        Just("SHOW "),
        Just("SET "),
        Just("USE "),
        Just("* "),
        Just("COUNT(*) "),
        Just("FROM "),
        Just("WHERE "),
        Just("VALUES "),
        Just("VARIABLES "),
        Just("STATUS "),
        Just("LIKE "),
        Just("NOT "),
        Just("IN "),
        Just("BETWEEN "),
        Just("AND "),
        Just("OR "),
        Just("IS "),
        Just("NULL "),
        Just("ORDER BY "),
        Just("LIMIT "),
        Just("OFFSET "),
        Just("AS "),
        Just("pipes "),
        Just("users_auth "),
        Just("users_time "),
        Just("pipes_messages "),
        Just("name "),
        Just("id "),
        Just("users "),
        Just("hash "),
        Just("message "),
        Just("information_schema"),
        Just("("),
        Just(") "),
        Just(", "),
        Just("= "),
        Just("<> "),
        Just("@@"),
        Just("."),
        Just("? "),
        Just("1 "),
        Just("-1.5 "),
        Just("'a' "),
        Just("'"),
        Just("\""),
        Just("`"),
        Just("\\"),
        Just("; "),
        Just("/*"),
        Just("*/"),
        Just("-- "),
        Just("# "),
        Just("\n"),
        Just("ü"),
        Just("\u{0}"),
    ];
    proptest::collection::vec(piece, 1..40).prop_map(|pieces| pieces.concat())
}

/// What an INSERT takes while it waits is counted row by row and with its texts, whatever the table.
#[test]
fn an_insert_knows_its_rows_and_their_size() {
    let insert = |text: &str| match outcome(text) {
        Ok(Statement::Insert(insert)) => insert,
        other => panic!("{text}: {other:?}"),
    };
    for (into, row, longer, text) in [
        ("users_auth (id, hash)", "(1, 'a')", "(1, 'abcdef')", 0),
        ("users_data (id, data)", "(1, 'a')", "(1, 'abcdef')", 5),
        (
            "users_messages (id, event, message)",
            "(1, 'e', 'a')",
            "(1, 'e', 'abcdef')",
            5,
        ),
        (
            "pipes_messages (name, event, message)",
            "('nam', 'e', 'a')",
            "('nam', 'e', 'abcdef')",
            5,
        ),
        ("pipes_settings (name, length)", "('nam', 1)", "('nam', 99)", 0),
        ("revoked_tokens (token)", "('a')", "('abcdef')", 5),
    ] {
        let one = insert(&format!("INSERT INTO {into} VALUES {row}"));
        let three = insert(&format!("INSERT INTO {into} VALUES {row}, {row}, {row}"));
        assert_eq!((one.rows(), three.rows()), (1, 3), "{into}");
        assert!(one.bytes() >= 96, "{into}");
        assert_eq!(three.bytes(), 3 * one.bytes(), "{into}");
        let long = insert(&format!("INSERT INTO {into} VALUES {longer}"));
        assert_eq!(long.bytes(), one.bytes() + text, "{into}");
    }
}

/// What a prepared statement takes is a bound that grows with its text.
#[test]
fn a_prepared_statement_knows_its_size() {
    let memory = |text: &str| prepare(text.as_bytes(), &limits()).map(|prepared| prepared.memory());
    let short = memory("SELECT * FROM pipes").unwrap_or_default();
    let long = memory("SELECT * FROM pipes WHERE name IN ('a', 'b', 'c')").unwrap_or_default();
    assert!(short > size_of::<comet_core::cometql::Prepared>() + 19);
    assert_eq!(long - short, 30 * 17);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &limits());
        let _ = prepare(&bytes, &limits());
    }

    #[test]
    fn pieces_never_panic(text in pieces()) {
        let direct = parse(text.as_bytes(), &limits());
        let prepared = prepare(text.as_bytes(), &limits());
        if let Ok(statement) = &direct {
            let prepared = prepared.as_ref().expect("what can be parsed can be prepared");
            prop_assert_eq!(prepared.columns(), statement.columns());
        }
        if let Ok(prepared) = prepared {
            for param in [Param::Null, Param::Int(-1), Param::UInt(u64::MAX), Param::Text("a'\\".into())] {
                let _ = prepared.bind(&vec![param; prepared.params()], &limits());
            }
        }
    }
}
