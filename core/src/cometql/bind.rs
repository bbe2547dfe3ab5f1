//! Prepared statements: a parsed template and values for its `?` (protocol.md 7.2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Limits, Statement};
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

/// A statement with `?` in it.
#[derive(Clone, PartialEq, Debug)]
pub struct Prepared {
    params: usize,
}

impl Prepared {
    /// Number of `?`.
    pub const fn params(&self) -> usize {
        self.params
    }

    /// The labels of the result set; empty if the statement has none.
    pub fn columns(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// Puts values in. `params.len()` must be `self.params()`, else error 14.
    pub fn bind(&self, _params: &[Param], _limits: &Limits) -> Result<Statement, QueryError> {
        Err(ErrorCode::NotImplemented.into())
    }
}

/// Parses a statement that may contain `?` wherever a value may stand.
pub fn prepare(_text: &[u8], _limits: &Limits) -> Result<Prepared, QueryError> {
    Err(ErrorCode::NotImplemented.into())
}
