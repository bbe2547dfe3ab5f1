//! Listening sockets of the kernel, for a thread without a reactor: a socket's only one will be that of the shard that
//! serves it.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{TcpListener, TcpStream};

/// An accepted connection that no reactor knows yet.
pub(crate) type Incoming = OwnedFd;

/// The connection in the hands of the calling thread and its reactor.
///
/// # Errors
/// No descriptors or memory are left.
pub(crate) fn adopt(socket: Incoming) -> io::Result<TcpStream> {
    TcpStream::from_std(std::net::TcpStream::from(socket))
}

/// Tells the peer that nothing more follows.
///
/// # Errors
/// The connection is gone.
pub(crate) fn end_of_stream(tcp: &TcpStream) -> io::Result<()> {
    SockRef::from(tcp).shutdown(Shutdown::Write)
}

/// A port that is ours.
#[derive(Debug)]
pub(crate) struct Listener(std::net::TcpListener);

/// Opens a listening socket.
///
/// # Errors
/// The address is in use, not ours, or not allowed.
pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections to be forgotten.
    socket.set_reuse_address(true)?;
    // What is set here holds for every accepted socket without another call.
    // Frames are complete messages: waiting for more would only delay them.
    socket.set_tcp_nodelay(true)?;
    // Half-open connections end some day even where nobody pings.
    socket.set_keepalive(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(Listener(socket.into()))
}

impl Listener {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Takes one that waits. Without an address: it is gone already.
    ///
    /// # Errors
    /// `WouldBlock`: none waits. Others: the system refuses a descriptor, or that connection is gone.
    pub(crate) fn accept(&self) -> io::Result<(Incoming, Option<SocketAddr>)> {
        let (socket, peer) = acceptfrom_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        Ok((socket, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
    }

    /// For a thread with a reactor.
    ///
    /// # Errors
    /// No descriptors or memory are left.
    pub(crate) fn watched(self) -> io::Result<TcpListener> {
        TcpListener::from_std(self.0)
    }
}

/// Tells the accepting thread to stop.
#[derive(Debug)]
pub(crate) struct Stopper(UnixStream);

/// What it is told by.
#[derive(Debug)]
pub(crate) struct Stop(UnixStream);

/// Both ends.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn stop_pair() -> io::Result<(Stopper, Stop)> {
    let (stopper, stop) = UnixStream::pair()?;
    Ok((Stopper(stopper), Stop(stop)))
}

impl Stopper {
    pub(crate) fn stop(mut self) {
        // Nobody reads only when nobody accepts.
        let _ = self.0.write_all(&[0]);
    }
}

impl Stop {
    /// Waits until somebody connects or the thread is to stop (`None`). Says for each listener whether to look.
    #[allow(clippy::unused_async, reason = "waiting is a future in the simulated world")]
    pub(crate) async fn or_ready<'a>(
        &self,
        listeners: impl Iterator<Item = &'a Listener>,
    ) -> Option<Vec<bool>> {
        let listeners = listeners.map(|listener| listener.0.as_fd());
        let mut waits: Vec<PollFd<'_>> = std::iter::once(self.0.as_fd())
            .chain(listeners)
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        // Fails when a signal came; then nothing is ready.
        let _ = poll(&mut waits, None);
        let mut ready = waits.iter().map(|wait| !wait.revents().is_empty());
        if ready.next()? {
            return None;
        }
        Some(ready.collect())
    }

    /// Waits so long, unless the thread is to stop.
    #[allow(clippy::unused_async, reason = "waiting is a future in the simulated world")]
    pub(crate) async fn or_after(&self, pause: Duration) {
        if let Ok(pause) = Timespec::try_from(pause) {
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&pause));
        }
    }
}
