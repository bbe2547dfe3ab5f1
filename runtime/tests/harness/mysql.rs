//! A MySQL client that shows every packet: just enough to log in with `mysql_native_password` and to query.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use sha1::{Digest, Sha1};

pub(crate) const COM_QUIT: u8 = 0x01;
pub(crate) const COM_QUERY: u8 = 0x03;
pub(crate) const COM_STATISTICS: u8 = 0x09;
pub(crate) const COM_PING: u8 = 0x0E;
pub(crate) const COM_STMT_PREPARE: u8 = 0x16;

const CAPABILITIES: u32 = 0x0000_0001 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000;

/// A connection; logged in unless made by `greeted`.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) salt: Vec<u8>,
}

/// A packet with this sequence number.
pub(crate) fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let mut bytes = vec![length[0], length[1], length[2], sequence];
    bytes.extend_from_slice(payload);
    bytes
}

/// A COM_QUERY packet.
pub(crate) fn query_packet(sql: &str) -> Vec<u8> {
    packet(0, &[&[COM_QUERY], sql.as_bytes()].concat())
}

fn scramble(password: &str, salt: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mixed = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    once.iter().zip(mixed).map(|(a, b)| a ^ b).collect()
}

impl Client {
    /// Connects and reads the greeting.
    pub(crate) fn greeted(address: SocketAddr) -> Self {
        Self::greeted_over(super::connect(address))
    }

    /// Reads the greeting.
    pub(crate) fn greeted_over(stream: TcpStream) -> Self {
        let mut client = Self {
            stream,
            salt: Vec::new(),
        };
        let greeting = client.read();
        assert_eq!(greeting[0], 10);
        let version_end = greeting.iter().position(|byte| *byte == 0).unwrap();
        assert!(greeting[1..version_end].starts_with(b"5.7."));
        let rest = &greeting[version_end + 5..];
        client.salt = [&rest[..8], &rest[27..39]].concat();
        client
    }

    /// Connects and logs in as root.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::open_as(address, "root", super::PASSWORD)
    }

    /// Connects and logs in.
    pub(crate) fn open_as(address: SocketAddr, user: &str, password: &str) -> Self {
        let mut client = Self::greeted(address);
        let login = client.login(user, password);
        client.write(&login);
        let answer = client.read();
        assert_eq!(answer[0], 0, "{answer:?}");
        client
    }

    /// The login packet.
    pub(crate) fn login(&self, user: &str, password: &str) -> Vec<u8> {
        let mut login = CAPABILITIES.to_le_bytes().to_vec();
        login.extend(0x0100_0000_u32.to_le_bytes());
        login.push(45);
        login.extend([0; 23]);
        login.extend(user.as_bytes());
        login.push(0);
        if password.is_empty() {
            login.push(0);
        } else {
            login.push(20);
            login.extend(scramble(password, &self.salt));
        }
        login.extend(b"mysql_native_password\0");
        packet(1, &login)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The payload of the next packet.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).unwrap();
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).unwrap();
        payload
    }

    /// Sends a query and returns the first packet of the answer.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<u8> {
        self.write(&query_packet(sql));
        self.read()
    }

    /// A statement that must work and has no rows; returns the text of its OK.
    pub(crate) fn run(&mut self, sql: &str) -> String {
        let answer = self.query(sql);
        assert_eq!(answer[0], 0, "{sql}: {}", String::from_utf8_lossy(&answer));
        String::from_utf8_lossy(answer.get(7..).unwrap_or_default()).into_owned()
    }

    /// The rows of a SELECT.
    pub(crate) fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let head = self.query(sql);
        assert_ne!(head[0], 0xFF, "{sql}: {}", String::from_utf8_lossy(&head));
        for _ in 0..head[0] {
            self.read();
        }
        assert_eq!(self.read()[0], 0xFE);
        let mut rows = Vec::new();
        loop {
            let packet = self.read();
            if packet[0] == 0xFE && packet.len() < 9 {
                return rows;
            }
            rows.push(cells(&packet));
        }
    }
}

/// Short length-encoded strings.
fn cells(mut packet: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    while let Some((&first, rest)) = packet.split_first() {
        let (length, rest) = match first {
            0xFC => (usize::from(u16::from_le_bytes([rest[0], rest[1]])), &rest[2..]),
            short => (usize::from(short), rest),
        };
        cells.push(String::from_utf8(rest[..length].to_vec()).unwrap());
        packet = &rest[length..];
    }
    cells
}

/// The code of an ERR packet.
pub(crate) fn error_code(packet: &[u8]) -> u16 {
    assert_eq!(packet[0], 0xFF, "{packet:?}");
    u16::from_le_bytes([packet[1], packet[2]])
}
