//! The event loop of the load generator: pages and CometQL sessions of one run on one thread and one epoll instance.
//! Scenarios call `turn` and get events; they act between turns, never inside one. Knows no message.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Socket as RawSocket, Type};

use crate::clock;
use crate::failure::{Failure, While as _};
use crate::sql::client::Client;
use crate::sql::packet::Reply;
use crate::sql::session::Session;
use crate::ws::conn::{Conn, Shared};
use crate::ws::frame::Opcode;
use crate::ws::handshake::Identity;

/// Connections per source address. The kernel's default range has 28,232 ports, of which a connect takes those of one
/// parity first; when these are used up, each further connect searches for milliseconds.
const PER_SOURCE: usize = 12_000;

/// Names a socket while it is open. Re-used afterwards, but never within one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) usize);

/// What happened to a socket.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A text frame.
    Text(Id, &'a [u8]),
    /// A Ping with this payload came and the Pong is on its way.
    Ping(Id, &'a [u8]),
    /// The answer to the oldest unanswered statement of a session.
    Reply(Id, Reply),
    /// The socket is closed, with the reason; its id is free.
    Gone(Id, String),
}

#[derive(Debug)]
enum Socket {
    Page(Conn),
    Session(Session),
}

#[derive(Debug)]
pub(crate) struct Net {
    poll: Poll,
    events: Events,
    sockets: Slab<Socket>,
    shared: Shared,
    /// Sessions with statements queued since the last flush.
    dirty: Vec<Id>,
    /// Sockets that failed while a scenario wrote to them; reported by the next turn.
    failed: VecDeque<(Id, String)>,
    connects: usize,
    sources: Sources,
}

/// Which addresses of 127.0.0.0/8 connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// The kernel's choice as long as its ports suffice, then 127.0.0.1 and those after it.
    FromNeed,
    /// Always 127.(16 + n).x.y, a new address after so many connects: processes with different numbers share no port, and
    /// connections closed a moment ago, also those of the run before, keep none.
    Own(u8),
}

impl Sources {
    /// The source of connect number `connects` when `open` sockets are open; none leaves it to the kernel.
    fn address(self, connects: usize, open: usize) -> Option<Ipv4Addr> {
        let block = connects / PER_SOURCE;
        let part = |value: usize| u8::try_from(value % 200).unwrap_or(0);
        match self {
            Self::FromNeed if open < PER_SOURCE => None,
            Self::FromNeed => Some(Ipv4Addr::new(127, 0, 0, 1 + part(block))),
            Self::Own(number) => Some(Ipv4Addr::new(
                127,
                16 + part(usize::from(number)),
                part(block / 200 + std::process::id() as usize),
                1 + part(block),
            )),
        }
    }
}

impl Net {
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::with_sources(Sources::FromNeed)
    }

    pub(crate) fn with_sources(sources: Sources) -> Result<Self, Failure> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sockets: Slab::new(),
            shared: Shared::new(clock::nanos() | 1),
            dirty: Vec::new(),
            failed: VecDeque::new(),
            connects: 0,
            sources,
        })
    }

    /// Starts a connection of a page. Its F1 arrives as a text event.
    pub(crate) fn connect(&mut self, server: SocketAddr, identity: &Identity) -> Result<Id, Failure> {
        let socket =
            RawSocket::new(Domain::for_address(server), Type::STREAM, None).or_while("open a socket")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let source = self.sources.address(self.connects, self.sockets.len());
        if let Some(source) = source.filter(|_| server.ip().is_loopback()) {
            socket
                .bind(&SocketAddr::from((source, 0)).into())
                .or_while(format!("bind to {source}"))?;
        }
        self.connects += 1;
        match socket.connect(&server.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => {
                return Err(Failure::Io {
                    doing: format!("connect to {server}"),
                    source: error,
                });
            }
        }
        let stream = mio::net::TcpStream::from_std(socket.into());
        let request = self.shared.nonce.request(identity);
        self.insert(Socket::Page(Conn::new(stream, request)))
    }

    /// Takes over a logged-in session.
    pub(crate) fn adopt(&mut self, client: Client) -> Result<Id, Failure> {
        let stream = client.into_stream()?;
        stream.set_nonblocking(true)?;
        self.insert(Socket::Session(Session::new(mio::net::TcpStream::from_std(
            stream,
        ))))
    }

    fn insert(&mut self, mut socket: Socket) -> Result<Id, Failure> {
        let entry = self.sockets.vacant_entry();
        let token = Token(entry.key());
        let stream = match &mut socket {
            Socket::Page(conn) => conn.stream(),
            Socket::Session(session) => session.stream(),
        };
        self.poll
            .registry()
            .register(stream, token, Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(socket);
        Ok(Id(token.0))
    }

    /// Waits for something to happen, at most `wait`, and reports all of it.
    pub(crate) fn turn(&mut self, wait: Duration, mut on: impl FnMut(Event<'_>)) -> Result<(), Failure> {
        self.flush();
        while let Some((id, reason)) = self.failed.pop_front() {
            if self.sockets.try_remove(id.0).is_some() {
                on(Event::Gone(id, reason));
            }
        }
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            let id = Id(event.token().0);
            let Some(socket) = self.sockets.get_mut(id.0) else {
                continue;
            };
            // Data and the end may come as one event: then a short read is not the last one.
            let ended = event.is_read_closed() || event.is_error();
            let outcome = match socket {
                Socket::Page(conn) => conn.ready(id, event.is_writable(), ended, &mut self.shared, &mut on),
                Socket::Session(session) => session.ready(id, ended, &mut self.shared.read, &mut on),
            };
            if let Err(reason) = outcome {
                self.sockets.remove(id.0);
                on(Event::Gone(id, reason));
            }
        }
        Ok(())
    }

    /// Sends a command of 2.6 on a page.
    pub(crate) fn send(&mut self, id: Id, command: &str) {
        if let Some(Socket::Page(conn)) = self.sockets.get_mut(id.0)
            && let Err(error) = conn.send(Opcode::Text, command.as_bytes(), &mut self.shared)
        {
            self.failed.push_back((id, error.to_string()));
        }
    }

    /// Queues a statement on a session; it leaves with the next turn or flush.
    pub(crate) fn query(&mut self, id: Id, statement: &str) {
        if let Some(Socket::Session(session)) = self.sockets.get_mut(id.0) {
            session.query(statement);
            if self.dirty.last() != Some(&id) {
                self.dirty.push(id);
            }
        }
    }

    pub(crate) fn flush(&mut self) {
        for id in self.dirty.drain(..) {
            if let Some(Socket::Session(session)) = self.sockets.get_mut(id.0)
                && let Err(error) = session.flush()
            {
                self.failed.push_back((id, error.to_string()));
            }
        }
    }

    /// Lets a page hang: it receives, but answers no Ping any more.
    pub(crate) fn hang(&mut self, id: Id) {
        if let Some(Socket::Page(conn)) = self.sockets.get_mut(id.0) {
            conn.hang();
        }
    }

    /// Closes a socket as a killed page does: at once, whatever is under way.
    pub(crate) fn drop_socket(&mut self, id: Id) {
        self.sockets.try_remove(id.0);
        self.failed.retain(|(failed, _)| *failed != id);
    }

    /// Closes a page as a browser does that navigates away: a Close frame first.
    pub(crate) fn leave(&mut self, id: Id) {
        if let Some(Socket::Page(conn)) = self.sockets.get_mut(id.0) {
            // Going away; whether it still gets out does not matter, the socket is closed next.
            let _ignored = conn.send(Opcode::Close, &1001_u16.to_be_bytes(), &mut self.shared);
        }
        self.drop_socket(id);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::ws::frame;
    use crate::ws::handshake;

    /// A server that upgrades, sends one frame and closes, all before the page reads anything.
    fn upgrade_send_close(listener: &TcpListener) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while handshake::head_end(&request).is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend_from_slice(&byte);
        }
        let head = String::from_utf8(request).unwrap();
        let accept = handshake::accept_for(handshake::header(&head, "sec-websocket-key").unwrap());
        let mut answer = format!("HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes();
        frame::put_server_frame(&mut answer, Opcode::Text, b"{}");
        stream.write_all(&answer).unwrap();
    }

    #[test]
    fn the_end_is_noticed_even_when_it_comes_together_with_data() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || upgrade_send_close(&listener));
        let mut net = Net::new().unwrap();
        let id = net.connect(address, &Identity::anonymous(String::new())).unwrap();
        let mut seen = Vec::new();
        let mut turn = || {
            net.turn(Duration::from_secs(10), |event| match event {
                Event::Text(from, frame) => seen.push((from, String::from_utf8_lossy(frame).into_owned())),
                Event::Gone(from, _) => seen.push((from, "gone".into())),
                Event::Ping(..) | Event::Reply(..) => {}
            })
            .unwrap();
            seen.len()
        };
        // The first turn sends the request; as a rule the thread is done before anything else is read.
        turn();
        server.join().unwrap();
        while turn() < 2 {}
        assert_eq!(seen, [(id, "{}".to_owned()), (id, "gone".to_owned())]);
    }
}
