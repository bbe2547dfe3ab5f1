//! From the kernel's queue of connections, on the port the administrator chose (S22), to the shards: one acceptor hands
//! sockets round robin, so that shards are balanced however few addresses the clients come from.
//!
//! Promise: a port that somebody else has is one clear error; browsers never take the last descriptors, which the store
//! and the site's own back end need; running out of them delays new connections and harms nobody else.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Resource;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::shard::Shard;

/// Sockets that may wait for one shard; the others wait in the kernel.
pub(crate) const WAITING_MAX: usize = 256;
/// Pause after the system refused a descriptor.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that browsers leave to everything else, unless there are so few that each side gets half.
const DESCRIPTORS_KEPT: usize = 512;

/// The two ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Port {
    /// Browsers.
    Ws,
    /// MySQL clients.
    CometQl,
}

/// A connection on its way to its shard.
#[derive(Debug)]
pub(crate) struct Accepted {
    port: Port,
    stream: TcpStream,
    peer: SocketAddr,
    room: Option<Room>,
}

/// A browser's place among those that may be connected; free again when it is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

/// Places for as many browsers as there are descriptors for.
pub(crate) fn room_for_browsers() -> Arc<Semaphore> {
    let descriptors = rustix::process::getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok());
    let browsers = descriptors.map_or(Semaphore::MAX_PERMITS, |limit| {
        limit - DESCRIPTORS_KEPT.min(limit / 2)
    });
    Arc::new(Semaphore::new(browsers.min(Semaphore::MAX_PERMITS)))
}

/// Opens a listening socket.
///
/// # Errors
/// The address is in use, not ours, or not allowed.
pub(crate) fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Accepts until the task is dropped. Who finds no place in `room` is hung up on; `None` is room for everybody.
pub(crate) async fn accept(
    port: Port,
    listener: tokio::net::TcpListener,
    room: Option<Arc<Semaphore>>,
    shards: Vec<mpsc::Sender<Accepted>>,
) {
    let mut turn = 0;
    let mut is_full = false;
    loop {
        // A socket belongs to the reactor of the thread that serves it, so it leaves this one first.
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                let place = room.clone().map(Semaphore::try_acquire_owned).transpose();
                let was_full = std::mem::replace(&mut is_full, place.is_err());
                let Ok(room) = place else {
                    if !was_full {
                        tracing::error!(?port, "too many connections for the limit of open descriptors");
                    }
                    continue;
                };
                turn = (turn + 1) % shards.len();
                // Fails only when the server stops.
                let accepted = Accepted {
                    port,
                    stream,
                    peer,
                    room,
                };
                let _ = shards[turn].send(accepted).await;
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(?port, %error, "a connection could not be accepted");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

/// The peer was gone before it was accepted.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Runs on the shard: starts a task for each socket it is given.
pub(crate) async fn adopt(shard: Rc<Shard>, mut accepted: mpsc::Receiver<Accepted>) {
    while let Some(Accepted {
        port,
        stream,
        peer,
        room,
    }) = accepted.recv().await
    {
        shard.shared.metrics.accepted.inc();
        let Ok(tcp) = prepare(stream) else { continue };
        let shard = shard.clone();
        match port {
            Port::Ws => drop(tokio::task::spawn_local(crate::http::serve(
                shard, tcp, peer, room,
            ))),
            Port::CometQl => drop(tokio::task::spawn_local(crate::sql::serve(shard, tcp))),
        }
    }
}

fn prepare(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    // Frames are complete messages: waiting for more would only delay them.
    stream.set_nodelay(true)?;
    // Half-open connections end some day even where nobody pings.
    socket2::SockRef::from(&stream).set_keepalive(true)?;
    tokio::net::TcpStream::from_std(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let error = listen(first.local_addr().unwrap(), 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
