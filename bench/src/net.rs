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

/// Connections per source address: stays below the 28,232 ports of the kernel's default ephemeral range.
const PER_SOURCE: usize = 25_000;

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
}

impl Net {
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            sockets: Slab::new(),
            shared: Shared::new(clock::nanos() | 1),
            dirty: Vec::new(),
            failed: VecDeque::new(),
            connects: 0,
        })
    }

    /// Starts a connection of a page. Its F1 arrives as a text event.
    pub(crate) fn connect(&mut self, server: SocketAddr, identity: &Identity) -> Result<Id, Failure> {
        let socket =
            RawSocket::new(Domain::for_address(server), Type::STREAM, None).or_while("open a socket")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.sockets.len() >= PER_SOURCE && server.ip().is_loopback() {
            let source = Ipv4Addr::new(
                127,
                0,
                0,
                1 + u8::try_from(self.connects / PER_SOURCE % 200).unwrap_or(0),
            );
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
            let outcome = match socket {
                Socket::Page(conn) => conn.ready(id, event.is_writable(), &mut self.shared, &mut on),
                Socket::Session(session) => session.ready(id, &mut self.shared.read, &mut on),
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
