//! A MySQL client over a simulated socket: log in with `mysql_native_password`, query, read answers.

use std::io;

use comet_server::rt::sim::TcpStream;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CAPABILITIES: u32 = 0x0000_0001 | 0x0000_0200 | 0x0000_8000 | 0x0008_0000;
const COM_QUERY: u8 = 0x03;

/// A session that is logged in.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
}

/// What a statement was answered with.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Done,
    Rows(Vec<Vec<String>>),
    Refused(u16),
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    [&[length[0], length[1], length[2], sequence], payload].concat()
}

/// A statement as it is sent.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    packet(0, &[&[COM_QUERY], sql.as_bytes()].concat())
}

fn scramble(password: &str, salt: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mixed = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    once.iter().zip(mixed).map(|(a, b)| a ^ b).collect()
}

impl Session {
    /// Reads the greeting and logs in. An error: the connection ended before.
    pub(crate) async fn open(stream: TcpStream, password: &str) -> io::Result<Self> {
        let mut session = Self { stream };
        let greeting = session.read().await?;
        assert_eq!(greeting.first(), Some(&10), "a greeting of protocol 10");
        let version_end = greeting.iter().position(|byte| *byte == 0).unwrap_or_default();
        let rest = &greeting[version_end + 5..];
        let salt = [&rest[..8], &rest[27..39]].concat();
        let mut login = CAPABILITIES.to_le_bytes().to_vec();
        login.extend(0x0100_0000_u32.to_le_bytes());
        login.push(45);
        login.extend([0; 23]);
        login.extend(b"root\0");
        login.push(20);
        login.extend(scramble(password, &salt));
        login.extend(b"mysql_native_password\0");
        session.write(&packet(1, &login)).await?;
        let answer = session.read().await?;
        assert_eq!(answer.first(), Some(&0), "the password is right: {answer:?}");
        Ok(session)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).await?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok(payload)
    }

    /// The answer to the oldest statement that has none.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        let head = self.read().await?;
        match head[0] {
            0 => return Ok(Answer::Done),
            0xFF => return Ok(Answer::Refused(u16::from_le_bytes([head[1], head[2]]))),
            _ => {}
        }
        for _ in 0..=head[0] {
            self.read().await?;
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.read().await?;
            if packet[0] == 0xFE && packet.len() < 9 {
                return Ok(Answer::Rows(rows));
            }
            rows.push(cells(&packet));
        }
    }

    /// A statement and its answer.
    pub(crate) async fn ask(&mut self, sql: &str) -> io::Result<Answer> {
        self.write(&query(sql)).await?;
        self.answer().await
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Length-encoded strings, none longer than 64 KiB.
fn cells(mut packet: &[u8]) -> Vec<String> {
    let mut cells = Vec::new();
    while let Some((&first, rest)) = packet.split_first() {
        let (length, rest) = match first {
            0xFC => (usize::from(u16::from_le_bytes([rest[0], rest[1]])), &rest[2..]),
            short => (usize::from(short), rest),
        };
        cells.push(String::from_utf8_lossy(&rest[..length]).into_owned());
        packet = &rest[length..];
    }
    cells
}
