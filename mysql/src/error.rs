//! What can go wrong between a client and a server, and how it is put on the wire.
//!
//! Promise: the errors of the protocol itself carry MySQL's own codes and SQLSTATEs.
//! Must never know: the errors of the application; those arrive as [`ErrorPacket`]s from outside.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

/// Longer texts are cut: clients keep error texts in buffers of 512 bytes.
const TEXT_MAX: usize = 500;

/// An ERR packet: any code, any SQLSTATE, any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPacket {
    code: u16,
    sqlstate: [u8; 5],
    text: Cow<'static, str>,
}

impl ErrorPacket {
    /// `sqlstate` is five characters such as `b"HY000"`. Texts over 500 bytes are cut.
    pub fn new(code: u16, sqlstate: &[u8; 5], text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            sqlstate: *sqlstate,
            text: text.into(),
        }
    }

    /// MySQL's answer to a wrong user or password: 1045, SQLSTATE 28000.
    pub fn access_denied(user: &str) -> Self {
        Self::new(1045, b"28000", format!("Access denied for user '{user}'"))
    }

    /// The error number, which most clients call `errno`.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// protocol.md 7.5: FF, code, `#`, SQLSTATE, text.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        out.put_u8(0xFF);
        out.put_u16_le(self.code);
        out.put_u8(b'#');
        out.put_slice(&self.sqlstate);
        out.put_slice(&self.text.as_bytes()[..self.text.floor_char_boundary(TEXT_MAX)]);
    }

    pub(crate) fn bad_handshake() -> Self {
        Self::new(1043, b"08S01", "Bad handshake")
    }

    pub(crate) fn unknown_command() -> Self {
        Self::new(1047, b"08S01", "Unknown command")
    }

    pub(crate) fn out_of_order() -> Self {
        Self::new(1156, b"08S01", "Got packets out of order")
    }

    pub(crate) fn bad_arguments() -> Self {
        Self::new(1210, b"HY000", "Incorrect arguments to mysqld_stmt_execute")
    }

    pub(crate) fn unknown_statement() -> Self {
        Self::new(1243, b"HY000", "Unknown prepared statement")
    }

    pub(crate) fn too_many_statements(max: usize) -> Self {
        let text =
            format!("Can't create more than max_prepared_stmt_count statements (current value: {max})");
        Self::new(1461, b"42000", text)
    }

    pub(crate) fn malformed_command() -> Self {
        Self::new(1835, b"HY000", "Malformed communication packet")
    }
}

/// The client broke the protocol in a way that ends the connection. The ERR packet for it is already in the output:
/// write what is there, then close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Too short, a terminator missing, or a length beyond the packet. The client is told 1043 (08S01).
    #[error("malformed login packet")]
    MalformedLogin,
    /// Longer than [`Limits::login_packet_max`](crate::Limits). The client is told 1043 (08S01).
    #[error("login packet too large")]
    LoginTooLarge,
    /// A sequence id that does not follow. The client is told 1156 (08S01).
    #[error("packets out of order")]
    OutOfOrder,
}

impl ProtocolError {
    pub(crate) fn packet(self) -> ErrorPacket {
        match self {
            Self::MalformedLogin | Self::LoginTooLarge => ErrorPacket::bad_handshake(),
            Self::OutOfOrder => ErrorPacket::out_of_order(),
        }
    }
}
