//! A CometQL session inside the event loop: statements are queued and written together, answers come back as events in
//! the order of the statements. Only statements without rows.

use std::io::{self, ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

use super::packet::{self, Reply};
use crate::net::{Event, Id};

#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    received: Vec<u8>,
    out: Vec<u8>,
}

impl Session {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Queues a statement; `flush` writes it.
    pub(crate) fn query(&mut self, statement: &str) {
        packet::put_query(&mut self.out, statement);
    }

    pub(crate) fn ready(
        &mut self,
        id: Id,
        ended: bool,
        buffer: &mut [u8],
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<(), String> {
        self.flush().map_err(|error| error.to_string())?;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err("CometQL closed the session".into()),
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    self.replies(id, on)?;
                    if count < buffer.len() && !ended {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn replies(&mut self, id: Id, on: &mut impl FnMut(Event<'_>)) -> Result<(), String> {
        let mut used = 0;
        while let Some(packet) = packet::split(&self.received[used..]) {
            used += packet.len();
            if packet.sequence != 1 {
                return Err(format!(
                    "the answer has packet number {} instead of 1",
                    packet.sequence
                ));
            }
            on(Event::Reply(
                id,
                Reply::parse(packet.payload).map_err(|failure| failure.to_string())?,
            ));
        }
        self.received.drain(..used);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.out.len() {
                break Ok(());
            }
            match self.stream.write(&self.out[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.out.drain(..sent);
        outcome
    }
}
