//! Who may log in (protocol.md 7.1). The rules are the core's; here the proof meets the password.

use std::sync::Arc;

use comet_core::{DevId, ErrorCode, Login, QueryError, cometql};
use comet_mysql::{AuthPlugin, Config, ErrorPacket, Limits, salt_from};
use subtle::ConstantTimeEq as _;

use crate::shared::Shared;

/// Statements of one session that may be unanswered: enough to keep core and disk busy.
pub(crate) const PIPELINE_MAX: usize = 1024;
/// Room for the packet around the longest statement, and for parameters.
const PACKET_EXTRA_BYTES: usize = 64 * 1024;

/// What a new connection is greeted with; a fresh salt for each.
pub(crate) fn greeting(shared: &Shared, connection_id: u32, prepared_max: usize) -> std::io::Result<Config> {
    Ok(Config {
        // Drivers parse the number at its head (Q34).
        server_version: format!("5.7.99-{}", shared.core.product.replace([' ', '\0'], "-")),
        connection_id,
        salt: salt_from(shared.entropy.bytes()?),
        default_plugin: AuthPlugin::NativePassword,
        tls_available: shared.cometql_tls.is_some(),
        limits: Limits {
            packet_max: shared.limits.query_bytes_max + PACKET_EXTRA_BYTES,
            prepared_max,
            pipeline_max: PIPELINE_MAX,
            ..Limits::default()
        },
    })
}

/// Decides about a login or a change of user. With what is allowed comes the database the client named.
pub(crate) fn decide(shared: &Shared, login: &comet_mysql::Login) -> Result<(Login, Arc<str>), QueryError> {
    let password_given = !login.password_is_empty();
    let database = login.database.as_deref();
    let allowed = cometql::login(
        &login.user,
        database,
        password_given,
        shared.limits.dev_index_size,
    )?;
    let database = String::from_utf8_lossy(database.unwrap_or_default()).into();
    match allowed {
        Login::HealthCheck => Ok((allowed, database)),
        Login::Tenant(_) if login.password_is(shared.core.password.reveal().as_bytes()) => {
            Ok((allowed, database))
        }
        Login::Tenant(_) => Err(ErrorCode::LoginRefused.into()),
    }
}

/// Decides about a login that comes with the password itself instead of a proof, over HTTP. `None`: refused.
pub(crate) fn decide_plain(shared: &Shared, user: &[u8], password: &[u8]) -> Option<DevId> {
    // Compared first and always, so that the time it takes tells nothing about the user name.
    let password_is_right: bool = shared.core.password.reveal().as_bytes().ct_eq(password).into();
    match cometql::login(user, None, true, shared.limits.dev_index_size) {
        Ok(Login::Tenant(dev)) if password_is_right => Some(dev),
        Ok(Login::Tenant(_) | Login::HealthCheck) | Err(_) => None,
    }
}

/// Any error of CometQL as a packet (protocol.md 7.5).
pub(crate) fn error_packet(error: QueryError) -> ErrorPacket {
    ErrorPacket::new(error.code.number(), b"HY000", error.text)
}
