//! Who may log in, and which tenant and database a name means (protocol.md 7.1, 7.2; Q36).

use super::Statement;
use crate::error::{ErrorCode, QueryError};
use crate::event::Login;

/// Decides about a user name and database before the password is looked at. Unknown names: error 16; a wrong
/// database: error 15. A health check (`haproxy_check…`) is only that if `password_given` is false.
pub fn login(
    _user: &[u8],
    _database: Option<&[u8]>,
    _password_given: bool,
    _dev_index_size: u32,
) -> Result<Login, QueryError> {
    Err(ErrorCode::LoginRefused.into())
}

/// COM_INIT_DB and USE: `CometQL_v1` or `db_<n>`, else error 15.
pub fn use_database(_name: &[u8], _dev_index_size: u32) -> Result<Statement, QueryError> {
    Err(ErrorCode::DoesNotExist.into())
}
