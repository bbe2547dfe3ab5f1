//! MySQL packets as bytes in and bytes out. Written from the public protocol description; knows no socket.

use sha1::{Digest as _, Sha1};

use crate::failure::Failure;

const COM_QUERY: u8 = 0x03;
const PLUGIN: &str = "mysql_native_password";
// LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_RESULTS, PLUGIN_AUTH
const CAPABILITIES: u32 = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x2_0000 | 0x8_0000;

/// Appends one packet. Statements here stay far below the 16 MiB at which packets are continued.
pub(crate) fn put(out: &mut Vec<u8>, sequence: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a statement of the load generator is short");
    assert!(
        length < 0xFF_FFFF,
        "a statement of the load generator needs no continuation"
    );
    out.extend_from_slice(&length.to_le_bytes()[..3]);
    out.push(sequence);
    out.extend_from_slice(payload);
}

pub(crate) fn put_query(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len() + 1).expect("a statement of the load generator is short");
    assert!(
        length < 0xFF_FFFF,
        "a statement of the load generator needs no continuation"
    );
    out.extend_from_slice(&length.to_le_bytes()[..3]);
    out.extend_from_slice(&[0, COM_QUERY]);
    out.extend_from_slice(text.as_bytes());
}

/// A complete packet at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) sequence: u8,
    pub(crate) payload: &'a [u8],
}

impl Packet<'_> {
    /// Bytes on the wire, header included.
    pub(crate) fn len(&self) -> usize {
        4 + self.payload.len()
    }
}

pub(crate) fn split(bytes: &[u8]) -> Option<Packet<'_>> {
    let (&[a, b, c, sequence], rest) = bytes.split_first_chunk()?;
    let payload = rest.get(..u32::from_le_bytes([a, b, c, 0]) as usize)?;
    Some(Packet { sequence, payload })
}

/// The answer to one statement, as far as its first packet tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Ok {
        affected: u64,
    },
    Refused {
        code: u16,
        text: String,
    },
    /// A result set with this many columns follows.
    Rows(u64),
}

impl Reply {
    /// The affected rows of a statement that has no rows to give.
    pub(crate) fn affected(self) -> Result<u64, Failure> {
        match self {
            Self::Ok { affected } => Ok(affected),
            Self::Refused { code, text } => Err(Failure::Sql { code, text }),
            Self::Rows(_) => Err(Failure::told("CometQL answered rows where OK was expected")),
        }
    }

    /// The number of columns of a statement that gives rows.
    pub(crate) fn columns(self) -> Result<u64, Failure> {
        match self {
            Self::Rows(columns) => Ok(columns),
            Self::Refused { code, text } => Err(Failure::Sql { code, text }),
            Self::Ok { .. } => Err(Failure::told("CometQL answered OK where rows were expected")),
        }
    }

    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Failure> {
        match payload {
            [0x00, rest @ ..] => Ok(Self::Ok {
                affected: Reader(rest).number()?,
            }),
            [0xFF, low, high, rest @ ..] => {
                let text = if rest.first() == Some(&b'#') {
                    rest.get(6..).unwrap_or_default()
                } else {
                    rest
                };
                let code = u16::from_le_bytes([*low, *high]);
                Ok(Self::Refused {
                    code,
                    text: String::from_utf8_lossy(text).into_owned(),
                })
            }
            other => Ok(Self::Rows(Reader(other).number()?)),
        }
    }
}

/// Reads the fields of a payload.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| Failure::told("MySQL packet ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Failure> {
        Ok(self.take(1)?[0])
    }

    /// A length-encoded integer.
    pub(crate) fn number(&mut self) -> Result<u64, Failure> {
        let wide = match self.byte()? {
            0xFC => 2,
            0xFD => 3,
            0xFE => 8,
            small => return Ok(u64::from(small)),
        };
        let mut bytes = [0; 8];
        bytes[..wide].copy_from_slice(self.take(wide)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A length-encoded text.
    pub(crate) fn text(&mut self) -> Result<String, Failure> {
        let length = usize::try_from(self.number()?).map_err(|_| Failure::told("MySQL text too long"))?;
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn until_nul(&mut self) -> Result<&'a [u8], Failure> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| Failure::told("MySQL text without end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }
}

/// The scramble a greeting asks to be answered with: 20 bytes.
pub(crate) fn greeting_salt(payload: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut reader = Reader(payload);
    if reader.byte()? != 10 {
        return Err(Failure::told("the CometQL port does not speak MySQL protocol 10"));
    }
    reader.until_nul()?;
    reader.take(4)?;
    let mut salt = reader.take(8)?.to_vec();
    // Filler, capabilities, character set, status, capabilities, length of the salt, reserved.
    reader.take(1 + 2 + 1 + 2 + 2 + 1 + 10)?;
    salt.extend_from_slice(reader.take(12)?);
    Ok(salt)
}

pub(crate) fn login(password: &str, salt: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(96);
    payload.extend_from_slice(&CAPABILITIES.to_le_bytes());
    payload.extend_from_slice(&(16_u32 << 20).to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(b"root\0");
    let proof = native_proof(password, salt);
    payload.push(20);
    payload.extend_from_slice(&proof);
    payload.extend_from_slice(b"CometQL_v1\0");
    payload.extend_from_slice(PLUGIN.as_bytes());
    payload.push(0);
    payload
}

/// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))).
pub(crate) fn native_proof(password: &str, salt: &[u8]) -> [u8; 20] {
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let salted = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    std::array::from_fn(|at| once[at] ^ salted[at])
}

/// Puts quotes around a text and escapes what needs it (protocol.md 7.4), as `mysqli_real_escape_string` does.
pub(crate) fn quoted(text: &str, out: &mut String) {
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            other => out.push(other),
        }
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_split_only_when_complete() {
        let mut bytes = Vec::new();
        put_query(&mut bytes, "SELECT 1");
        put(&mut bytes, 7, &[0xFE]);
        let first = split(&bytes).unwrap();
        assert_eq!((first.sequence, first.payload), (0, b"\x03SELECT 1".as_slice()));
        let used = first.len();
        assert_eq!(
            split(&bytes[used..]),
            Some(Packet {
                sequence: 7,
                payload: &[0xFE]
            })
        );
        assert_eq!(split(&bytes[..used - 1]), None);
        assert_eq!(split(&bytes[..3]), None);
    }

    #[test]
    fn the_answers_of_the_appendix_are_read() {
        let reply = |bytes: &[u8]| Reply::parse(bytes).unwrap();
        assert_eq!(reply(&[0, 1, 0x0C, 2, 0, 0, 0]), Reply::Ok { affected: 1 });
        assert_eq!(
            reply(&[0, 1, 0xFD, 0x1F, 0x4F, 1, 2, 0, 0, 0]),
            Reply::Ok { affected: 1 }
        );
        assert_eq!(
            reply(b"\xFF\x0F\x00#HY000gone"),
            Reply::Refused {
                code: 15,
                text: "gone".into()
            }
        );
        assert_eq!(reply(&[3]), Reply::Rows(3));
        assert!(Reply::parse(&[0, 0xFC, 1]).is_err());
    }

    #[test]
    fn the_native_proof_undoes_itself() {
        let salt = [7; 20];
        let proof = native_proof("secret", &salt);
        let twice = Sha1::digest(Sha1::digest(b"secret"));
        let salted = Sha1::new().chain_update(salt).chain_update(twice).finalize();
        let once: Vec<u8> = proof.iter().zip(salted).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha1::digest(once), twice);
        assert_ne!(proof, native_proof("other", &salt));
    }

    #[test]
    fn texts_are_escaped_as_clients_do() {
        let mut out = String::new();
        quoted("it's \"a\" \\ b\n", &mut out);
        assert_eq!(out, r#"'it\'s \"a\" \\ b\n'"#);
    }
}
