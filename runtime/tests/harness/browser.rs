//! A browser that shows every byte: handshake, frames as bytes, frames from bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

/// One frame from the server: its first byte and its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.first, TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).unwrap()
    }
}

/// A connection that has not closed yet.
pub(crate) struct Browser<S = TcpStream> {
    pub(crate) stream: S,
    unread: Vec<u8>,
}

/// The request of an anonymous page.
pub(crate) fn request(parameters: &str) -> String {
    format!(
        "GET /ws/{parameters} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

pub(crate) const ANONYMOUS: &str = "sesion=&myid=0&devid=0&v=4.08&uuid=&api=js";

/// A masked frame with this first byte.
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
    masked(bytes, payload)
}

/// Appends a mask and the masked payload to a header.
pub(crate) fn masked(mut header: Vec<u8>, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    header.extend(mask);
    header.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    header
}

impl Browser {
    /// Connects, and reads the 101 and serverInfo.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::open_as(address, ANONYMOUS)
    }

    pub(crate) fn open_as(address: SocketAddr, parameters: &str) -> Self {
        let mut browser = Self::open_with(address, request(parameters).as_bytes());
        let first = browser.next().unwrap();
        assert!(first.text().contains("serverInfo"), "{first:?}");
        browser
    }

    /// Connects with these bytes, and reads the 101.
    pub(crate) fn open_with(address: SocketAddr, bytes: &[u8]) -> Self {
        Self::over(super::connect(address), bytes)
    }
}

impl<S: Read + Write> Browser<S> {
    /// Sends these bytes over a connection, and reads the 101.
    pub(crate) fn over(mut stream: S, bytes: &[u8]) -> Self {
        stream.write_all(bytes).unwrap();
        let mut browser = Self {
            stream,
            unread: Vec::new(),
        };
        let head = browser.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        browser
    }

    fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                let head = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill(), "closed during the handshake: {:?}", self.unread);
        }
    }

    /// False at the end of the stream.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                true
            }
            // TLS calls a bare end of TCP unexpected; the server means it.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
                ) =>
            {
                false
            }
            Err(error) => panic!("the server neither sends nor closes: {error}"),
        }
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(&frame(TEXT, text.as_bytes()));
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = parse(&self.unread) {
                self.unread.drain(..length);
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next text frame; Pings of the server are passed over.
    pub(crate) fn next_text(&mut self) -> Option<String> {
        loop {
            let frame = self.next()?;
            if frame.first != PING {
                return Some(frame.text().to_owned());
            }
        }
    }

    /// Asks something whose answer proves that everything sent before was executed.
    pub(crate) fn sync(&mut self) {
        self.send("user_status\n7");
        loop {
            let text = self.next_text().unwrap();
            if text.contains("_answer_user_status") {
                return;
            }
        }
    }

    /// Subscribes, and returns when the server has done so.
    pub(crate) fn subscribe(&mut self, channels: &str) {
        self.send(&format!("subscription\n{channels}"));
        self.sync();
    }

    /// All frames until the server closes; Q9: none of them is a Close.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next() {
            assert_ne!(frame.first & 0x0F, CLOSE & 0x0F, "a Close frame");
            frames.push(frame);
        }
        assert!(self.unread.is_empty(), "half a frame: {:?}", self.unread);
        frames
    }
}

/// A frame at the start of `bytes`, and its length.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "server frames are not masked");
    let (length, header) = match second {
        126 => (
            u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())),
            4,
        ),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()), 10),
        short => (u64::from(short), 2),
    };
    let end = header + usize::try_from(length).unwrap();
    let payload = bytes.get(header..end)?.to_vec();
    Some((Frame { first, payload }, end))
}
