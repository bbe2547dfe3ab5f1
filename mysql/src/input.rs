//! What a connection hands to its caller.
//!
//! Promise: a closed list; commands that need no opinion (ping, unknown bytes, long data, …) do not appear here, the
//! connection answers them itself.

use bytes::Bytes;

use crate::login::Login;
use crate::statement::{Param, StatementId};

/// What an input weighs at least, so that many small ones count, too.
const WEIGHT_MIN: usize = 64;

/// Something the caller has to know or to answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The client starts TLS now. `rest` is what was received beyond its request: the first bytes for the TLS layer.
    /// From now on [`receive`](crate::Connection::receive) takes decrypted bytes, and the output is to be encrypted.
    TlsRequested {
        /// Received bytes that belong to the TLS layer.
        rest: Bytes,
    },
    /// Answer with `accept_login` or `reject_login`; no further input comes before that.
    Login(Login),
    /// The client cannot prove its password in a way this crate accepts (no PROTOCOL_41 or no SECURE_CONNECTION):
    /// answer with `reject_login`.
    LoginTooOld,
    /// COM_QUERY: the text as sent. Answer with `ok`, `error` or rows.
    Query(Bytes),
    /// COM_INIT_DB: the name as sent. Answer with `ok` or `error`.
    InitDb(Bytes),
    /// COM_STATISTICS. Answer with `statistics` or `error`.
    Statistics,
    /// COM_STMT_PREPARE: the text as sent. Answer with `prepared` or `error`.
    Prepare(Bytes),
    /// COM_STMT_EXECUTE. Answer with `ok`, `error` or rows.
    Execute {
        /// What `prepared` returned.
        statement: StatementId,
        /// As many as `prepared` was told.
        params: Vec<Param>,
    },
    /// COM_STMT_CLOSE: the statement is gone. No answer.
    StatementClosed(StatementId),
    /// COM_RESET_CONNECTION: all prepared statements are gone, a transaction is over. Comes after everything before it
    /// is answered, and is itself answered already.
    Reset,
    /// A command, or the long data of an execution, above `Limits::packet_max`; nothing of it was kept.
    /// Answer with `error`.
    TooLarge,
    /// COM_QUIT: the client wants no answer, only the end. The connection takes no more input.
    Quit,
}

impl Input {
    /// Whether the client waits for an answer from the caller (logins are answered apart).
    pub fn needs_answer(&self) -> bool {
        match self {
            Self::Query(_)
            | Self::InitDb(_)
            | Self::Statistics
            | Self::Prepare(_)
            | Self::Execute { .. }
            | Self::TooLarge => true,
            Self::TlsRequested { .. }
            | Self::Login(_)
            | Self::LoginTooOld
            | Self::StatementClosed(_)
            | Self::Reset
            | Self::Quit => false,
        }
    }

    /// Bytes the caller keeps of this input until it is answered; roughly, never too little by more than a constant.
    pub(crate) fn weight(&self) -> usize {
        WEIGHT_MIN
            + match self {
                Self::Query(text) | Self::InitDb(text) | Self::Prepare(text) => text.len(),
                Self::Execute { params, .. } => params.iter().map(Param::weight).sum(),
                Self::TlsRequested { .. }
                | Self::Login(_)
                | Self::LoginTooOld
                | Self::Statistics
                | Self::StatementClosed(_)
                | Self::Reset
                | Self::TooLarge
                | Self::Quit => 0,
            }
    }
}
