//! One connection of the reference loop: a subscriber or a publisher.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::front;
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake;

const SERVER_INFO: &[u8] =
    br#"{"pipe":"sys","event":"serverInfo","server":"reference","authorized":false,"data":"","message_send_time":1700000000}"#;

/// What a peer asks of the loop.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe(String),
    Publish { name: String, json: String },
    Count,
}

#[derive(Debug)]
enum Role {
    Browser { open: bool },
    Publisher { greeted: bool },
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    pub(super) out: Vec<u8>,
    input: Vec<u8>,
    role: Role,
}

impl Peer {
    pub(super) fn browser(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            input: Vec::new(),
            role: Role::Browser { open: false },
        }
    }

    pub(super) fn publisher(stream: TcpStream) -> Self {
        Self {
            stream,
            out: front::greeting(),
            input: Vec::new(),
            role: Role::Publisher { greeted: false },
        }
    }

    /// Reads what there is, to the end if the peer has `ended`; false when the peer is gone or wrong.
    pub(super) fn ready(&mut self, ended: bool, buffer: &mut [u8], commands: &mut Vec<Command>) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    if !self.consume(commands) {
                        return false;
                    }
                    if count < buffer.len() && !ended {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    fn consume(&mut self, commands: &mut Vec<Command>) -> bool {
        match &mut self.role {
            Role::Publisher { greeted } => {
                front::consume(&mut self.input, &mut self.out, greeted, commands);
                true
            }
            Role::Browser { open: true } => self.consume_frames(commands),
            Role::Browser { open } => {
                let Some(end) = handshake::head_end(&self.input) else {
                    return self.input.len() < 16 * 1024;
                };
                let head = String::from_utf8_lossy(&self.input[..end]);
                let Some(key) = handshake::header(&head, "sec-websocket-key") else {
                    return false;
                };
                let accept = handshake::accept_for(key);
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                *open = true;
                self.out.extend_from_slice(answer.as_bytes());
                frame::put_server_frame(&mut self.out, Opcode::Text, SERVER_INFO);
                self.input.drain(..end);
                self.consume_frames(commands)
            }
        }
    }

    fn consume_frames(&mut self, commands: &mut Vec<Command>) -> bool {
        let mut used = 0;
        loop {
            match frame::parse(&self.input[used..], frame::From::Browser) {
                Ok(Some(found)) => {
                    let mut payload = self.input[used..][found.payload.clone()].to_vec();
                    used += found.payload.end;
                    frame::apply_mask(&mut payload, found.mask.unwrap_or_default());
                    match found.opcode {
                        Opcode::Text => commands.extend(subscription(&payload)),
                        Opcode::Ping => frame::put_server_frame(&mut self.out, Opcode::Pong, &payload),
                        Opcode::Pong => {}
                        Opcode::Binary | Opcode::Close => return false,
                    }
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        true
    }

    /// Writes bytes now, or after what already waits. A failed socket is noticed when it is read.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.out.is_empty() {
            self.out.extend_from_slice(bytes);
            return;
        }
        match self.stream.write(bytes) {
            Ok(count) => self.out.extend_from_slice(&bytes[count..]),
            Err(_) => self.out.extend_from_slice(bytes),
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        Ok(())
    }
}

/// One channel per `subscription` command is all the load generator uses here.
fn subscription(command: &[u8]) -> Option<Command> {
    let text = std::str::from_utf8(command).ok()?;
    let name = text.strip_prefix("subscription\n")?.trim_end();
    Some(Command::Subscribe(name.to_owned()))
}
