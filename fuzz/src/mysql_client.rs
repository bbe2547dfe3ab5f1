//! What a MySQL client sends, written from the protocol alone: packets, proofs of passwords, logins, parameters.

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// Long password, database, protocol 4.1, secure connection, plugins, attributes.
pub(crate) const CAPABILITIES: u32 = 0x0018_8209;
pub(crate) const NATIVE: &str = "mysql_native_password";
pub(crate) const SHA2: &str = "caching_sha2_password";

pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    bytes.push(sequence);
    bytes.extend(payload);
    bytes
}

/// The proof that a client knows a password; the empty one is proven by nothing.
pub(crate) fn proof(plugin: &str, password: &[u8], salt: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let xor = |once: &[u8], mask: &[u8]| once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    if plugin == SHA2 {
        let once = Sha256::digest(password);
        let twice = Sha256::digest(once);
        xor(&once, &Sha256::digest([&twice[..], salt].concat()))
    } else {
        let once = Sha1::digest(password);
        let twice = Sha1::digest(once);
        xor(&once, &Sha1::digest([salt, &twice].concat()))
    }
}

/// HandshakeResponse41.
pub(crate) fn login(user: &str, proof: &[u8], plugin: &str) -> Vec<u8> {
    let mut bytes = CAPABILITIES.to_le_bytes().to_vec();
    bytes.extend(0x0100_0000u32.to_le_bytes());
    bytes.push(45);
    bytes.extend([0; 23]);
    who(&mut bytes, user, proof);
    tail(&mut bytes, plugin);
    bytes
}

/// COM_CHANGE_USER.
pub(crate) fn change_user(user: &str, proof: &[u8], plugin: &str) -> Vec<u8> {
    let mut bytes = vec![0x11];
    who(&mut bytes, user, proof);
    bytes.extend([45, 0]);
    tail(&mut bytes, plugin);
    bytes
}

fn who(bytes: &mut Vec<u8>, user: &str, proof: &[u8]) {
    bytes.extend(user.bytes().chain([0]));
    bytes.push(proof.len() as u8);
    bytes.extend(proof);
    bytes.extend(b"CometQL_v1\0");
}

fn tail(bytes: &mut Vec<u8>, plugin: &str) {
    bytes.extend(plugin.bytes().chain([0]));
    bytes.extend(b"\x06\x03pid\x011");
}

/// A parameter: its type as sent, its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) code: [u8; 2],
    pub(crate) is_null: bool,
    pub(crate) bytes: Vec<u8>,
}

/// COM_STMT_EXECUTE with types.
pub(crate) fn execute(statement: u32, params: &[Sent]) -> Vec<u8> {
    let mut bytes = vec![0x17];
    bytes.extend(statement.to_le_bytes());
    bytes.extend([0, 1, 0, 0, 0]);
    if params.is_empty() {
        return bytes;
    }
    let mut nulls = vec![0u8; params.len().div_ceil(8)];
    for (at, _) in params.iter().enumerate().filter(|(_, param)| param.is_null) {
        nulls[at / 8] |= 1 << (at % 8);
    }
    bytes.extend(nulls);
    bytes.push(1);
    bytes.extend(params.iter().flat_map(|param| param.code));
    bytes.extend(params.iter().flat_map(|param| &param.bytes));
    bytes
}

/// A command about a statement.
pub(crate) fn with_id(command: u8, statement: u32) -> Vec<u8> {
    let mut bytes = vec![command];
    bytes.extend(statement.to_le_bytes());
    bytes
}
