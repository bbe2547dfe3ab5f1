//! WHERE, ORDER BY, LIMIT and COUNT(*) against SQLite, row by row (protocol.md 7.3; Q42, Q43).
//!
//! SQLite agrees with MySQL on all of it, given two spellings: it knows no backslash in literals, and LIKE has to
//! be told the escape character.

use comet_core::Config;
use comet_core::cometql::{Cell, Delete, Limits, Row, Rows, Select, Statement, choose, like, parse, select};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;

const COLUMNS: [&str; 3] = ["name", "user_id", "language"];

/// The same piece of a statement for both.
#[derive(Clone, Debug)]
struct Both {
    ours: String,
    sqlite: String,
}

impl Both {
    fn same(text: &str) -> Self {
        Self {
            ours: text.into(),
            sqlite: text.into(),
        }
    }

    fn quoted(text: &str) -> Self {
        Self {
            ours: format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            sqlite: format!("'{}'", text.replace('\'', "''")),
        }
    }

    fn map(&self, change: impl Fn(&str) -> String) -> Self {
        Self {
            ours: change(&self.ours),
            sqlite: change(&self.sqlite),
        }
    }

    fn join(parts: &[Self], between: &str) -> Self {
        let all = |piece: fn(&Self) -> &str| parts.iter().map(piece).collect::<Vec<_>>().join(between);
        Self {
            ours: all(|both| &both.ours),
            sqlite: all(|both| &both.sqlite),
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_string()),
        Just("10".into()),
        Just("9".into()),
        "[abA%_\\\\ü'1]{0,4}"
    ]
}

fn text_value() -> impl Strategy<Value = Both> {
    prop_oneof![
        6 => any_text().prop_map(|text| Both::quoted(&text)),
        1 => (0i64..20).prop_map(|n| Both::same(&n.to_string())),
        1 => Just(Both::same("NULL")),
    ]
}

fn number_value() -> impl Strategy<Value = Both> {
    prop_oneof![
        6 => (-3i64..12).prop_map(|n| Both::same(&n.to_string())),
        1 => (-3i64..12).prop_map(|n| Both::quoted(&n.to_string())),
        1 => (-3i64..12).prop_map(|n| Both::same(&format!("{n}.5"))),
        1 => (0i64..12).prop_map(|n| Both::quoted(&format!("-{n}.50"))),
        1 => (0i64..12).prop_map(|n| Both::same(&format!("00{n}.0"))),
        1 => Just(Both::same("99999999999999999999999")),
        1 => Just(Both::same("-99999999999999999999999.5")),
        1 => Just(Both::same("NULL")),
    ]
}

/// A column and values that suit it.
fn column_and_values(count: usize) -> impl Strategy<Value = (&'static str, Vec<Both>)> {
    prop_oneof![
        (Just("name"), proptest::collection::vec(text_value(), count)),
        (Just("language"), proptest::collection::vec(text_value(), count)),
        (Just("user_id"), proptest::collection::vec(number_value(), count)),
    ]
}

/// Patterns that do not end in a lone backslash, about which SQLite thinks otherwise.
fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("%"),
        Just("_"),
        Just("a"),
        Just("b"),
        Just("A"),
        Just("ü"),
        Just("1"),
        Just("-"),
        Just("\\%"),
        Just("\\_"),
        Just("\\\\"),
        Just("\\a"),
        Just("'"),
    ];
    proptest::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn condition() -> impl Strategy<Value = Both> {
    let not = prop_oneof![Just(""), Just("NOT ")];
    prop_oneof![
        (
            column_and_values(1),
            prop_oneof![
                Just("="),
                Just("!="),
                Just("<>"),
                Just("<"),
                Just("<="),
                Just(">"),
                Just(">=")
            ]
        )
            .prop_map(|((column, values), how)| values[0].map(|value| format!("{column} {how} {value}"))),
        ((1usize..5).prop_flat_map(column_and_values), not.clone()).prop_map(|((column, values), not)| {
            Both::join(&values, ", ").map(|values| format!("{column} {not}IN ({values})"))
        }),
        (column_and_values(2), not.clone()).prop_map(|((column, values), not)| {
            Both::join(&values, " AND ").map(|values| format!("{column} {not}BETWEEN {values}"))
        }),
        (proptest::sample::select(&COLUMNS[..]), pattern(), not.clone()).prop_map(
            |(column, pattern, not)| {
                let pattern = Both::quoted(&pattern);
                Both {
                    ours: format!("{column} {not}LIKE {}", pattern.ours),
                    sqlite: format!("{column} {not}LIKE {} ESCAPE '\\'", pattern.sqlite),
                }
            }
        ),
        (proptest::sample::select(&COLUMNS[..]), not)
            .prop_map(|(column, not)| Both::same(&format!("{column} IS {not}NULL"))),
    ]
}

fn filter() -> impl Strategy<Value = Both> {
    condition().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| Both::join(&parts, " AND ")),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| Both::join(&parts, " OR ")),
            inner
                .clone()
                .prop_map(|inner| inner.map(|text| format!("NOT {text}"))),
            inner.prop_map(|inner| inner.map(|text| format!("({text})"))),
        ]
    })
}

fn order() -> impl Strategy<Value = String> {
    let key = (
        proptest::sample::select(&COLUMNS[..]),
        prop_oneof![Just(""), Just(" ASC"), Just(" DESC")],
    );
    proptest::collection::vec(key.prop_map(|(column, way)| format!("{column}{way}")), 0..4)
        .prop_map(|keys| keys.join(", "))
}

fn limit() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (0u8..6).prop_map(|count| format!("LIMIT {count}")),
        (0u8..4, 0u8..6).prop_map(|(offset, count)| format!("LIMIT {offset}, {count}")),
        (0u8..4, 0u8..6).prop_map(|(offset, count)| format!("LIMIT {count} OFFSET {offset}")),
    ]
}

fn rows() -> impl Strategy<Value = Vec<(String, i64, String)>> {
    proptest::collection::vec((any_text(), -3i64..12, any_text()), 0..9)
}

fn sqlite(rows: &[(String, i64, String)]) -> Connection {
    let connection = Connection::open_in_memory().expect("a database in memory");
    connection
        .execute_batch(
            "PRAGMA case_sensitive_like=ON;
             CREATE TABLE users_in_pipes (name TEXT, user_id INTEGER, language TEXT);",
        )
        .expect("a table");
    for row in rows {
        connection
            .execute(
                "INSERT INTO users_in_pipes VALUES (?, ?, ?)",
                (&row.0, row.1, &row.2),
            )
            .expect("a row");
    }
    connection
}

fn ask(connection: &Connection, query: &str) -> Vec<Row> {
    let mut statement = connection
        .prepare(query)
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let width = statement.column_count();
    let cell = |value| match value {
        Sql::Integer(number) => Cell::Int(number),
        Sql::Text(text) => Cell::text(&text),
        Sql::Null | Sql::Real(_) | Sql::Blob(_) => panic!("a value of another type"),
    };
    let rows = statement
        .query_map((), |row| {
            (0..width)
                .map(|at| row.get(at).map(cell))
                .collect::<Result<Row, _>>()
        })
        .expect("an answer");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// Rows of `users_in_pipes`: seven columns, of which three vary.
fn candidates(rows: &[(String, i64, String)]) -> Vec<Row> {
    let row = |(name, user, language): &(String, i64, String)| {
        let fixed = || Cell::text("");
        let cells = [
            Cell::text(name),
            Cell::Int(*user),
            fixed(),
            fixed(),
            fixed(),
            fixed(),
            Cell::text(language),
        ];
        cells.to_vec()
    };
    rows.iter().map(row).collect()
}

fn parsed(text: &str) -> Select {
    let mut limits = Limits::of(&Config::default());
    limits.conditions_max = 1000;
    match parse(text.as_bytes(), &limits) {
        Ok(Statement::Select(select)) => select,
        other => panic!("{text}: {other:?}"),
    }
}

fn answer(text: &str, rows: &[(String, i64, String)]) -> Rows {
    select(&parsed(text), candidates(rows))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_sqlite(rows in rows(), filter in filter(), order in order(), limit in limit()) {
        let connection = sqlite(&rows);
        let by = |ours: bool| match (order.is_empty(), ours) {
            (true, true) => String::new(),
            (true, false) => "ORDER BY rowid".into(),
            (false, true) => format!("ORDER BY {order}"),
            (false, false) => format!("ORDER BY {order}, rowid"),
        };
        let tail = format!("{} {limit}", by(true));
        let sqlite_tail = format!("{} {limit}", by(false));
        let columns = "language, user_id, name";
        let ours = format!("SELECT {columns} FROM users_in_pipes WHERE {} {tail}", filter.ours);
        let theirs = format!("SELECT {columns} FROM users_in_pipes WHERE {} {sqlite_tail}", filter.sqlite);
        prop_assert_eq!(answer(&ours, &rows).rows, ask(&connection, &theirs), "{}", ours);

        let ours = format!("SELECT COUNT(*) FROM users_in_pipes WHERE {} {limit}", filter.ours);
        let theirs = format!("SELECT COUNT(*) FROM users_in_pipes WHERE {} {limit}", filter.sqlite);
        prop_assert_eq!(answer(&ours, &rows).rows, ask(&connection, &theirs), "{}", ours);

        // DELETE means the rows that SELECT with the same clauses shows.
        let select = parsed(&format!("SELECT * FROM users_in_pipes WHERE {} {tail}", filter.ours));
        let theirs = format!("SELECT rowid FROM users_in_pipes WHERE {} {sqlite_tail}", filter.sqlite);
        let delete = Delete {
            table: select.table,
            keys: select.keys,
            filter: select.filter,
            order: select.order,
            limit: select.limit,
        };
        let mut chosen: Vec<Cell> = ask(&connection, &theirs).into_iter().flatten().collect();
        chosen.sort();
        let ours = choose(&delete, &candidates(&rows)).into_iter().map(|at| Cell::Int(at as i64 + 1));
        prop_assert_eq!(ours.collect::<Vec<_>>(), chosen);
    }
}

/// A text that is no number equals no number and cannot be compared with one.
#[test]
fn numbers_and_other_texts() {
    let rows: Vec<_> = (0..3).map(|n| (String::new(), n, String::new())).collect();
    let count = |condition: &str| {
        answer(
            &format!("SELECT user_id FROM users_in_pipes WHERE {condition}"),
            &rows,
        )
        .rows
        .len()
    };
    assert_eq!(count("user_id = 'abc'"), 0);
    assert_eq!(count("user_id = ''"), 0);
    assert_eq!(count("user_id = '1x'"), 0);
    assert_eq!(count("user_id IN ('abc', '1')"), 1);
    assert_eq!(count("user_id != 'abc'"), 3);
    assert_eq!(count("user_id < 'abc' OR user_id >= 'abc'"), 0);
    assert_eq!(count("user_id BETWEEN 'abc' AND 5"), 0);
}

#[test]
fn like_patterns() {
    for (text, pattern, expected) in [
        ("", "", true),
        ("", "%", true),
        ("", "_", false),
        ("abc", "abc", true),
        ("abc", "ABC", false),
        ("abc", "a%", true),
        ("abc", "%c", true),
        ("abc", "%b%", true),
        ("abc", "a_c", true),
        ("abc", "__", false),
        ("aüc", "a_c", true),
        ("a%c", "a\\%c", true),
        ("abc", "a\\%c", false),
        ("a_c", "a\\_c", true),
        ("a\\", "a\\", true),
        ("a\\", "a\\\\", true),
        ("aab", "%ab", true),
        ("abab", "%ab", true),
        ("ababa", "%aba", true),
        ("abcabd", "%ab_d%", false),
        ("abcabxd", "%ab_d%", true),
    ] {
        assert_eq!(like(text, pattern), expected, "{text} LIKE {pattern}");
    }
}

/// Many `%` cost a product of lengths, not a power.
#[test]
fn like_does_not_explode() {
    let text = "a".repeat(2_000);
    assert!(!like(&text, &format!("{}b", "%a".repeat(500))));
    assert!(like(&text, &format!("{}%", "%a".repeat(500))));
}
