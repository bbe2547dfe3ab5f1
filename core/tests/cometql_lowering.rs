//! What statements turn into: typed values, keys, labels, conditions (protocol.md 7.3 – 7.14).

use comet_core::cometql::{
    Cell, Comparison, Constant, Delete, Expr, HostScope, Insert, Keys, Limit, Limits, NewMessage, NewPrivate,
    NewSetting, OrderBy, Output, Param, SERVER_VERSION, Select, Show, Statement, Table, parse, prepare,
};
use comet_core::{
    Body, ChannelName, Config, ErrorCode, EventName, HistoryLength, MessageId, QueryError, Token, UserId,
};

fn limits() -> Limits {
    Limits::of(&Config::default())
}

fn parsed(text: &str) -> Statement {
    parse(text.as_bytes(), &limits()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn selected(text: &str) -> Select {
    let Statement::Select(select) = parsed(text) else {
        panic!("not a SELECT: {text}");
    };
    select
}

fn deleted(text: &str) -> Delete {
    let Statement::Delete(delete) = parsed(text) else {
        panic!("not a DELETE: {text}");
    };
    delete
}

fn labels(text: &str) -> Vec<String> {
    parsed(text)
        .columns()
        .iter()
        .map(|label| label.to_string())
        .collect()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::from_cometql(name).expect("a valid name")
}

fn user(id: u32) -> UserId {
    UserId::new(id).expect("a valid id")
}

#[test]
fn inserts() {
    let message = |name: &str, event: &str, body: &str| NewMessage {
        channel: channel(name),
        event: EventName::parse(event).expect("a valid event"),
        body: Body::new(body),
    };
    assert_eq!(
        parsed(
            "INSERT INTO pipes_messages (message, index, NAME, event) VALUES ('a', 9, abc, ''), (1, NULL, 'xyz', ev)"
        ),
        Statement::Insert(Insert::PipesMessages(vec![
            message("abc", "", "a"),
            message("xyz", "ev", "1")
        ]))
    );
    assert_eq!(
        parsed("INSERT INTO users_messages VALUES ('007', 9, 'ev', 'text')"),
        Statement::Insert(Insert::UsersMessages(vec![NewPrivate {
            user: user(7),
            event: EventName::parse("ev").expect("a valid event"),
            body: Body::new("text"),
        }]))
    );
    let insert = "INSERT INTO pipes_settings VALUES ('abc', 0), ('abd', 99), ('abe', 100), ('abf', NULL)";
    let Statement::Insert(Insert::PipesSettings(rows)) = parsed(insert) else {
        panic!("not an INSERT into pipes_settings");
    };
    let expected = [("abc", 0), ("abd", 99), ("abe", 99), ("abf", 0)].map(|(name, length)| NewSetting {
        channel: channel(name),
        length: HistoryLength::clamped(length),
    });
    assert_eq!(rows, expected);
}

#[test]
fn keys_of_users() {
    let keys = |condition: &str| selected(&format!("SELECT * FROM users_auth WHERE {condition}")).keys;
    assert_eq!(keys("id = 5"), Keys::Users(vec![5]));
    assert_eq!(
        keys("id IN (9, 3, '9', 0012, 3.0, 5)"),
        Keys::Users(vec![9, 3, 12, 5])
    );
    assert_eq!(
        keys("id IN (0, -3, 2147483647, 2147483648, 99999999999, 'abc', '', 1.5, NULL, ' 7', 1)"),
        Keys::Users(vec![2_147_483_647, 1])
    );
    assert_eq!(keys("hash = 'x' AND (id = 5 AND id = 6)"), Keys::Users(vec![5]));
    assert_eq!(keys("id = NULL"), Keys::Users(vec![]));
    let times = selected("SELECT * FROM users_time WHERE id IN (0, 2, -1, 0)").keys;
    assert_eq!(times, Keys::Users(vec![0, 2]));
    assert_eq!(selected("SELECT * FROM users_time").keys, Keys::All);
    assert_eq!(selected("SELECT * FROM users_time WHERE id > 5").keys, Keys::All);
}

#[test]
fn keys_of_other_tables() {
    let keys = selected("SELECT * FROM pipes WHERE name IN ('xyz', 'ab', 'a b', abc, 'xyz')").keys;
    assert_eq!(keys, Keys::Channels(vec![channel("xyz"), channel("abc")]));
    let keys = deleted("DELETE FROM revoked_tokens WHERE token IN ('b', '', 'a')").keys;
    let token = |text: &str| Token::parse(text).expect("a valid token");
    assert_eq!(keys, Keys::Tokens(vec![token("b"), token("a")]));
    assert_eq!(selected("SELECT * FROM profiler WHERE tag = 'a'").keys, Keys::All);

    let id = "0190b3a0-0000-7000-8000-000000000001";
    let keys = deleted(&format!(
        "DELETE FROM pipes_messages WHERE id IN ('{id}', 'x', '{id}')"
    ))
    .keys;
    assert_eq!(keys, Keys::Messages(vec![MessageId::parse(id).expect("an id")]));
    let delete = deleted(&format!(
        "DELETE FROM pipes_messages WHERE id = '{id}' AND name = 'abc'"
    ));
    assert_eq!(delete.keys, Keys::Channels(vec![channel("abc")]));
    assert!(matches!(delete.filter, Some(Expr::And(parts)) if parts.len() == 2));
}

/// Numbers are compared as numbers, texts byte for byte, whatever the literal looks like.
#[test]
fn values_take_the_type_of_the_column() {
    let value = |condition: &str| {
        let filter = selected(&format!("SELECT * FROM pipes WHERE {condition}")).filter;
        let Some(Expr::Compare { value, .. }) = filter else {
            panic!("not a comparison: {condition}");
        };
        value
    };
    assert_eq!(value("users = 0012"), Cell::Int(12));
    assert_eq!(value("users = '-5'"), Cell::Int(-5));
    assert_eq!(value("users = 5.000"), Cell::Int(5));
    assert_eq!(value("users = 9223372036854775807"), Cell::Int(i64::MAX));
    assert_eq!(value("name = 0012"), Cell::text("0012"));
    assert_eq!(value("name = abc"), Cell::text("abc"));
    assert!(matches!(value("users = 1.5"), Cell::Text(_)));
    assert!(matches!(value("users = 9223372036854775808"), Cell::Text(_)));
    // However long the literal is, comparing a row with it is cheap.
    let Cell::Text(text) = value(&format!("users = 1{}.{}", "0".repeat(10_000), "3".repeat(10_000))) else {
        panic!("a number no row can hold");
    };
    assert!(text.len() < 30);
}

#[test]
fn conditions() {
    let filter = |condition: &str| selected(&format!("SELECT * FROM pipes WHERE {condition}")).filter;
    let equals = |how, number| Expr::Compare {
        column: 1,
        how,
        value: Cell::Int(number),
    };
    // NOT binds before AND, AND before OR.
    assert_eq!(
        filter("NOT users = 1 AND users <> 2 OR users >= 3"),
        Some(Expr::Or(vec![
            Expr::And(vec![
                Expr::Not(Box::new(equals(Comparison::Equal, 1))),
                equals(Comparison::NotEqual, 2),
            ]),
            equals(Comparison::GreaterOrEqual, 3),
        ]))
    );
    assert_eq!(
        filter("users NOT IN (3, 1, '3', 'x', 2.5)"),
        Some(Expr::In {
            column: 1,
            negated: true,
            values: vec![Cell::Int(1), Cell::Int(3)],
        })
    );
    assert_eq!(
        filter("name NOT LIKE 'a\\%'"),
        Some(Expr::Like {
            column: 0,
            negated: true,
            pattern: "a\\%".into(),
        })
    );
    assert_eq!(filter("name IS NOT NULL"), Some(Expr::IsNull { negated: true }));
}

#[test]
fn order_and_limit() {
    let select = selected("SELECT * FROM pipes ORDER BY users DESC, name LIMIT 5, 10");
    let key = |column, descending| OrderBy { column, descending };
    assert_eq!(select.order, [key(1, true), key(0, false)]);
    assert_eq!(select.limit, Some(Limit { offset: 5, count: 10 }));
    let limit = |text: &str| selected(&format!("SELECT * FROM pipes LIMIT {text}")).limit;
    assert_eq!(limit("10 OFFSET 5"), Some(Limit { offset: 5, count: 10 }));
    assert_eq!(limit("007"), Some(Limit { offset: 0, count: 7 }));
}

/// Column names as written by the client, or its alias, or the table's own for `*` (7.2, 7.16).
#[test]
fn labels_of_results() {
    assert_eq!(labels("SELECT * FROM PIPES"), ["name", "users"]);
    assert_eq!(
        labels("SELECT Users, `NAME` n, 'name' AS \"a b\" FROM pipes"),
        ["Users", "n", "a b"]
    );
    assert_eq!(labels("SELECT Count( * ) FROM pipes"), ["Count( * )"]);
    assert_eq!(labels("SELECT COUNT(*) AS n FROM pipes"), ["n"]);
    assert_eq!(labels("select database()"), ["database()"]);
    assert_eq!(
        labels("SELECT @@session.x, @@Y z, 1, VERSION()"),
        ["@@session.x", "z", "1", "VERSION()"]
    );
    assert_eq!(
        labels("SELECT a, b AS c FROM information_schema.tables"),
        ["a", "c"]
    );
    assert_eq!(labels("SHOW STATUS"), ["Variable_name", "Value"]);
    assert_eq!(labels("SHOW RAM STATUS"), ["Variable_name", "Value"]);
    assert_eq!(labels("SHOW WARNINGS"), ["Level", "Code", "Message"]);
    assert_eq!(
        labels("DESC pipes"),
        ["Field", "Type", "Null", "Key", "Default", "Extra"]
    );
    assert_eq!(labels("DELETE FROM users_auth WHERE id = 1"), [""; 0]);
}

#[test]
fn constants() {
    let value = |text: &str| {
        let Statement::Constants { mut columns, .. } = parsed(&format!("SELECT {text}")) else {
            panic!("not constants: {text}");
        };
        let Some(Constant::Known { value, .. }) = columns.pop() else {
            panic!("not a known constant: {text}");
        };
        value
    };
    assert_eq!(value("1"), Cell::Int(1));
    assert_eq!(value("0012"), Cell::text("0012"));
    assert_eq!(value("VERSION()"), Cell::text(SERVER_VERSION));
    assert_eq!(
        value("@@version_comment LIMIT 1"),
        Cell::text(&Config::default().product)
    );
    assert_eq!(value("@@AUTOCOMMIT"), Cell::text("1"));
    assert_eq!(value("@@max_allowed_packet"), Cell::text("1048576"));
    assert_eq!(value("@@global.sql_mode"), Cell::text(""));
    assert_eq!(value("@@no_such_thing"), Cell::text(""));
    assert!(SERVER_VERSION.starts_with("5.7."));
    let host = |scope: &str| {
        let Statement::ShowHost { scope, facts } = parsed(&format!("SHOW {scope} STATUS")) else {
            panic!("not about the machine: {scope}");
        };
        (scope, facts)
    };
    assert_eq!(host("UPTIME"), (HostScope::Uptime, vec![]));
    assert_eq!(host("AVG"), (HostScope::LoadAverage, vec![]));
    assert_eq!(host("RAM"), (HostScope::Memory, vec![]));
    assert_eq!(host("FILESYSTEM"), (HostScope::FileSystem, vec![]));
    assert_eq!(parsed("SHOW GLOBAL STATUS"), Statement::Show(Show::GlobalStatus));
    assert_eq!(
        parsed("DESC Pipes;"),
        Statement::Show(Show::Columns {
            table: Table::Pipes,
            full: false
        })
    );
}

fn bound(text: &str, params: &[Param]) -> Result<Statement, QueryError> {
    prepare(text.as_bytes(), &limits())
        .expect("a statement that can be prepared")
        .bind(params, &limits())
}

/// Bound text is exact: no rule of 7.4 touches it.
#[test]
fn bound_values() {
    let text = |text: &str| Param::Text(text.into());
    let insert = "INSERT INTO users_data (id, data) VALUES (?, ?), (6, 'b')";
    for data in ["it''s \\n \\\\", "{\"t\":\"\\u0444\"}", "NULL", "", "?", "\0"] {
        let Ok(Statement::Insert(Insert::UsersData(rows))) = bound(insert, &[Param::Int(5), text(data)])
        else {
            panic!("not an INSERT into users_data");
        };
        assert_eq!((rows[0].user, rows[0].data.as_str()), (user(5), data));
        assert_eq!((rows[1].user, rows[1].data.as_str()), (user(6), "b"));
    }
    let code = |params: &[Param]| bound(insert, params).map_err(|error| error.code).err();
    assert_eq!(code(&[Param::UInt(5), Param::Int(-7)]), None);
    assert_eq!(code(&[text("5"), text("")]), None);
    assert_eq!(code(&[Param::Int(-5), text("")]), Some(ErrorCode::InvalidData));
    assert_eq!(
        code(&[Param::UInt(u64::MAX), text("")]),
        Some(ErrorCode::InvalidData)
    );
    assert_eq!(code(&[text("5 "), text("")]), Some(ErrorCode::InvalidData));
    assert_eq!(code(&[Param::Int(5), Param::Null]), Some(ErrorCode::InvalidData));
    assert_eq!(code(&[Param::Null, text("")]), Some(ErrorCode::InvalidData));
    assert_eq!(code(&[Param::Int(5)]), Some(ErrorCode::ColumnList));
    assert_eq!(
        code(&[Param::Int(5), text(""), text("")]),
        Some(ErrorCode::ColumnList)
    );
    let long = "a".repeat(limits().body_bytes_max + 1);
    assert_eq!(code(&[Param::Int(5), text(&long)]), Some(ErrorCode::TooLong));
}

#[test]
fn bound_conditions() {
    let text = |text: &str| Param::Text(text.into());
    assert_eq!(
        bound(
            "SELECT * FROM users_auth WHERE id IN (?, 7, ?) AND hash LIKE ? LIMIT ?, ?",
            &[Param::Int(9), text("8"), text("a\\%"), Param::Int(1), text("2"),]
        ),
        Ok(parsed(
            "SELECT * FROM users_auth WHERE id IN (9, 7, 8) AND hash LIKE 'a\\%' LIMIT 1, 2"
        ))
    );
    assert_eq!(
        bound("SELECT * FROM users_auth WHERE id = ?", &[Param::Null]),
        Ok(parsed("SELECT * FROM users_auth WHERE id = NULL"))
    );
    assert_eq!(
        bound("SHOW VARIABLES LIKE ?", &[text("a%")]),
        Ok(parsed("SHOW VARIABLES LIKE 'a%'"))
    );
    for wrong in [
        Param::Int(-1),
        Param::Null,
        text(""),
        text("x"),
        text("+1"),
        text("1.0"),
    ] {
        let error = bound("SELECT * FROM pipes LIMIT ?", std::slice::from_ref(&wrong));
        assert_eq!(
            error.map_err(|error| error.code),
            Err(ErrorCode::InvalidData),
            "{wrong:?}"
        );
    }
}

/// Drivers look at a statement before they bind it.
#[test]
fn prepared_statements_tell_their_columns() {
    let prepared = |text: &str| prepare(text.as_bytes(), &limits()).map_err(|error| error.code);
    let columns = |text: &str| prepared(text).expect("a statement").columns().len();
    assert_eq!(columns("SELECT * FROM users_messages WHERE id = ?"), 4);
    assert_eq!(columns("SELECT COUNT(*) FROM pipes LIMIT ?"), 1);
    assert_eq!(columns("SELECT 1, @@x LIMIT ?"), 2);
    assert_eq!(columns("SHOW VARIABLES LIKE ?"), 2);
    assert_eq!(columns("SHOW TABLES"), 1);
    assert_eq!(columns("INSERT INTO users_auth (id, hash) VALUES (?, ?)"), 0);
    assert_eq!(
        prepared("SELECT * FROM nowhere WHERE id = ?"),
        Err(ErrorCode::DoesNotExist)
    );
    assert_eq!(
        prepared("INSERT INTO pipes (name) VALUES (?)"),
        Err(ErrorCode::ReadOnly)
    );
    assert_eq!(
        prepared("INSERT INTO users_auth (id) VALUES (?, ?)"),
        Err(ErrorCode::ColumnList)
    );
    assert_eq!(
        prepared("SELECT * FROM users_auth WHERE hash = ?"),
        Err(ErrorCode::KeyRequired)
    );
    assert_eq!(prepared("SELECT * FROM ?"), Err(ErrorCode::Syntax));
    assert_eq!(prepared("SELECT ? FROM pipes"), Err(ErrorCode::Syntax));
    let secret = prepared("INSERT INTO users_auth (id, hash) VALUES (?, 'topsecret')").expect("a statement");
    assert!(!format!("{secret:?}").contains("topsecret"));
}

/// COUNT(*) keeps its label.
#[test]
fn count() {
    let select = selected("SELECT COUNT(*) FROM pipes");
    assert_eq!(
        select.output,
        Output::Count {
            label: "COUNT(*)".into()
        }
    );
}
