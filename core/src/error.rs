//! What CometQL clients are told when a statement fails: the codes of protocol.md 7.5, which are contract, and a
//! text, which is not.

use alloc::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A refused statement or login.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub struct QueryError {
    /// The code the client sees.
    pub code: ErrorCode,
    /// What was wrong, for a person. Never contains anything the client sent.
    pub text: Cow<'static, str>,
}

/// The codes of protocol.md 7.5. SQLSTATE is HY000 for all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum ErrorCode {
    /// 2: understood but not implemented.
    NotImplemented,
    /// 3: the statement cannot be parsed.
    Syntax,
    /// 10: INSERT or DELETE on a read-only table.
    ReadOnly,
    /// 11: a value, name, message or query is too long, or a queue is full.
    TooLong,
    /// 12: a required column is missing, wrong characters, an id that is not a positive number.
    InvalidData,
    /// 13: key column not constrained, or a column named twice.
    KeyRequired,
    /// 14: unknown column, or the counts of columns and values differ.
    ColumnList,
    /// 15: the table or database does not exist.
    DoesNotExist,
    /// 16: login refused.
    LoginRefused,
    /// 17: a value, name or query is too short.
    TooShort,
    /// 18: too many conditions.
    TooManyConditions,
    /// 19: too many values.
    TooManyValues,
    /// 20: too many columns.
    TooManyColumns,
    /// 21: too many names.
    TooManyNames,
    /// 403: the session may not run statements.
    AccessDenied,
    /// 429: the tenant's statements come too fast.
    TooManyRequests,
    /// 500: internal error, storage failure, no video server.
    Internal,
    /// 1203: the tenant has as many sessions as it may have (MySQL's ER_TOO_MANY_USER_CONNECTIONS).
    TooManySessions,
    /// 1226: the tenant stores as much as it may (MySQL's ER_USER_LIMIT_REACHED).
    QuotaExceeded,
    /// 1114: the memory limit is reached (protocol.md 8.7). Nothing of the statement was done.
    Full,
}

impl ErrorCode {
    /// Every code, for tests and documentation.
    pub const ALL: [Self; 20] = [
        Self::NotImplemented,
        Self::Syntax,
        Self::ReadOnly,
        Self::TooLong,
        Self::InvalidData,
        Self::KeyRequired,
        Self::ColumnList,
        Self::DoesNotExist,
        Self::LoginRefused,
        Self::TooShort,
        Self::TooManyConditions,
        Self::TooManyValues,
        Self::TooManyColumns,
        Self::TooManyNames,
        Self::AccessDenied,
        Self::TooManyRequests,
        Self::Internal,
        Self::TooManySessions,
        Self::QuotaExceeded,
        Self::Full,
    ];

    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::NotImplemented => 2,
            Self::Syntax => 3,
            Self::ReadOnly => 10,
            Self::TooLong => 11,
            Self::InvalidData => 12,
            Self::KeyRequired => 13,
            Self::ColumnList => 14,
            Self::DoesNotExist => 15,
            Self::LoginRefused => 16,
            Self::TooShort => 17,
            Self::TooManyConditions => 18,
            Self::TooManyValues => 19,
            Self::TooManyColumns => 20,
            Self::TooManyNames => 21,
            Self::AccessDenied => 403,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::TooManySessions => 1203,
            Self::QuotaExceeded => 1226,
            Self::Full => 1114,
        }
    }
}

impl QueryError {
    /// An error with a text for people.
    pub const fn new(code: ErrorCode, text: &'static str) -> Self {
        Self {
            code,
            text: Cow::Borrowed(text),
        }
    }
}

impl From<ErrorCode> for QueryError {
    fn from(code: ErrorCode) -> Self {
        let text = match code {
            ErrorCode::NotImplemented => "not implemented",
            ErrorCode::Syntax => "syntax error",
            ErrorCode::ReadOnly => "table is read only",
            ErrorCode::TooLong => "data too long",
            ErrorCode::InvalidData => "invalid data",
            ErrorCode::KeyRequired => "key values required",
            ErrorCode::ColumnList => "error in column list",
            ErrorCode::DoesNotExist => "table or database does not exist",
            ErrorCode::LoginRefused => "authentication failed",
            ErrorCode::TooShort => "data too short",
            ErrorCode::TooManyConditions => "too many conditions",
            ErrorCode::TooManyValues => "too many values",
            ErrorCode::TooManyColumns => "too many columns",
            ErrorCode::TooManyNames => "too many names",
            ErrorCode::AccessDenied => "access denied",
            ErrorCode::TooManyRequests => "too many statements of this dev_id",
            ErrorCode::Internal => "internal error",
            ErrorCode::TooManySessions => "too many sessions of this dev_id",
            ErrorCode::QuotaExceeded => "quota of this dev_id",
            ErrorCode::Full => "the server is full",
        };
        Self::new(code, text)
    }
}
