//! Proof that a client knows the password: `mysql_native_password` and `caching_sha2_password`.
//!
//! Promise: passwords are compared in constant time and neither they nor the proofs reach Debug output.
//! Because the server knows the password itself, the fast path of `caching_sha2_password` always decides; the password
//! never crosses the wire, so neither RSA keys nor TLS are needed for it.
//! Must never know: who may log in.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::wire::put_nul_terminated;

/// Length of the random bytes both plugins mix into their proofs.
pub(crate) const SALT_LEN: usize = 20;

/// The authentication plugins this crate can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPlugin {
    /// SHA-1 based; every client but MySQL 9's own has it.
    NativePassword,
    /// SHA-256 based; MySQL's default since 8.0.
    CachingSha2Password,
}

impl AuthPlugin {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NativePassword => "mysql_native_password",
            Self::CachingSha2Password => "caching_sha2_password",
        }
    }

    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [Self::NativePassword, Self::CachingSha2Password]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }

    fn proof_len(self) -> usize {
        match self {
            Self::NativePassword => 20,
            Self::CachingSha2Password => 32,
        }
    }
}

/// What a client sent to prove that it knows the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) plugin: AuthPlugin,
    pub(crate) salt: [u8; SALT_LEN],
    response: Bytes,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl Proof {
    pub(crate) fn new(plugin: AuthPlugin, salt: [u8; SALT_LEN], response: Bytes) -> Self {
        Self {
            plugin,
            salt,
            response,
        }
    }

    /// The client says that its password is the empty one. `caching_sha2_password` writes that as one zero byte.
    pub(crate) fn is_empty(&self) -> bool {
        self.response.is_empty()
            || (self.plugin == AuthPlugin::CachingSha2Password && self.response[..] == [0])
    }

    /// Whether the response can be one of this plugin at all; if not, the client meant another plugin.
    pub(crate) fn fits(&self) -> bool {
        self.is_empty() || self.response.len() == self.plugin.proof_len()
    }

    pub(crate) fn is_of(&self, password: &[u8]) -> bool {
        if password.is_empty() || self.is_empty() {
            return password.is_empty() && self.is_empty();
        }
        match self.plugin {
            AuthPlugin::NativePassword => self.response[..]
                .ct_eq(&native_proof(password, &self.salt)[..])
                .into(),
            AuthPlugin::CachingSha2Password => self.response[..]
                .ct_eq(&sha2_proof(password, &self.salt)[..])
                .into(),
        }
    }
}

/// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))).
fn native_proof(password: &[u8], salt: &[u8; SALT_LEN]) -> [u8; 20] {
    let once: [u8; 20] = Sha1::digest(password).into();
    let twice: [u8; 20] = Sha1::digest(once).into();
    let mask: [u8; 20] = Sha1::new()
        .chain_update(salt)
        .chain_update(twice)
        .finalize()
        .into();
    std::array::from_fn(|i| once[i] ^ mask[i])
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt).
fn sha2_proof(password: &[u8], salt: &[u8; SALT_LEN]) -> [u8; 32] {
    let once: [u8; 32] = Sha256::digest(password).into();
    let twice: [u8; 32] = Sha256::digest(once).into();
    let mask: [u8; 32] = Sha256::new()
        .chain_update(twice)
        .chain_update(salt)
        .finalize()
        .into();
    std::array::from_fn(|i| once[i] ^ mask[i])
}

/// AuthSwitchRequest: "prove it again, with this plugin".
pub(crate) fn put_switch_request(out: &mut BytesMut, plugin: AuthPlugin, salt: &[u8; SALT_LEN]) {
    out.put_u8(0xFE);
    put_nul_terminated(out, plugin.name().as_bytes());
    put_nul_terminated(out, salt);
}
