//! SHOW, DESCRIBE and system variables (protocol.md 7.16; Q49).

use comet_core::Config;
use comet_core::cometql::{
    Cell, Constant, Limits, Rows, SERVER_VERSION, Statement, Table, parse, show_columns, show_databases,
    show_table_status, show_tables, show_variables,
};

fn parsed(text: &str, limits: &Limits) -> Statement {
    parse(text.as_bytes(), limits).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// Every row as texts.
fn texts(rows: &Rows) -> Vec<Vec<String>> {
    let text = |cell: &Cell| match cell {
        Cell::Int(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
    };
    rows.rows
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect()
}

#[test]
fn databases_and_tables() {
    assert_eq!(texts(&show_databases()), [["CometQL_v1"]]);
    let tables = [
        "users_auth",
        "users_time",
        "users_messages",
        "pipes_messages",
        "users_in_pipes",
        "pipes",
        "pipes_settings",
        "users_data",
        "revoked_tokens",
    ];
    assert_eq!(texts(&show_tables()), tables.map(|table| [table]));
    let status = show_table_status();
    assert_eq!(status.columns.len(), 18);
    let names: Vec<_> = texts(&status)
        .into_iter()
        .map(|mut row| row.swap_remove(0))
        .collect();
    assert_eq!(names, tables);
}

#[test]
fn columns_of_tables() {
    assert_eq!(
        texts(&show_columns(Table::UsersAuth, false)),
        [
            ["id", "int(11)", "NO", "PRI", "", ""],
            ["hash", "varchar(32)", "NO", "", "", ""]
        ]
    );
    let key = texts(&show_columns(Table::PipesMessages, false))
        .into_iter()
        .find(|row| row[3] == "PRI");
    assert_eq!(key.map(|row| row[0].clone()).as_deref(), Some("name"));
    assert_eq!(show_columns(Table::Pipes, true).columns.len(), 9);
    for table in Table::ALL {
        assert_eq!(Table::parse(&table.name().to_uppercase()), Some(table));
        let columns = table.columns();
        assert!(columns.is_empty() == (table == Table::Dialogs));
        for (at, column) in columns.iter().enumerate() {
            assert_eq!(table.column(&column.name.to_uppercase()), u8::try_from(at).ok());
        }
    }
    assert_eq!(Table::parse("users"), None);
}

/// What drivers are told before a statement is executed is what they get.
#[test]
fn labels_agree_with_rows() {
    let limits = Limits::of(&Config::default());
    for (statement, rows) in [
        ("SHOW DATABASES", show_databases()),
        ("SHOW TABLES", show_tables()),
        ("SHOW TABLE STATUS", show_table_status()),
        ("SHOW COLUMNS FROM pipes", show_columns(Table::Pipes, false)),
        ("SHOW FULL COLUMNS FROM pipes", show_columns(Table::Pipes, true)),
        ("SHOW VARIABLES", show_variables(None, "x", 1 << 20)),
    ] {
        assert_eq!(parsed(statement, &limits).columns(), rows.columns, "{statement}");
        assert!(
            rows.rows.iter().all(|row| row.len() == rows.columns.len()),
            "{statement}"
        );
    }
}

#[test]
fn variables() {
    let all = texts(&show_variables(None, "the product", 4242));
    let value = |name: &str| all.iter().find(|row| row[0] == name).map(|row| row[1].clone());
    for (name, expected) in [
        ("lower_case_table_names", "0"),
        ("version", SERVER_VERSION),
        ("version_comment", "the product"),
        ("autocommit", "ON"),
        ("sql_mode", ""),
        ("max_allowed_packet", "4242"),
        ("character_set_client", "utf8mb4"),
    ] {
        assert_eq!(value(name).as_deref(), Some(expected), "{name}");
    }
    let names = |pattern: &str| {
        let rows = texts(&show_variables(Some(pattern), "", 1 << 20));
        rows.into_iter()
            .map(|mut row| row.swap_remove(0))
            .collect::<Vec<_>>()
    };
    assert_eq!(names("lower_case%"), ["lower_case_table_names"]);
    assert_eq!(names("VERSION"), ["version"]);
    assert_eq!(names("tx\\_%"), ["tx_isolation", "tx_read_only"]);
    assert_eq!(names("nothing"), [""; 0]);
    assert!(all.is_sorted());
}

/// `@@x` gives numbers for switches and follows the configuration.
#[test]
fn variables_as_constants() {
    let mut limits = Limits::of(&Config::default());
    limits.query_bytes_max = 12_345;
    let value = |text: &str| {
        let Statement::Constants { mut columns, .. } = parsed(text, &limits) else {
            panic!("not constants: {text}");
        };
        let Some(Constant::Known { value, .. }) = columns.pop() else {
            panic!("not a known constant: {text}");
        };
        value
    };
    assert_eq!(value("SELECT @@max_allowed_packet"), Cell::text("12345"));
    assert_eq!(value("SELECT @@session.autocommit"), Cell::text("1"));
    assert_eq!(value("SELECT @@tx_read_only"), Cell::text("0"));
    assert_eq!(value("SELECT @@GLOBAL.Version"), Cell::text(SERVER_VERSION));
    assert_eq!(
        value("SELECT @@a, @@b, @@local.version_comment x"),
        Cell::text(&Config::default().product)
    );
}
