//! One page: a non-blocking socket with the WebSocket protocol on it, about a hundred bytes when idle. Answers Ping
//! with a Pong of the same payload, as browsers do and as delivery depends on (protocol.md 5.1).

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::frame::{self, Opcode};
use super::handshake::Nonce;
use crate::net::{Event, Id};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Open,
}

#[derive(Debug)]
pub(crate) struct Conn {
    stream: TcpStream,
    state: State,
    /// False for a page that hangs: it receives, but its Pongs do not come any more.
    answers: bool,
    /// Bytes of a frame that is not complete yet.
    partial: Vec<u8>,
    /// Bytes the socket did not take yet; before the connection stands, the upgrade request.
    out: Vec<u8>,
}

/// What connections of one run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) nonce: Nonce,
    pub(crate) read: Box<[u8]>,
    mask: u32,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            nonce: Nonce::new(seed),
            read: vec![0; 64 * 1024].into_boxed_slice(),
            mask: 0x9E37_79B9,
        }
    }

    fn next_mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        self.mask.to_be_bytes()
    }
}

impl Conn {
    pub(crate) fn new(stream: TcpStream, request: Vec<u8>) -> Self {
        Self {
            stream,
            state: State::Upgrading,
            answers: true,
            partial: Vec::new(),
            out: request,
        }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(crate) fn hang(&mut self) {
        self.answers = false;
    }

    /// Handles readiness; `ended` tells that the peer has closed. The error is why the connection is over.
    pub(crate) fn ready(
        &mut self,
        id: Id,
        writable: bool,
        ended: bool,
        shared: &mut Shared,
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<(), String> {
        if writable && !self.out.is_empty() {
            if let Some(error) = self.stream.take_error().map_err(|error| error.to_string())? {
                return Err(format!("connect: {error}"));
            }
            self.flush().map_err(|error| error.to_string())?;
        }
        loop {
            let mut buffer = std::mem::take(&mut shared.read);
            let read = self.stream.read(&mut buffer);
            let outcome = match read {
                Ok(count) => self.received(id, &buffer[..count], shared, on),
                Err(_) => Ok(()),
            };
            let full = matches!(read, Ok(count) if count == buffer.len());
            shared.read = buffer;
            outcome?;
            match read {
                Ok(0) => return Err("closed by the server".into()),
                // A short read has emptied the socket; the next arrival makes a new event.
                Ok(_) if !full && !ended => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Not connected yet: the writable event is still to come.
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn received(
        &mut self,
        id: Id,
        bytes: &[u8],
        shared: &mut Shared,
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<(), String> {
        if self.partial.is_empty() {
            let used = self.consume(id, bytes, shared, on)?;
            self.partial.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let used = self.consume(id, &joined, shared, on)?;
        joined.drain(..used);
        // An idle connection gives its buffer back.
        self.partial = if joined.is_empty() { Vec::new() } else { joined };
        Ok(())
    }

    /// Handles all complete pieces of `bytes` and says how many bytes they were.
    fn consume(
        &mut self,
        id: Id,
        bytes: &[u8],
        shared: &mut Shared,
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, String> {
        let mut used = 0;
        if self.state == State::Upgrading {
            let Some(head) = shared.nonce.check(bytes)? else {
                return Ok(0);
            };
            self.state = State::Open;
            used = head;
        }
        while let Some(frame) = frame::parse(&bytes[used..], frame::From::Server)? {
            let payload = &bytes[used..][frame.payload.clone()];
            used += frame.payload.end;
            match frame.opcode {
                Opcode::Text => on(Event::Text(id, payload)),
                Opcode::Ping if !self.answers => {}
                Opcode::Ping => {
                    self.send(Opcode::Pong, payload, shared)
                        .map_err(|error| error.to_string())?;
                    on(Event::Ping(id, payload));
                }
                Opcode::Pong => {}
                Opcode::Close => return Err("the server sent a Close frame, which 2.4 forbids".into()),
                Opcode::Binary => return Err("the server sent a binary frame, which 2.5 forbids".into()),
            }
        }
        Ok(used)
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8], shared: &mut Shared) -> io::Result<()> {
        frame::put_browser_frame(&mut self.out, opcode, payload, shared.next_mask());
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.out.len() {
                break Ok(());
            }
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..sent);
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        outcome
    }
}
