//! The doors of `crate::fuzzing` to a store with any content.

use comet_core::Durable;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::{load, schema};

/// The tables and how many columns each has.
pub const TABLES: [(&str, usize); 7] = [
    ("users_auth", 3),
    ("users_data", 3),
    ("users_time", 3),
    ("users_messages", 7),
    ("pipes_settings", 3),
    ("pipe_messages", 8),
    ("revoked_tokens", 3),
];

/// One value of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// No value.
    Null,
    /// An integer.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes, which may stand where a text should.
    Blob(Vec<u8>),
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(number) => Self::Integer(number),
            Cell::Real(number) => Self::Real(number),
            Cell::Text(text) => Self::Text(text),
            Cell::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

/// Puts rows into a new store, by the position of their table in [`TABLES`], and reads it as a start does. What SQLite
/// itself refuses is left out. `checked`: the tables refuse values of a wrong type, as in every store of ours; a damaged
/// file may not.
///
/// # Errors
/// The sentence a start would end with, or that there is no SQLite.
pub fn load(rows: impl IntoIterator<Item = (usize, Vec<Cell>)>, checked: bool) -> Result<Durable, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let db = Connection::open_in_memory().map_err(text)?;
    let tables = if checked {
        schema::CREATE.to_owned()
    } else {
        schema::CREATE
            .replace("WITHOUT ROWID, STRICT", "WITHOUT ROWID")
            .replace(" NOT NULL", "")
    };
    db.execute_batch(&tables).map_err(text)?;
    for (table, row) in rows {
        let Some((name, columns)) = TABLES.get(table).filter(|(_, columns)| *columns == row.len()) else {
            continue;
        };
        let marks = vec!["?"; *columns].join(", ");
        let sql = format!("INSERT OR IGNORE INTO {name} VALUES ({marks})");
        let _ = db.execute(&sql, rusqlite::params_from_iter(row.into_iter().map(Value::from)));
    }
    let mut durable = Durable::default();
    match load::load(&db, |record| durable.apply(record)) {
        Ok(()) => match durable.flaw() {
            None => Ok(durable),
            Some(flaw) => Err(flaw.to_owned()),
        },
        Err((table, error)) => Err(error
            .flaw(table)
            .unwrap_or_else(|error| format!("{table}: {error}"))),
    }
}
