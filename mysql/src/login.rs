//! The connection phase: the server's greeting, the client's login, and COM_CHANGE_USER, which repeats the login.
//!
//! Promise: a login packet is either understood completely or malformed; nothing is guessed (protocol.md 7.1).
//! Must never know: which users exist.

use bytes::{BufMut, Bytes, BytesMut};

use crate::auth::{AuthPlugin, Proof, SALT_LEN};
use crate::capabilities::{
    CONNECT_ATTRS, CONNECT_WITH_DB, PLUGIN_AUTH, PLUGIN_AUTH_LENENC_CLIENT_DATA, PROTOCOL_41,
    SECURE_CONNECTION, SSL, offered,
};
use crate::config::Config;
use crate::wire::{Malformed, Reader, put_nul_terminated};

/// `utf8mb4_general_ci`. Announced in the greeting.
const UTF8MB4: u8 = 45;
pub(crate) const STATUS_AUTOCOMMIT: u16 = 0x0002;
pub(crate) const STATUS_IN_TRANSACTION: u16 = 0x0001;
/// An SSLRequest is the head of a login packet and nothing else.
const SSL_REQUEST_LEN: usize = 32;

/// Someone wants in: a login, or a COM_CHANGE_USER of a session that already is.
///
/// Decide, then call [`Connection::accept_login`](crate::Connection::accept_login) or
/// [`Connection::reject_login`](crate::Connection::reject_login).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name as sent; no particular encoding is promised.
    pub user: Bytes,
    /// The database to begin with, `None` if the client named none.
    pub database: Option<Bytes>,
    /// True for COM_CHANGE_USER: if accepted, the session begins anew as this user.
    pub change_user: bool,
    /// The connection is encrypted.
    pub tls: bool,
    pub(crate) proof: Proof,
    attributes: Bytes,
}

impl Login {
    /// Whether the client proved that it knows `password`. Constant time.
    pub fn password_is(&self, password: &[u8]) -> bool {
        self.proof.is_of(password)
    }

    /// Whether the client came with the empty password.
    pub fn password_is_empty(&self) -> bool {
        self.proof.is_empty()
    }

    /// The plugin the client used in the end.
    pub fn plugin(&self) -> AuthPlugin {
        self.proof.plugin
    }

    /// What the client tells about itself (`_client_name`, `program_name`, …), unchecked.
    pub fn attributes(&self) -> impl Iterator<Item = (Bytes, Bytes)> + use<> {
        let mut reader = Reader::new(self.attributes.clone());
        std::iter::from_fn(move || attribute(&mut reader).ok())
    }
}

fn attribute(reader: &mut Reader) -> Result<(Bytes, Bytes), Malformed> {
    Ok((reader.length_encoded_bytes()?, reader.length_encoded_bytes()?))
}

/// A login of which the proof may still be missing.
pub(crate) struct Attempt {
    pub(crate) user: Bytes,
    pub(crate) database: Option<Bytes>,
    pub(crate) change_user: bool,
    pub(crate) response: Bytes,
    pub(crate) plugin: PluginName,
    pub(crate) attributes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PluginName {
    /// The client is older than plugins: native password, and it cannot be asked to switch.
    Absent,
    Known(AuthPlugin),
    Unknown,
}

impl Attempt {
    pub(crate) fn into_login(self, proof: Proof, tls: bool) -> Login {
        Login {
            user: self.user,
            database: self.database,
            change_user: self.change_user,
            tls,
            proof,
            attributes: self.attributes,
        }
    }
}

/// The first packet of a client.
pub(crate) enum Hello {
    Tls,
    /// Without PROTOCOL_41 or SECURE_CONNECTION: it cannot prove its password in any way we accept.
    TooOld,
    Login {
        capabilities: u32,
        attempt: Attempt,
    },
}

/// HandshakeV10, protocol.md 7.1.
pub(crate) fn put_greeting(out: &mut BytesMut, config: &Config) {
    let capabilities = offered(config.tls_available);
    out.put_u8(10);
    put_nul_terminated(out, config.server_version.as_bytes());
    out.put_u32_le(config.connection_id);
    put_nul_terminated(out, &config.salt[..8]);
    out.put_u16_le(capabilities as u16);
    out.put_u8(UTF8MB4);
    out.put_u16_le(STATUS_AUTOCOMMIT);
    out.put_u16_le((capabilities >> 16) as u16);
    out.put_u8(SALT_LEN as u8 + 1);
    out.put_bytes(0, 10);
    put_nul_terminated(out, &config.salt[8..]);
    put_nul_terminated(out, config.default_plugin.name().as_bytes());
}

pub(crate) fn parse_hello(payload: Bytes, tls_possible: bool) -> Result<Hello, Malformed> {
    let length = payload.len();
    let mut reader = Reader::new(payload);
    let low = u32::from(reader.u16()?);
    if low & PROTOCOL_41 == 0 {
        return Ok(Hello::TooOld);
    }
    let capabilities = low | u32::from(reader.u16()?) << 16;
    // Largest packet, character set, filler: nothing we depend on; texts are UTF-8 whatever the client announces.
    reader.bytes(SSL_REQUEST_LEN - 4)?;
    if length == SSL_REQUEST_LEN && tls_possible && capabilities & SSL != 0 {
        return Ok(Hello::Tls);
    }
    if capabilities & SECURE_CONNECTION == 0 {
        return Ok(Hello::TooOld);
    }
    let attempt = Attempt {
        user: reader.until_nul()?,
        change_user: false,
        response: match capabilities & PLUGIN_AUTH_LENENC_CLIENT_DATA {
            0 => short_bytes(&mut reader)?,
            _ => reader.length_encoded_bytes()?,
        },
        database: match capabilities & CONNECT_WITH_DB {
            0 => None,
            _ => database(reader.until_nul()?),
        },
        plugin: plugin(&mut reader, capabilities)?,
        attributes: attributes(&mut reader, capabilities)?,
    };
    Ok(Hello::Login {
        capabilities,
        attempt,
    })
}

/// The payload of a COM_CHANGE_USER after its command byte. What comes after the database may be absent.
pub(crate) fn parse_change_user(payload: Bytes, capabilities: u32) -> Result<Attempt, Malformed> {
    let mut reader = Reader::new(payload);
    let user = reader.until_nul()?;
    let response = short_bytes(&mut reader)?;
    let database = database(reader.until_nul()?);
    let more = !reader.is_empty();
    if more {
        reader.u16()?;
    }
    let more = more && !reader.is_empty();
    let tail = if more {
        capabilities
    } else {
        capabilities & !(PLUGIN_AUTH | CONNECT_ATTRS)
    };
    let plugin = plugin(&mut reader, tail)?;
    let tail = if reader.is_empty() { 0 } else { tail };
    let attributes = attributes(&mut reader, tail)?;
    Ok(Attempt {
        user,
        database,
        change_user: true,
        response,
        plugin,
        attributes,
    })
}

fn short_bytes(reader: &mut Reader) -> Result<Bytes, Malformed> {
    let length = reader.u8()?;
    reader.bytes(usize::from(length))
}

/// An empty name means that none was chosen; drivers send it that way.
fn database(name: Bytes) -> Option<Bytes> {
    Some(name).filter(|name| !name.is_empty())
}

fn plugin(reader: &mut Reader, capabilities: u32) -> Result<PluginName, Malformed> {
    if capabilities & PLUGIN_AUTH == 0 {
        return Ok(PluginName::Absent);
    }
    let name = reader.until_nul()?;
    Ok(AuthPlugin::from_name(&name).map_or(PluginName::Unknown, PluginName::Known))
}

/// Walks over all attributes so that a wrong length inside is found now.
fn attributes(reader: &mut Reader, capabilities: u32) -> Result<Bytes, Malformed> {
    if capabilities & CONNECT_ATTRS == 0 {
        return Ok(Bytes::new());
    }
    let all = reader.length_encoded_bytes()?;
    let mut inner = Reader::new(all.clone());
    while !inner.is_empty() {
        attribute(&mut inner)?;
    }
    Ok(all)
}
