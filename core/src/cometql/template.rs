//! A parsed statement whose names are resolved but whose values are still as written, or `?`.
//!
//! Values are positions in the statement's text, so a template can be kept beside its text for a prepared statement
//! and bound as often as wanted. Everything that can be wrong whatever the values are has been refused before.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::lexer::Span;
use super::{Comparison, Constant, OrderBy, Output, Param, Statement, Table, literal};

/// A value as written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Value {
    /// Unquoted NULL: not given.
    Null,
    /// A bare word or a number: its source text.
    Plain(Span),
    /// The inside of a literal that has to be decoded.
    Quoted { inside: Span, quote: u8 },
    /// The n-th `?`.
    Param(u16),
}

/// Where values get their text from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) params: &'a [Param],
}

impl<'a> Source<'a> {
    /// The text of a value in an ordinary column; `None` if it is not given.
    pub(super) fn ordinary(self, value: Value) -> Option<Cow<'a, str>> {
        self.resolve(value, literal::decode)
    }

    /// The text of a value in a free-text column (protocol.md 7.4).
    pub(super) fn free(self, value: Value) -> Option<Cow<'a, str>> {
        self.resolve(value, literal::decode_free)
    }

    fn resolve(self, value: Value, decode: fn(&'a str, u8) -> Cow<'a, str>) -> Option<Cow<'a, str>> {
        match value {
            Value::Null => None,
            Value::Plain(span) => Some(Cow::Borrowed(span.of(self.text))),
            Value::Quoted { inside, quote } => Some(decode(inside.of(self.text), quote)),
            Value::Param(n) => match self.params.get(usize::from(n))? {
                Param::Null => None,
                Param::Int(number) => Some(Cow::Owned(number.to_string())),
                Param::UInt(number) => Some(Cow::Owned(format!("{number}"))),
                Param::Text(text) => Some(Cow::Borrowed(text)),
            },
        }
    }
}

/// A statement before its values are looked at.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Template {
    /// Has no values.
    Ready(Statement),
    Insert(InsertTemplate),
    Select {
        table: Table,
        filter: Option<Condition>,
        output: Output,
        order: Vec<OrderBy>,
        limit: Option<LimitTemplate>,
    },
    Delete {
        table: Table,
        filter: Option<Condition>,
        order: Vec<OrderBy>,
        limit: Option<LimitTemplate>,
    },
    Constants {
        columns: Vec<Constant>,
        limit: Option<LimitTemplate>,
    },
    /// EXPLAIN DELIVERY.
    Explain {
        message: Value,
    },
    /// SHOW VARIABLES LIKE.
    Variables {
        pattern: Value,
    },
}

/// The rows of an INSERT.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct InsertTemplate {
    pub(super) table: Table,
    /// For each column of the table, where in a row its value stands.
    pub(super) places: [Option<u8>; Table::WIDTH_MAX],
    /// Values per row, at least 1.
    pub(super) width: usize,
    /// All rows, one after the other.
    pub(super) values: Vec<Value>,
}

/// LIMIT.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct LimitTemplate {
    pub(super) offset: Option<Value>,
    pub(super) count: Value,
}

/// A WHERE.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Condition {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Compare {
        column: u8,
        how: Comparison,
        value: Value,
    },
    In {
        column: u8,
        negated: bool,
        values: Vec<Value>,
    },
    Between {
        column: u8,
        negated: bool,
        low: Value,
        high: Value,
    },
    Like {
        column: u8,
        negated: bool,
        pattern: Value,
    },
    IsNull {
        negated: bool,
    },
}

impl Condition {
    /// The values a column is held to by `=` or `IN` at the top level; the first such condition counts.
    pub(super) fn key_values(&self, key: u8) -> Option<&[Value]> {
        match self {
            Self::And(all) => all.iter().find_map(|condition| condition.key_values(key)),
            Self::Compare {
                column,
                how: Comparison::Equal,
                value,
            } if *column == key => Some(core::slice::from_ref(value)),
            Self::In {
                column,
                negated: false,
                values,
            } if *column == key => Some(values),
            Self::Or(_)
            | Self::Not(_)
            | Self::Compare { .. }
            | Self::In { .. }
            | Self::Between { .. }
            | Self::Like { .. }
            | Self::IsNull { .. } => None,
        }
    }
}

impl Template {
    /// Labels of the result set; empty if there is none.
    pub(super) fn labels(&self) -> Vec<Arc<str>> {
        match self {
            Self::Ready(statement) => statement.columns(),
            Self::Insert(_) | Self::Delete { .. } => Vec::new(),
            Self::Select { output, .. } => output.labels(),
            Self::Constants { columns, .. } => columns.iter().map(Constant::label).collect(),
            Self::Explain { .. } => super::explain_columns(),
            Self::Variables { .. } => super::show::labels(&["Variable_name", "Value"]),
        }
    }
}
