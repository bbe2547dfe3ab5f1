//! A page of version 5 on a real WebSocket (protocol.md 2, protocol-v5.md), on a blocking socket: enough of it to send
//! with send keys and to acknowledge.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::process::PATIENCE;

#[derive(Debug)]
pub(crate) struct Page {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Page {
    /// Connects as a user; the first frame is still unread.
    pub(crate) fn open(address: SocketAddr, user: u32, key: &str, uuid: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut page = Self {
            stream,
            received: Vec::new(),
        };
        let request = format!(
            "GET /ws/sesion={key}&myid={user}&devid=0&v=5.0&uuid={uuid}&api=js HTTP/1.1\r\nHost: {address}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
        );
        page.stream.write_all(request.as_bytes())?;
        loop {
            let end = page.received.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                accepted(&page.received[..end])?;
                page.received.drain(..end + 4);
                return Ok(page);
            }
            page.receive()?;
        }
    }

    /// Sends a command, `⏎` standing for LF.
    pub(crate) fn send(&mut self, command: &str) -> io::Result<()> {
        self.frame(0x1, command.replace('⏎', "\n").as_bytes())
    }

    /// The next text frame. Pings are answered on the way.
    pub(crate) fn next(&mut self) -> io::Result<Value> {
        loop {
            let Some((opcode, payload)) = self.split() else {
                self.receive()?;
                continue;
            };
            match opcode {
                0x1 => return serde_json::from_slice(&payload).map_err(io::Error::other),
                0x9 => self.frame(0xA, &payload)?,
                _ => {}
            }
        }
    }

    /// A complete frame of the server's, which are neither masked nor fragmented.
    fn split(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&[first, second], rest) = self.received.split_first_chunk::<2>()?;
        let (length, header) = match second {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let end = header + length as usize;
        let payload = self.received.get(header..end)?.to_vec();
        self.received.drain(..end);
        Some((first & 0x0F, payload))
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// A mask of zeros is a mask.
    fn frame(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut bytes = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            long => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        self.stream.write_all(&bytes)
    }
}

/// A server that is stopping takes no more pages.
fn accepted(head: &[u8]) -> io::Result<()> {
    let status = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default());
    match status.split(' ').nth(1) {
        Some("101") => Ok(()),
        Some("503") => Err(io::ErrorKind::ConnectionRefused.into()),
        Some(_) | None => Err(io::Error::new(io::ErrorKind::InvalidData, status.into_owned())),
    }
}
