//! Prepared statements: a parsed template and values for its `?` (protocol.md 7.2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::parser::{Parser, check_text};
use super::template::{Source, Template};
use super::{Limits, Statement, lower};
use crate::error::{ErrorCode, QueryError};

/// A value for a `?`. Free text is taken exactly: the literal rules of protocol.md 7.4 do not apply.
#[derive(Clone, PartialEq, Debug)]
pub enum Param {
    /// "Value not given".
    Null,
    /// Integers of any width, signed.
    Int(i64),
    /// Integers of any width, unsigned.
    UInt(u64),
    /// Strings, blobs, decimals; floats and dates as the runtime printed them.
    Text(Arc<str>),
}

/// Bytes of a template per byte of its text.
const TEMPLATE_SHARE: usize = 16;

/// A statement with `?` in it. Its text is kept because the values written in it are positions there; it is never
/// parsed again.
#[derive(Clone, PartialEq)]
pub struct Prepared {
    text: Arc<str>,
    template: Template,
    params: u16,
}

/// Without the text, which may hold secrets.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// Number of `?`.
    pub const fn params(&self) -> usize {
        self.params as usize
    }

    /// About what it takes, bytes; rather too much.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.text.len() * (1 + TEMPLATE_SHARE)
    }

    /// The labels of the result set; empty if the statement has none.
    pub fn columns(&self) -> Vec<Arc<str>> {
        self.template.labels()
    }

    /// Puts values in. `params.len()` must be `self.params()`, else error 14.
    pub fn bind(&self, params: &[Param], limits: &Limits) -> Result<Statement, QueryError> {
        if params.len() != self.params() {
            return Err(QueryError::new(
                ErrorCode::ColumnList,
                "wrong number of parameters",
            ));
        }
        let source = Source {
            text: &self.text,
            params,
        };
        lower::statement(&self.template, source, limits)
    }
}

/// Parses a statement that may contain `?` wherever a value may stand. What does not depend on the values (unknown
/// tables and columns, missing keys) is refused here, what depends on them in [`Prepared::bind`].
pub fn prepare(text: &[u8], limits: &Limits) -> Result<Prepared, QueryError> {
    let text = check_text(text, limits)?;
    let (template, params) = Parser::new(text, limits, true).run()?;
    Ok(Prepared {
        text: text.into(),
        template,
        params,
    })
}
