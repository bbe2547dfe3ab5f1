//! A small MySQL client encoder, written from the protocol alone: it shares nothing with the crate under test, so that
//! a mistake made twice is unlikely.

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

pub(crate) const SALT: [u8; 20] = *b"abcdefgh0123456789AB";

pub(crate) const CAPABILITIES: u32 = 0x0000_0001 // LONG_PASSWORD
    | 0x0000_0008 // CONNECT_WITH_DB
    | 0x0000_0200 // PROTOCOL_41
    | 0x0000_8000 // SECURE_CONNECTION
    | 0x0008_0000 // PLUGIN_AUTH
    | 0x0010_0000; // CONNECT_ATTRS
pub(crate) const SSL: u32 = 0x800;
pub(crate) const LENENC_AUTH: u32 = 0x20_0000;
pub(crate) const NATIVE: &str = "mysql_native_password";
pub(crate) const SHA2: &str = "caching_sha2_password";

pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 0xFF_FFFF);
    let mut bytes = (payload.len() as u32).to_le_bytes()[..3].to_vec();
    bytes.push(sequence);
    bytes.extend(payload);
    bytes
}

/// Any length, in parts of 16 MiB - 1.
pub(crate) fn long_packet(mut sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts: Vec<&[u8]> = payload.chunks(0xFF_FFFF).collect();
    if payload.len().is_multiple_of(0xFF_FFFF) {
        parts.push(&[]);
    }
    for part in parts {
        bytes.extend(&(part.len() as u32).to_le_bytes()[..3]);
        bytes.push(sequence);
        bytes.extend(part);
        sequence = sequence.wrapping_add(1);
    }
    bytes
}

pub(crate) fn native_proof(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let stage1 = Sha1::digest(password);
    let stage2 = Sha1::digest(stage1);
    let mask = Sha1::digest([salt, &stage2].concat());
    stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

pub(crate) fn sha2_proof(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let stage1 = Sha256::digest(password);
    let stage2 = Sha256::digest(stage1);
    let mask = Sha256::digest([&stage2[..], salt].concat());
    stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// HandshakeResponse41, each field of it.
#[derive(Clone)]
pub(crate) struct LoginPacket {
    pub(crate) capabilities: u32,
    pub(crate) user: &'static str,
    pub(crate) proof: Vec<u8>,
    pub(crate) database: &'static str,
    pub(crate) plugin: &'static str,
    pub(crate) attributes: Vec<(&'static str, &'static str)>,
}

impl LoginPacket {
    pub(crate) fn native(password: &str) -> Self {
        Self {
            capabilities: CAPABILITIES,
            user: "root",
            proof: if password.is_empty() {
                Vec::new()
            } else {
                native_proof(password.as_bytes(), &SALT)
            },
            database: "CometQL_v1",
            plugin: NATIVE,
            attributes: vec![("_client_name", "tiny"), ("pid", "1")],
        }
    }

    pub(crate) fn sha2(password: &str) -> Self {
        Self {
            proof: sha2_proof(password.as_bytes(), &SALT),
            plugin: SHA2,
            ..Self::native(password)
        }
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut bytes = head(self.capabilities);
        nul(&mut bytes, self.user);
        bytes.push(self.proof.len() as u8);
        bytes.extend(&self.proof);
        if self.capabilities & 8 != 0 {
            nul(&mut bytes, self.database);
        }
        self.tail(&mut bytes);
        bytes
    }

    /// The same as COM_CHANGE_USER.
    pub(crate) fn change_user(&self) -> Vec<u8> {
        let mut bytes = vec![0x11];
        nul(&mut bytes, self.user);
        bytes.push(self.proof.len() as u8);
        bytes.extend(&self.proof);
        nul(&mut bytes, self.database);
        bytes.extend([45, 0]);
        self.tail(&mut bytes);
        bytes
    }

    fn tail(&self, bytes: &mut Vec<u8>) {
        if self.capabilities & 0x8_0000 != 0 {
            nul(bytes, self.plugin);
        }
        if self.capabilities & 0x10_0000 != 0 {
            let mut all = Vec::new();
            for text in self.attributes.iter().flat_map(|(name, value)| [name, value]) {
                all.push(text.len() as u8);
                all.extend(text.as_bytes());
            }
            length_encoded(bytes, all.len());
            bytes.extend(all);
        }
    }
}

/// The first 32 bytes of a login; alone they are an SSLRequest.
pub(crate) fn head(capabilities: u32) -> Vec<u8> {
    let mut bytes = capabilities.to_le_bytes().to_vec();
    bytes.extend(0x0100_0000u32.to_le_bytes());
    bytes.push(45);
    bytes.extend([0; 23]);
    bytes
}

fn nul(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

pub(crate) fn length_encoded(bytes: &mut Vec<u8>, length: usize) {
    match length {
        0..251 => bytes.push(length as u8),
        251..0x1_0000 => {
            bytes.push(0xFC);
            bytes.extend(&length.to_le_bytes()[..2]);
        }
        0x1_0000..0x100_0000 => {
            bytes.push(0xFD);
            bytes.extend(&length.to_le_bytes()[..3]);
        }
        _ => {
            bytes.push(0xFE);
            bytes.extend((length as u64).to_le_bytes());
        }
    }
}

/// A parameter as a driver would send it: type, unsigned flag, value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Tiny(i8),
    UTiny(u8),
    Short(i16),
    UShort(u16),
    Long(i32),
    ULong(u32),
    LongLong(i64),
    ULongLong(u64),
    Float(f32),
    Double(f64),
    /// With one of the type codes of texts and blobs.
    Text(u8, Vec<u8>),
    /// Year, month, day, hour, minute, second, microsecond; cut where the rest is zero, as drivers do.
    DateTime(u16, [u8; 5], u32),
}

impl Value {
    fn type_code(&self) -> [u8; 2] {
        match self {
            Self::Null => [6, 0],
            Self::Tiny(_) => [1, 0],
            Self::UTiny(_) => [1, 0x80],
            Self::Short(_) => [2, 0],
            Self::UShort(_) => [2, 0x80],
            Self::Long(_) => [3, 0],
            Self::ULong(_) => [3, 0x80],
            Self::LongLong(_) => [8, 0],
            Self::ULongLong(_) => [8, 0x80],
            Self::Float(_) => [4, 0],
            Self::Double(_) => [5, 0],
            Self::Text(code, _) => [*code, 0],
            Self::DateTime(..) => [12, 0],
        }
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Tiny(n) => bytes.extend(n.to_le_bytes()),
            Self::UTiny(n) => bytes.extend(n.to_le_bytes()),
            Self::Short(n) => bytes.extend(n.to_le_bytes()),
            Self::UShort(n) => bytes.extend(n.to_le_bytes()),
            Self::Long(n) => bytes.extend(n.to_le_bytes()),
            Self::ULong(n) => bytes.extend(n.to_le_bytes()),
            Self::LongLong(n) => bytes.extend(n.to_le_bytes()),
            Self::ULongLong(n) => bytes.extend(n.to_le_bytes()),
            Self::Float(n) => bytes.extend(n.to_le_bytes()),
            Self::Double(n) => bytes.extend(n.to_le_bytes()),
            Self::Text(_, text) => {
                length_encoded(bytes, text.len());
                bytes.extend(text);
            }
            Self::DateTime(year, rest, micros) => {
                let mut value = year.to_le_bytes().to_vec();
                value.extend(rest);
                value.extend(micros.to_le_bytes());
                let length = match (*micros, &rest[2..]) {
                    (0, [0, 0, 0]) if (*year, rest[0], rest[1]) == (0, 0, 0) => 0,
                    (0, [0, 0, 0]) => 4,
                    (0, _) => 7,
                    _ => 11,
                };
                bytes.push(length);
                bytes.extend(&value[..usize::from(length)]);
            }
        }
    }
}

/// COM_STMT_EXECUTE; `with_types` is the new-params-bound flag.
pub(crate) fn execute(statement: u32, values: &[Value], with_types: bool) -> Vec<u8> {
    let mut bytes = vec![0x17];
    bytes.extend(statement.to_le_bytes());
    bytes.extend([0, 1, 0, 0, 0]);
    if values.is_empty() {
        return bytes;
    }
    let mut nulls = vec![0u8; values.len().div_ceil(8)];
    for (i, _) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| matches!(value, Value::Null))
    {
        nulls[i / 8] |= 1 << (i % 8);
    }
    bytes.extend(nulls);
    bytes.push(u8::from(with_types));
    if with_types {
        bytes.extend(values.iter().flat_map(Value::type_code));
    }
    for value in values {
        value.put(&mut bytes);
    }
    bytes
}

pub(crate) fn with_id(command: u8, statement: u32) -> Vec<u8> {
    let mut bytes = vec![command];
    bytes.extend(statement.to_le_bytes());
    bytes
}

pub(crate) fn long_data(statement: u32, param: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = with_id(0x18, statement);
    bytes.extend(param.to_le_bytes());
    bytes.extend(data);
    bytes
}
