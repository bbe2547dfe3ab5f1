//! Sockets of the simulated network, with the names and the manners of tokio's.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::pipe::Pipe;
use super::{time, world};

/// How often a kernel asks again for a connection that there is no room for.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One end of a connection, as its host's kernel has it.
#[derive(Debug)]
pub(super) struct End {
    inbound: Rc<Pipe>,
    outbound: Rc<Pipe>,
    pub(super) local: SocketAddr,
    peer: SocketAddr,
    /// It goes without a word.
    silent: Cell<bool>,
}

impl End {
    /// The host loses power.
    pub(super) fn fall_silent(&self) {
        self.silent.set(true);
        self.inbound.abandon();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let unread = self.inbound.abandon();
        if self.silent.get() {
            self.outbound.lose();
        } else if unread {
            self.outbound.reset();
        } else {
            self.outbound.end();
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub struct TcpStream(Rc<End>);

impl TcpStream {
    /// As tokio's.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.inbound.poll_readable(cx).map(Ok)
    }

    /// As tokio's.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.inbound.read(buf)
    }

    /// As tokio's, for reading.
    pub fn try_io<T>(&self, _: Interest, io: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let done = io();
        if matches!(&done, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.0.inbound.clear_readable();
        }
        done
    }

    /// As tokio's.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.outbound.poll_writable(cx).map(Ok)
    }

    /// As tokio's.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.outbound.write(&[IoSlice::new(buf)])
    }

    /// As tokio's.
    pub fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.outbound.write(slices)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Ends the connection as a process does that fails: whatever is on its way is lost.
    pub fn reset(self) {
        self.0.outbound.reset();
    }

    /// The host is gone, as a telephone in a tunnel: nobody hears of it again.
    pub fn vanish(self) {
        self.0.inbound.lose();
        self.0.outbound.lose();
        self.0.silent.set(true);
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.try_read(buf.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done.map(|count| buf.advance(count))),
            }
        }
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(end_of_stream(&self))
    }
}

pub(crate) fn end_of_stream(tcp: &TcpStream) -> io::Result<()> {
    if tcp.0.outbound.end() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotConnected.into())
    }
}

/// Connects from a host to a port; waits while one of them is cut off.
///
/// # Errors
/// `ConnectionRefused`: nobody listens.
pub async fn connect(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let world = world();
    world.travel(from, to.ip()).await;
    let backlog = loop {
        // Held for a moment only: a port is free again when its listener is gone.
        let listening = world.listeners.borrow().get(&to).and_then(Weak::upgrade);
        match listening {
            None => {
                world.travel(to.ip(), from).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Some(backlog) if backlog.waiting.borrow().len() < backlog.most => break backlog,
            Some(_) => {}
        }
        time::sleep(ASK_AGAIN).await;
    };
    let number = world.connections.get();
    world.connections.set(number + 1);
    let port = world.ports.get();
    world.ports.set(if port < 60_000 { port + 1 } else { 40_000 });
    let from = SocketAddr::new(from, port);
    let there = Rc::new(Pipe::new(number * 2, from.ip(), to.ip()));
    let back = Rc::new(Pipe::new(number * 2 + 1, to.ip(), from.ip()));
    let end = |inbound: &Rc<Pipe>, outbound: &Rc<Pipe>, local, peer| {
        let end = Rc::new(End {
            inbound: inbound.clone(),
            outbound: outbound.clone(),
            local,
            peer,
            silent: Cell::new(false),
        });
        world.ends.borrow_mut().push(Rc::downgrade(&end));
        TcpStream(end)
    };
    let client = end(&back, &there, from, to);
    let server = end(&there, &back, to, from);
    // Received by a task that lives as long as the world.
    let _ = world.courier.send((there.clone(), back.clone()));
    let _ = world.courier.send((back, there));
    world.note("connected", number, from.to_string().as_bytes());
    backlog.waiting.borrow_mut().push_back((server, from));
    backlog.wake();
    drop(backlog);
    world.travel(to.ip(), from.ip()).await;
    Ok(client)
}

/// Connections that wait to be accepted.
#[derive(Debug)]
pub(super) struct Backlog {
    waiting: RefCell<VecDeque<(TcpStream, SocketAddr)>>,
    most: usize,
    acceptor: RefCell<Option<Waker>>,
}

impl Backlog {
    fn wake(&self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
    }

    fn is_ready(&self, cx: &Context<'_>) -> bool {
        self.acceptor.replace(Some(cx.waker().clone()));
        !self.waiting.borrow().is_empty()
    }
}

pub(crate) type Incoming = TcpStream;

pub(crate) fn adopt(socket: Incoming) -> io::Result<TcpStream> {
    Ok(socket)
}

/// A port that is ours.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    backlog: Rc<Backlog>,
}

pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<Listener> {
    let world = world();
    let mut listeners = world.listeners.borrow_mut();
    if listeners
        .get(&address)
        .is_some_and(|other| other.strong_count() > 0)
    {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let backlog = Rc::new(Backlog {
        waiting: RefCell::default(),
        most: usize::try_from(backlog).unwrap_or(usize::MAX),
        acceptor: RefCell::default(),
    });
    listeners.insert(address, Rc::downgrade(&backlog));
    Ok(Listener { address, backlog })
}

impl Listener {
    #[allow(clippy::unnecessary_wraps, reason = "a kernel may refuse to tell")]
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    pub(crate) fn accept(&self) -> io::Result<(Incoming, Option<SocketAddr>)> {
        let next = self.backlog.waiting.borrow_mut().pop_front();
        let (socket, peer) = next.ok_or(io::ErrorKind::WouldBlock)?;
        Ok((socket, Some(peer)))
    }

    #[allow(clippy::unnecessary_wraps, reason = "a kernel may refuse to watch")]
    pub(crate) fn watched(self) -> io::Result<TcpListener> {
        Ok(TcpListener(self))
    }
}

/// The same for tasks.
#[derive(Debug)]
pub(crate) struct TcpListener(Listener);

impl TcpListener {
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Listener { backlog, .. } = &self.0;
        std::future::poll_fn(|cx| {
            if backlog.is_ready(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let (socket, peer) = self.0.accept()?;
        Ok((socket, peer.ok_or(io::ErrorKind::ConnectionAborted)?))
    }
}

#[derive(Debug, Default)]
struct Stopping {
    stopped: Cell<bool>,
    acceptor: RefCell<Option<Waker>>,
}

#[derive(Debug)]
pub(crate) struct Stopper(Rc<Stopping>);

#[derive(Debug)]
pub(crate) struct Stop(Rc<Stopping>);

#[allow(clippy::unnecessary_wraps, reason = "a kernel may have no descriptors left")]
pub(crate) fn stop_pair() -> io::Result<(Stopper, Stop)> {
    let stopping = Rc::<Stopping>::default();
    Ok((Stopper(stopping.clone()), Stop(stopping)))
}

impl Stopper {
    pub(crate) fn stop(self) {
        self.0.stopped.set(true);
        if let Some(acceptor) = self.0.acceptor.take() {
            acceptor.wake();
        }
    }
}

impl Stop {
    pub(crate) async fn or_ready<'a>(
        &self,
        listeners: impl Iterator<Item = &'a Listener>,
    ) -> Option<Vec<bool>> {
        let listeners: Vec<&Listener> = listeners.collect();
        std::future::poll_fn(|cx| {
            self.0.acceptor.replace(Some(cx.waker().clone()));
            let ready: Vec<bool> = listeners
                .iter()
                .map(|listener| listener.backlog.is_ready(cx))
                .collect();
            if self.0.stopped.get() {
                Poll::Ready(None)
            } else if ready.contains(&true) {
                Poll::Ready(Some(ready))
            } else {
                Poll::Pending
            }
        })
        .await
    }

    pub(crate) async fn or_after(&self, pause: Duration) {
        time::sleep(pause).await;
    }
}
