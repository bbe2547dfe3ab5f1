//! What a connection must be told before it can greet: identity, salt and limits.
//!
//! Promise: everything a client can make grow has a limit here, counted in bytes or pieces.

use std::fmt;

use crate::auth::{AuthPlugin, SALT_LEN};

/// Settings of one connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Must begin with a MySQL-like number, e.g. `5.7.99-something`: drivers parse it. No NUL.
    pub server_version: String,
    /// Shown to the client; MySQL calls it thread id.
    pub connection_id: u32,
    /// Random and fresh for every connection; each byte 01…7F and not `$` (see [`salt_from`]).
    pub salt: [u8; SALT_LEN],
    /// The plugin named in the greeting, and the one a client with an unknown plugin is asked to switch to.
    pub default_plugin: AuthPlugin,
    /// Offer TLS. The caller must then be able to handle [`Input::TlsRequested`](crate::Input::TlsRequested).
    pub tls_available: bool,
    /// Bounds of everything a client can make grow.
    pub limits: Limits,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server_version", &self.server_version)
            .field("connection_id", &self.connection_id)
            .field("default_plugin", &self.default_plugin)
            .field("tls_available", &self.tls_available)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a login packet, of a COM_CHANGE_USER and of an answer to an authentication switch. Above: the
    /// connection is closed with error 1043.
    pub login_packet_max: usize,
    /// Bytes of a command including its command byte, and of all long data of a connection together (64 for each
    /// parameter that has some, and its length). Above:
    /// [`Input::TooLarge`](crate::Input::TooLarge), nothing of it is kept.
    pub packet_max: usize,
    /// Prepared statements of a connection. Above: error 1461 (42000).
    pub prepared_max: usize,
    /// Commands taken and not yet answered. At this number, and when they hold `packet_max` bytes,
    /// [`Connection::next_input`](crate::Connection::next_input) pauses until one is answered.
    pub pipeline_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_packet_max: 64 * 1024,
            packet_max: 1024 * 1024 + 64 * 1024,
            prepared_max: 256,
            pipeline_max: 1024,
        }
    }
}

/// Turns 20 random bytes into a salt: each byte becomes one of 01…7F and never `$`, which some clients mistake for the
/// mark of an encrypted password.
pub fn salt_from(random: [u8; SALT_LEN]) -> [u8; SALT_LEN] {
    random.map(|byte| match byte & 0x7F {
        0 => 1,
        b'$' => b'%',
        other => other,
    })
}

impl Config {
    /// # Panics
    /// If the salt or a limit is not as documented; both come from the program, not from a peer.
    pub(crate) fn assert_valid(&self) {
        assert!(
            self.salt
                .iter()
                .all(|byte| (1..=0x7F).contains(byte) && *byte != b'$'),
            "each byte of the salt is 01..7F and not '$'"
        );
        assert!(!self.server_version.contains('\0'), "the version has no NUL");
        assert!(
            self.limits.login_packet_max >= 64,
            "a login fits login_packet_max"
        );
        assert!(self.limits.packet_max >= 64, "short commands fit packet_max");
        assert!(self.limits.pipeline_max >= 1, "one command can be taken");
    }
}
