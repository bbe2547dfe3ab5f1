//! The WebSocket URL and the Origin allow-list (protocol.md 2.2).

use alloc::string::String;

use super::{Dialect, Hello, Refusal, RefusalReason};

/// Reads the request target of a WebSocket request, for instance `/ws/sesion=…&myid=…`. `origin` is the Origin
/// header, `origins` the allow-list, `dev_index_size` the number of tenants.
pub fn hello(
    _target: &[u8],
    _origin: Option<&[u8]>,
    _origins: &[String],
    _dev_index_size: u32,
) -> Result<Hello, Refusal> {
    Err(Refusal {
        dialect: Dialect::V3,
        reason: RefusalReason::NoCredentials,
    })
}

/// True if a browser of this Origin may connect (Q7).
pub fn origin_allowed(_origin: Option<&[u8]>, _origins: &[String]) -> bool {
    true
}
