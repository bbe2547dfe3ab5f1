//! SHOW and system variables (protocol.md 7.16).

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::login::DATABASE;
use super::{Cell, Limits, Row, Rows, Show, Table, like};

/// What the server calls itself to MySQL clients: a version they can parse, then the product (Q34).
pub const SERVER_VERSION: &str = concat!("5.7.99-comet-server-", env!("CARGO_PKG_VERSION"));

/// The product as `Config::default` has it.
const PRODUCT: &str = concat!("comet-server ", env!("CARGO_PKG_VERSION"));

/// What clients may ask that has one answer for all: sorted by name, as SHOW VARIABLES lists them. `@@x` gives the
/// same but for switches, which are 1 and 0 there. `max_allowed_packet` and `version_comment` are not constants.
const VARIABLES: [(&str, &str); 33] = [
    ("auto_increment_increment", "1"),
    ("autocommit", "ON"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_filesystem", "binary"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8mb3"),
    ("collation_connection", "utf8mb4_bin"),
    ("collation_database", "utf8mb4_bin"),
    ("collation_server", "utf8mb4_bin"),
    ("foreign_key_checks", "OFF"),
    ("init_connect", ""),
    ("interactive_timeout", "28800"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", ""),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("performance_schema", "OFF"),
    ("query_cache_size", "0"),
    ("query_cache_type", "OFF"),
    ("sql_auto_is_null", "OFF"),
    ("sql_mode", ""),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "READ-UNCOMMITTED"),
    ("transaction_read_only", "OFF"),
    ("tx_isolation", "READ-UNCOMMITTED"),
    ("tx_read_only", "OFF"),
    ("version", SERVER_VERSION),
    ("version_comment", ""),
    ("wait_timeout", "28800"),
];

/// SHOW DATABASES.
pub fn show_databases() -> Rows {
    Rows {
        columns: labels(&["Database"]),
        rows: Vec::from([texts(&[DATABASE])]),
    }
}

/// SHOW TABLES.
pub fn show_tables() -> Rows {
    Rows {
        columns: labels(&["Tables"]),
        rows: Table::SHOWN.iter().map(|table| texts(&[table.name()])).collect(),
    }
}

const TABLE_STATUS: [&str; 18] = [
    "Name",
    "Engine",
    "Version",
    "Row_format",
    "Rows",
    "Avg_row_length",
    "Data_length",
    "Max_data_length",
    "Index_length",
    "Data_free",
    "Auto_increment",
    "Create_time",
    "Update_time",
    "Check_time",
    "Collation",
    "Checksum",
    "Create_options",
    "Comment",
];

/// SHOW TABLE STATUS.
pub fn show_table_status() -> Rows {
    let status = |table: &Table| {
        TABLE_STATUS
            .iter()
            .map(|column| match *column {
                "Name" => Cell::text(table.name()),
                "Engine" => Cell::text("comet"),
                "Version" => Cell::text("10"),
                "Row_format" => Cell::text("Dynamic"),
                "Collation" => Cell::text("utf8mb4_bin"),
                _ => Cell::text(""),
            })
            .collect()
    };
    Rows {
        columns: labels(&TABLE_STATUS),
        rows: Table::SHOWN.iter().map(status).collect(),
    }
}

const COLUMNS: [&str; 6] = ["Field", "Type", "Null", "Key", "Default", "Extra"];
const FULL_COLUMNS: [&str; 9] = [
    "Field",
    "Type",
    "Collation",
    "Null",
    "Key",
    "Default",
    "Extra",
    "Privileges",
    "Comment",
];

/// Labels of the answer to EXPLAIN DELIVERY.
pub fn explain_columns() -> Vec<Arc<str>> {
    labels(&["time", "what", "who", "device", "detail"])
}

/// SHOW [FULL] COLUMNS, DESCRIBE.
pub fn show_columns(table: Table, full: bool) -> Rows {
    let names: &[&str] = if full { &FULL_COLUMNS } else { &COLUMNS };
    let mut rows = Vec::new();
    for (about, at) in table.columns().iter().zip(0u8..) {
        let facts = names.iter().map(|name| match *name {
            "Field" => about.name,
            "Type" => about.sql_type,
            "Collation" if !about.is_number() => "utf8mb4_bin",
            "Null" => "NO",
            "Key" if at == table.key_column() => "PRI",
            "Privileges" => "select,insert,update,references",
            _ => "",
        });
        rows.push(facts.map(Cell::text).collect());
    }
    Rows {
        columns: labels(names),
        rows,
    }
}

/// SHOW VARIABLES [LIKE pattern]. `product` is told as `version_comment`, `query_bytes_max` as
/// `max_allowed_packet`. Names match in either case.
pub fn show_variables(pattern: Option<&str>, product: &str, query_bytes_max: usize) -> Rows {
    let pattern = pattern.map(str::to_ascii_lowercase);
    let mut rows = Vec::new();
    for (name, value) in VARIABLES {
        if pattern.as_ref().is_none_or(|pattern| like(name, pattern)) {
            let value = told(name, value, product, query_bytes_max);
            rows.push(texts(&[name, &value]));
        }
    }
    Rows {
        columns: labels(&VARIABLE_COLUMNS),
        rows,
    }
}

const VARIABLE_COLUMNS: [&str; 2] = ["Variable_name", "Value"];

fn told(name: &str, value: &'static str, product: &str, query_bytes_max: usize) -> Cow<'static, str> {
    match name {
        "max_allowed_packet" => Cow::Owned(query_bytes_max.to_string()),
        "version_comment" => Cow::Owned(product.to_string()),
        _ => Cow::Borrowed(value),
    }
}

/// `@@name`, the name in either case; unknown ones are empty.
pub(super) fn variable(name: &str, limits: &Limits) -> Cow<'static, str> {
    let known = VARIABLES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    let Some((known, value)) = known else {
        return Cow::Borrowed("");
    };
    match *value {
        "ON" => Cow::Borrowed("1"),
        "OFF" => Cow::Borrowed("0"),
        value => told(known, value, PRODUCT, limits.query_bytes_max),
    }
}

/// SHOW MEMORY.
pub const MEMORY_COLUMNS: [&str; 3] = ["category", "items", "bytes"];

impl Show {
    /// Labels of its result set.
    pub(super) fn columns(&self) -> Vec<Arc<str>> {
        labels(match self {
            Self::Databases => &["Database"],
            Self::Tables => &["Tables"],
            Self::TableStatus => &TABLE_STATUS,
            Self::ProcessList => &["ServiceName", "id", "status", "count"],
            Self::Memory { .. } => &MEMORY_COLUMNS,
            Self::SessionStatus | Self::GlobalStatus | Self::Variables { .. } => &VARIABLE_COLUMNS,
            Self::Columns { full: false, .. } => &COLUMNS,
            Self::Columns { full: true, .. } => &FULL_COLUMNS,
        })
    }
}

pub(super) fn labels(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|&name| name.into()).collect()
}

fn texts(values: &[&str]) -> Row {
    values.iter().map(|value| Cell::text(value)).collect()
}
