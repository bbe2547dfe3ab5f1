//! A back end: the client half of the MySQL protocol as far as CometQL needs it (protocol.md 7.1, 7.2), on a blocking
//! socket, with as many statements under way as the caller likes.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use sha1::{Digest as _, Sha1};

use crate::process::{PASSWORD, PATIENCE};

/// LONG_PASSWORD, CONNECT_WITH_DB, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_RESULTS, PLUGIN_AUTH
const CAPABILITIES: u32 = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x2_0000 | 0x8_0000;

/// The answer to a statement.
#[derive(Debug)]
pub(crate) enum Reply {
    Ok,
    Refused(u16),
    Rows(Vec<Vec<String>>),
}

/// A logged-in session.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    received: Vec<u8>,
    used: usize,
}

impl Session {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self {
            stream,
            received: Vec::new(),
            used: 0,
        };
        let greeting = session.packet()?;
        refused(&greeting)?;
        let salt = salt(&greeting).ok_or_else(strange)?;
        let mut login = packet(1, &login(&salt));
        session.stream.write_all(&login)?;
        login.clear();
        let answer = session.packet()?;
        refused(&answer)?;
        match answer.first() {
            Some(0) => Ok(session),
            Some(_) | None => Err(strange()),
        }
    }

    /// Sends statements without waiting.
    pub(crate) fn send(&mut self, statements: &[String]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for statement in statements {
            let mut payload = vec![0x03];
            payload.extend_from_slice(statement.as_bytes());
            bytes.extend_from_slice(&packet(0, &payload));
        }
        self.stream.write_all(&bytes)
    }

    /// Waits for the next answer.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let first = self.packet()?;
        let columns = match first.as_slice() {
            [0x00, ..] => return Ok(Reply::Ok),
            [0xFF, low, high, ..] => return Ok(Reply::Refused(u16::from_le_bytes([*low, *high]))),
            [columns, ..] => *columns,
            [] => return Err(strange()),
        };
        for _ in 0..=columns {
            self.packet()?;
        }
        let mut rows = Vec::new();
        loop {
            let row = self.packet()?;
            if row.first() == Some(&0xFE) && row.len() < 9 {
                return Ok(Reply::Rows(rows));
            }
            rows.push(cells(&row).ok_or_else(strange)?);
        }
    }

    /// The rows of a statement that has rows.
    pub(crate) fn rows(&mut self, statement: String) -> io::Result<Vec<Vec<String>>> {
        self.send(&[statement])?;
        match self.reply()? {
            Reply::Rows(rows) => Ok(rows),
            Reply::Ok | Reply::Refused(_) => Err(strange()),
        }
    }

    /// A statement that must be answered OK.
    pub(crate) fn execute(&mut self, statement: String) -> io::Result<()> {
        self.send(&[statement])?;
        match self.reply()? {
            Reply::Ok => Ok(()),
            Reply::Rows(_) | Reply::Refused(_) => Err(strange()),
        }
    }

    fn packet(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let waiting = self.received.get(self.used..).unwrap_or_default();
            if let Some((&[a, b, c, _], rest)) = waiting.split_first_chunk::<4>()
                && let Some(payload) = rest.get(..u32::from_le_bytes([a, b, c, 0]) as usize)
            {
                let payload = payload.to_vec();
                self.used += 4 + payload.len();
                return Ok(payload);
            }
            self.received.drain(..self.used);
            self.used = 0;
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// A server that is stopping takes no more sessions; a living one that refuses us is not excused (`Ending::explains`).
fn refused(answer: &[u8]) -> io::Result<()> {
    match answer {
        [0xFF, ..] => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok(()),
    }
}

fn strange() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer that was not expected")
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
    let mut bytes = vec![a, b, c, number];
    bytes.extend_from_slice(payload);
    bytes
}

/// The 20 bytes of the greeting that the password is mixed with.
fn salt(greeting: &[u8]) -> Option<Vec<u8>> {
    let version = greeting.get(1..)?.iter().position(|byte| *byte == 0)?;
    let at = 1 + version + 1 + 4;
    let mut salt = greeting.get(at..at + 8)?.to_vec();
    salt.extend_from_slice(greeting.get(at + 8 + 19..at + 8 + 19 + 12)?);
    Some(salt)
}

fn login(salt: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(PASSWORD.as_bytes());
    let twice = Sha1::digest(once);
    let salted = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    let mut payload = CAPABILITIES.to_le_bytes().to_vec();
    payload.extend_from_slice(&(16_u32 << 20).to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(b"root\0\x14");
    payload.extend(once.iter().zip(salted).map(|(a, b)| a ^ b));
    payload.extend_from_slice(b"CometQL_v1\0mysql_native_password\0");
    payload
}

/// The texts of a row.
fn cells(mut row: &[u8]) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    while let Some((first, rest)) = row.split_first() {
        let width = match first {
            0xFC => 2,
            0xFD => 3,
            0xFE => 8,
            _ => 0,
        };
        let mut number = [0; 8];
        let length = if width == 0 {
            u64::from(*first)
        } else {
            number[..width].copy_from_slice(rest.get(..width)?);
            u64::from_le_bytes(number)
        };
        let (text, rest) = rest.get(width..)?.split_at_checked(length as usize)?;
        cells.push(String::from_utf8(text.to_vec()).ok()?);
        row = rest;
    }
    Some(cells)
}
