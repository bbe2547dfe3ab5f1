//! A blocking CometQL session for set-up and questions: log in, execute, read rows. `into_stream` hands the
//! logged-in socket to the event loop.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::packet::{self, Reader, Reply};
use crate::failure::{Failure, While as _};

/// A server that does not answer a statement within this time counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The text of every cell, row by row.
pub(crate) type Rows = Vec<Vec<String>>;

impl Client {
    pub(crate) fn connect(address: SocketAddr, password: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).or_while(format!("connect to CometQL at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self {
            stream,
            received: Vec::new(),
        };
        let salt = client.packet(|payload| match payload.first() {
            Some(0xFF) => Reply::parse(payload)?.affected().map(|_| Vec::new()),
            Some(_) | None => packet::greeting_salt(payload),
        })?;
        let mut bytes = Vec::new();
        packet::put(&mut bytes, 1, &packet::login(password, &salt));
        client.write(&bytes)?;
        client.packet(Reply::parse)?.affected()?;
        Ok(client)
    }

    /// Executes a statement without rows; the number of affected rows.
    pub(crate) fn execute(&mut self, statement: &str) -> Result<u64, Failure> {
        self.send(statement)?;
        self.packet(Reply::parse)?.affected()
    }

    pub(crate) fn rows(&mut self, statement: &str) -> Result<Rows, Failure> {
        self.send(statement)?;
        let columns = self.packet(Reply::parse)?.columns()?;
        for _ in 0..columns {
            self.packet(|_| Ok(()))?;
        }
        self.packet(|_| Ok(()))?;
        let mut rows = Vec::new();
        loop {
            let row = self.packet(|payload| match payload {
                [0xFE, rest @ ..] if rest.len() < 8 => Ok(None),
                [0xFF, ..] => Reply::parse(payload)?.affected().map(|_| None),
                cells => {
                    let mut reader = Reader(cells);
                    (0..columns)
                        .map(|_| reader.text())
                        .collect::<Result<Vec<_>, _>>()
                        .map(Some)
                }
            })?;
            match row {
                Some(row) => rows.push(row),
                None => return Ok(rows),
            }
        }
    }

    /// Executes many statements with their packets in flight together; all must succeed.
    pub(crate) fn execute_all(
        &mut self,
        statements: impl IntoIterator<Item = String>,
    ) -> Result<(), Failure> {
        let mut statements = statements.into_iter().peekable();
        while statements.peek().is_some() {
            let mut bytes = Vec::new();
            let mut count = 0;
            for statement in statements.by_ref().take(200) {
                packet::put_query(&mut bytes, &statement);
                count += 1;
            }
            self.write(&bytes)?;
            for _ in 0..count {
                self.packet(Reply::parse)?.affected()?;
            }
        }
        Ok(())
    }

    /// The logged-in socket; nothing of the server's may be unread.
    pub(crate) fn into_stream(self) -> Result<TcpStream, Failure> {
        if !self.received.is_empty() {
            return Err(Failure::told("the server spoke before it was asked"));
        }
        self.stream.set_read_timeout(None)?;
        Ok(self.stream)
    }

    fn send(&mut self, statement: &str) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        packet::put_query(&mut bytes, statement);
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).or_while("write to CometQL")
    }

    /// Waits for one packet and gives its payload to `read`.
    fn packet<T>(&mut self, read: impl FnOnce(&[u8]) -> Result<T, Failure>) -> Result<T, Failure> {
        loop {
            if let Some(packet) = packet::split(&self.received) {
                let used = packet.len();
                let outcome = read(packet.payload);
                self.received.drain(..used);
                return outcome;
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer).or_while("read from CometQL")? {
                0 => return Err(Failure::told("CometQL closed the session")),
                count => self.received.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
