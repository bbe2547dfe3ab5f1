//! CometQL (protocol.md 7): text in, typed statements out; typed rows in, result sets out. Pure functions.
//!
//! Parsing and binding run in the session's own task, so they never see the state of the core. Everything that can
//! be decided without that state (syntax, columns, lengths, alphabets, limits) is decided here, once.
//!
//! The way of a statement: `lexer` (tokens) → `parser` (a `template` with resolved names) → `lower` and `insert`
//! (values checked, typed `Statement`) → the engine collects rows → `eval` filters, sorts and cuts them.
//! To add a table: a variant and a column list in `table.rs`, a lowering in `insert.rs`, and a file in
//! `engine/tables`.

mod ast;
mod bind;
mod eval;
mod insert;
mod lexer;
mod literal;
mod login;
mod lower;
mod number;
mod parser;
mod show;
mod table;
mod template;

pub use ast::{
    Comparison, Constant, Delete, Expr, HostScope, Insert, Keys, Limit, NewKey, NewMessage, NewPrivate,
    NewSetting, NewUserData, OrderBy, Output, OutputColumn, Select, Show, Statement,
};
pub use bind::{Param, Prepared, prepare};
pub use eval::{choose, like, select};
pub use login::{DATABASE, login, use_database};
pub use parser::parse;
pub use show::{
    MEMORY_COLUMNS, SERVER_VERSION, explain_columns, show_columns, show_databases, show_table_status,
    show_tables, show_variables,
};
pub use table::{Column, Table};

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::config::Config;

/// What the parser has to know of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest statement, bytes: error 11.
    pub query_bytes_max: usize,
    /// Longest message or user data, bytes: error 11.
    pub body_bytes_max: usize,
    /// Conditions in one WHERE: error 18.
    pub conditions_max: usize,
    /// `db_<n>` and login names are below this.
    pub dev_index_size: u32,
}

impl Limits {
    /// Shortest statement, bytes: error 17.
    pub const QUERY_BYTES_MIN: usize = 4;
    /// Values in one list: error 19.
    pub const VALUES_MAX: usize = 4000;
    /// Columns named in one INSERT or SELECT: error 20.
    pub const COLUMNS_MAX: usize = 20;
    /// Length of a LIKE pattern, bytes: error 11. Matching costs up to text length times pattern length.
    pub const PATTERN_BYTES_MAX: usize = 256;
    /// Nesting of parentheses and NOT in a WHERE: error 3.
    pub const DEPTH_MAX: usize = 32;

    /// The limits a configuration sets.
    pub fn of(config: &Config) -> Self {
        Self {
            query_bytes_max: config.query_bytes_max,
            body_bytes_max: config.body_bytes_max,
            conditions_max: config.conditions_max,
            dev_index_size: config.dev_index_size,
        }
    }
}

/// One value of a result.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum Cell {
    /// Sent in decimal, compared as a number.
    Int(i64),
    /// Compared byte for byte.
    Text(Arc<str>),
}

impl Cell {
    /// A text cell.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// One row of a table, in the table's column order, or of a result, in the order of its columns.
pub type Row = Vec<Cell>;

/// A result set (protocol.md 7.2). Every column has the same type on the wire.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct Rows {
    /// Column labels.
    pub columns: Vec<Arc<str>>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Row>,
}
