//! Who may log in, and which tenant and database a name means (protocol.md 7.1, 7.2; Q36).

use super::Statement;
use crate::error::{ErrorCode, QueryError};
use crate::event::Login;
use crate::id::DevId;

/// The only API version, which is the name of the database.
pub const DATABASE: &str = "CometQL_v1";

/// Decides about a user name and database before the password is looked at. Unknown names: error 16; a wrong
/// database: error 15; an empty database is none. A health check (`haproxy_check…`) is only that if
/// `password_given` is false. A database `db_<n>` wins over the tenant of the user name.
pub fn login(
    user: &[u8],
    database: Option<&[u8]>,
    password_given: bool,
    dev_index_size: u32,
) -> Result<Login, QueryError> {
    if user.starts_with(b"haproxy_check") && !password_given {
        return Ok(Login::HealthCheck);
    }
    let of_user = match user {
        b"root" => Some(DevId(0)),
        _ => tenant(user, dev_index_size),
    };
    let Some(of_user) = of_user else {
        return Err(ErrorCode::LoginRefused.into());
    };
    let of_database = match database {
        None | Some(b"") => None,
        Some(name) => parse_database(name, dev_index_size)?,
    };
    Ok(Login::Tenant(of_database.unwrap_or(of_user)))
}

/// COM_INIT_DB and USE: `CometQL_v1` or `db_<n>`, else error 15.
pub fn use_database(name: &[u8], dev_index_size: u32) -> Result<Statement, QueryError> {
    let dev = parse_database(name, dev_index_size)?;
    match core::str::from_utf8(name) {
        Ok(name) => Ok(Statement::Use {
            dev,
            database: name.into(),
        }),
        Err(_) => Err(ErrorCode::DoesNotExist.into()),
    }
}

/// The tenant of a database name; `None` for the one that says nothing about tenants.
fn parse_database(name: &[u8], dev_index_size: u32) -> Result<Option<DevId>, QueryError> {
    if name == DATABASE.as_bytes() {
        return Ok(None);
    }
    let number = name
        .strip_prefix(b"db_")
        .and_then(|digits| tenant(digits, dev_index_size));
    match number {
        Some(dev) => Ok(Some(dev)),
        None => Err(QueryError::new(
            ErrorCode::DoesNotExist,
            "database does not exist",
        )),
    }
}

/// Decimal digits only, below the size of the index.
fn tenant(digits: &[u8], dev_index_size: u32) -> Option<DevId> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = core::str::from_utf8(digits).ok()?.parse::<u32>().ok()?;
    (number < dev_index_size).then_some(DevId(number))
}
