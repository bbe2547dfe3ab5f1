//! WebSocket frames as a browser sends and receives them, over a simulated socket. Masks are not drawn: what they
//! contain must not matter.

use std::io;

use comet_server::rt::sim::TcpStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;
const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// What a page sees next.
#[derive(Debug)]
pub(crate) enum Seen {
    Frame {
        first: u8,
        payload: Vec<u8>,
    },
    /// The server has ended the stream, between two frames.
    End,
    /// The connection is broken, perhaps within a frame.
    Broken,
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// A masked frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]));
    bytes
}

impl WebSocket {
    /// Asks for a WebSocket. An error: the connection ended before it was one.
    pub(crate) async fn open(mut stream: TcpStream, path: &str) -> io::Result<Self> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut socket = Self {
            stream,
            unread: Vec::new(),
        };
        loop {
            if let Some(end) = socket.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = socket.unread.split_off(end + 4);
                let head = std::mem::replace(&mut socket.unread, rest);
                assert!(
                    head.starts_with(b"HTTP/1.1 101 "),
                    "answered {}",
                    head.escape_ascii()
                );
                return Ok(socket);
            }
            if socket.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).await?;
        self.unread.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// The next frame. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            if let Some((first, payload, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Seen::Frame { first, payload };
            }
            match self.fill().await {
                Ok(0) if self.unread.is_empty() => return Seen::End,
                Ok(0) | Err(_) => return Seen::Broken,
                Ok(_) => {}
            }
        }
    }

    /// False: the connection is gone.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// First byte, payload and length of the frame at the start of `bytes`.
fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "frames of the server are not masked");
    assert_ne!(first & 0x0F, 0x08, "2.4: the server never sends a Close frame");
    let (length, header) = match second {
        126 => (
            u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
            4,
        ),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let end = header + usize::try_from(length).ok()?;
    Some((first, bytes.get(header..end)?.to_vec(), end))
}
