//! The capability flags both sides exchange, and the ones this server offers (protocol.md 7.1).
//!
//! Promise: nothing is offered that is not done. COMPRESS, LOCAL_FILES, DEPRECATE_EOF and SESSION_TRACK never are.

pub(crate) const LONG_PASSWORD: u32 = 0x01;
pub(crate) const FOUND_ROWS: u32 = 0x02;
pub(crate) const LONG_FLAG: u32 = 0x04;
pub(crate) const CONNECT_WITH_DB: u32 = 0x08;
pub(crate) const IGNORE_SPACE: u32 = 0x100;
pub(crate) const PROTOCOL_41: u32 = 0x200;
pub(crate) const INTERACTIVE: u32 = 0x400;
pub(crate) const SSL: u32 = 0x800;
pub(crate) const TRANSACTIONS: u32 = 0x2000;
pub(crate) const SECURE_CONNECTION: u32 = 0x8000;
pub(crate) const MULTI_RESULTS: u32 = 0x2_0000;
pub(crate) const PLUGIN_AUTH: u32 = 0x8_0000;
pub(crate) const CONNECT_ATTRS: u32 = 0x10_0000;
pub(crate) const PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 0x20_0000;

const OFFERED: u32 = LONG_PASSWORD
    | FOUND_ROWS
    | LONG_FLAG
    | CONNECT_WITH_DB
    | IGNORE_SPACE
    | PROTOCOL_41
    | INTERACTIVE
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_RESULTS
    | PLUGIN_AUTH
    | CONNECT_ATTRS
    | PLUGIN_AUTH_LENENC_CLIENT_DATA;

pub(crate) fn offered(tls_available: bool) -> u32 {
    if tls_available { OFFERED | SSL } else { OFFERED }
}
