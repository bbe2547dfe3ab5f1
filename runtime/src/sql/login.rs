//! Who may log in (protocol.md 7.1). The rules are the core's; here the proof meets the password.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use comet_core::limit::{Account, Wait};
use comet_core::{DevId, ErrorCode, Login, QueryError, cometql};
use comet_mysql::{AuthPlugin, Config, ErrorPacket, Limits, salt_from};

use crate::metrics::Metrics;
use crate::shared::Shared;

/// Statements of one session that may be unanswered: enough to keep core and disk busy.
pub(crate) const PIPELINE_MAX: usize = 1024;
/// MySQL's own code for a host with too many failures (ER_HOST_IS_BLOCKED).
const HOST_IS_BLOCKED: u16 = 1129;
/// Room for the packet around the longest statement, and for parameters.
const PACKET_EXTRA_BYTES: usize = 64 * 1024;

/// As many as the core lets in at any time.
const SESSIONS_KEPT: i64 = 16;

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

/// Why somebody is not let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NotLetIn {
    /// The login is wrong.
    Wrong(QueryError),
    /// Too many were wrong; this one was not looked at.
    Throttled(Wait),
}

/// While the server is full, so many sessions have their place all the same: somebody has to be able to delete.
pub(crate) fn may_come(metrics: &Metrics) -> bool {
    !metrics.memory.is_full() || metrics.sessions.get() < SESSIONS_KEPT
}

/// Decides about a login or a change of user. With what is allowed comes the database the client named.
pub(crate) fn decide(
    shared: &Shared,
    peer: IpAddr,
    login: &comet_mysql::Login,
) -> Result<(Login, Arc<str>), NotLetIn> {
    let password_given = !login.password_is_empty();
    let database = login.database.as_deref();
    let allowed = cometql::login(
        &login.user,
        database,
        password_given,
        shared.limits.dev_index_size,
    );
    let dev = match allowed {
        Ok(Login::HealthCheck) => None,
        Ok(Login::Tenant(_)) | Err(_) => {
            let is_right = || login.password_is(shared.core.password.reveal().as_bytes());
            Some(check(shared, (peer, None), allowed, is_right)?)
        }
    };
    let database = String::from_utf8_lossy(database.unwrap_or_default()).into();
    Ok((dev.map_or(Login::HealthCheck, Login::Tenant), database))
}

/// Decides about a login that comes with the password itself instead of a proof, over HTTP. `credentials`: user name and
/// password, `None` if there were none that can be read.
pub(crate) fn decide_plain(
    shared: &Shared,
    peer: IpAddr,
    credentials: Option<(&[u8], &[u8])>,
) -> Result<DevId, NotLetIn> {
    let (user, password) = credentials.unwrap_or_default();
    let allowed = cometql::login(user, None, true, shared.limits.dev_index_size);
    let who = (peer, Some(Account::CONSOLE));
    check(shared, who, allowed, || shared.core.password.is(password))
}

/// Lets in whoever has the password, and counts who has not. The password is looked at whatever the user name is, so that
/// the time it takes tells nothing about names. Without an `account` it is that of the tenant.
fn check(
    shared: &Shared,
    (peer, account): (IpAddr, Option<Account>),
    allowed: Result<Login, QueryError>,
    password_is_right: impl FnOnce() -> bool,
) -> Result<DevId, NotLetIn> {
    let dev = match allowed {
        Ok(Login::Tenant(dev)) => Some(dev),
        // A database that does not exist is no guess, and no secret either.
        Err(error) if error.code != ErrorCode::LoginRefused => return Err(NotLetIn::Wrong(error)),
        Ok(Login::HealthCheck) | Err(_) => None,
    };
    let attempt = || {
        let is_right = password_is_right();
        dev.filter(|_| is_right)
    };
    // Nothing in here panics half-way.
    let mut logins = shared.logins.lock().unwrap_or_else(PoisonError::into_inner);
    let account = account.unwrap_or_else(|| Account::back_end(dev));
    match logins.attempt(peer, account, shared.clock.mono(), attempt) {
        Ok(Some(dev)) => Ok(dev),
        Ok(None) => Err(NotLetIn::Wrong(ErrorCode::LoginRefused.into())),
        Err(wait) => Err(NotLetIn::Throttled(wait)),
    }
}

/// What a MySQL client is told that is not let in (protocol.md 7.1).
pub(crate) fn refusal(why: NotLetIn) -> ErrorPacket {
    match why {
        NotLetIn::Wrong(error) => error_packet(error),
        NotLetIn::Throttled(wait) => ErrorPacket::new(
            HOST_IS_BLOCKED,
            b"HY000",
            format!("too many failed logins; try again in {} s", wait.seconds()),
        ),
    }
}

/// Any error of CometQL as a packet (protocol.md 7.5).
pub(crate) fn error_packet(error: QueryError) -> ErrorPacket {
    ErrorPacket::new(error.code.number(), b"HY000", error.text)
}
