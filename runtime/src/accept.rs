//! From the kernel's queue of connections, on the port the administrator chose (S22), to the shards: one acceptor hands
//! sockets round robin, so that shards are balanced however few addresses the clients come from.
//!
//! Promise: a port that somebody else has is one clear error; browsers never take the last descriptors, which the store
//! and the site's own back end need; running out of them delays new connections and harms nobody else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Resource;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::descriptors::{Letterbox, Post};
use crate::rt::{self, Incoming, Listener, Stop, task};
use crate::shard::Shard;
use crate::shared::Shared;
use crate::turns::Turns;

/// Sockets that may wait for one shard; the others wait in the kernel. Many, as the kernel drops what its queue has no
/// room for, and a client that was dropped tries again only after seconds.
const WAITING_MAX: usize = 8192;
/// Sockets accepted on one port before the other has its turn.
const TURN_MAX: usize = 64;
/// Pause after the system refused a descriptor.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that browsers leave to everything else, unless there are so few that each side gets half.
const DESCRIPTORS_KEPT: usize = 512;
/// Descriptors a table got a copy of, for each shard there is, when the tables parted.
const DESCRIPTORS_COPIED: usize = 8;

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
    socket: Handed,
    peer: SocketAddr,
    room: Option<Room>,
}

/// How a socket gets to its shard.
#[derive(Debug)]
enum Handed {
    /// With its `Accepted`: acceptor and shard have one descriptor table.
    Along(Incoming),
    /// It is in the shard's letterbox.
    Posted,
}

/// The acceptor's way into a shard.
#[derive(Debug)]
pub(crate) struct Gate {
    lane: mpsc::Sender<Accepted>,
    /// If the shard has a descriptor table of its own.
    post: Option<Post>,
    /// Places in the shard's table, which may be that of other shards, too.
    room: Arc<Semaphore>,
}

/// A shard's end of its gate.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(crate) lane: mpsc::Receiver<Accepted>,
    pub(crate) letterbox: Option<Letterbox>,
}

/// A browser's place among those that may be connected; free again when it is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

/// Gates to as many shards as there are ways; each with a `Post` leads into a table of its own.
pub(crate) fn gates(posts: Vec<Option<Post>>) -> (Vec<Gate>, Vec<mpsc::Receiver<Accepted>>) {
    let places = places_for_browsers(posts.len());
    let common = Arc::new(Semaphore::new(places));
    let gate = |post: Option<Post>| {
        let (to, lane) = mpsc::channel(WAITING_MAX);
        let room = match post {
            None => common.clone(),
            Some(_) => Arc::new(Semaphore::new(places)),
        };
        let gate = Gate { lane: to, post, room };
        (gate, lane)
    };
    posts.into_iter().map(gate).unzip()
}

/// Places for as many browsers as a table has descriptors for.
fn places_for_browsers(shards: usize) -> usize {
    let descriptors = rustix::process::getrlimit(Resource::Nofile).current;
    let descriptors = descriptors.and_then(|limit| usize::try_from(limit).ok());
    let kept = DESCRIPTORS_KEPT + DESCRIPTORS_COPIED * shards;
    let browsers = descriptors.map_or(Semaphore::MAX_PERMITS, |limit| limit - kept.min(limit / 2));
    browsers.min(Semaphore::MAX_PERMITS)
}

/// Accepts on one port.
#[derive(Debug)]
pub(crate) struct Entrance {
    port: Port,
    listener: Listener,
    /// New connections an address may open, if that is limited.
    pace: Option<Pace>,
    /// The shard that got the last one.
    turn: usize,
    is_full: bool,
}

/// Accepts until it is told to stop. A thread of its own; its sockets' only reactor will be that of the shard that
/// serves them. Browsers that find no place in any table are hung up on.
pub(crate) async fn accept(mut entrances: Vec<Entrance>, gates: Vec<Gate>, stop: Stop) {
    while let Some(ready) = stop
        .or_ready(entrances.iter().map(|entrance| &entrance.listener))
        .await
    {
        for (entrance, ready) in entrances.iter_mut().zip(ready) {
            if ready && let Err(error) = entrance.accept_some(&gates).await {
                tracing::error!(port = ?entrance.port, %error, "a connection could not be accepted");
                stop.or_after(REFUSED_PAUSE).await;
            }
        }
    }
}

/// How many connections an address may open in a second. Proxies that are known may open any number.
#[derive(Debug)]
pub(crate) struct Pace {
    turns: Turns,
    shared: Arc<Shared>,
}

impl Pace {
    /// Seconds' worth of connections at once.
    const BURST_S: u64 = 5;

    /// `None`: any number.
    pub(crate) fn of_browsers(shared: &Arc<Shared>) -> Option<Self> {
        let per_second = shared.ws.accepts_per_second_max;
        (per_second > 0).then(|| Self {
            turns: Turns::new(per_second * Self::BURST_S, 1_000_000 / per_second),
            shared: shared.clone(),
        })
    }

    fn allows(&self, peer: IpAddr) -> bool {
        let known = self.shared.ws.trusted_proxies.contains(peer);
        let allowed = known || self.turns.take(peer, self.shared.clock.mono()).is_ok();
        if !allowed {
            self.shared.metrics.limit_refused("accepts");
        }
        allowed
    }
}

impl Entrance {
    pub(crate) fn new(port: Port, listener: Listener, pace: Option<Pace>) -> Self {
        Self {
            port,
            listener,
            pace,
            turn: 0,
            is_full: false,
        }
    }

    /// Accepts what waits, up to the share of a turn.
    ///
    /// # Errors
    /// The system refuses a descriptor.
    async fn accept_some(&mut self, gates: &[Gate]) -> io::Result<()> {
        for _ in 0..TURN_MAX {
            match self.listener.accept() {
                Ok((socket, Some(peer))) if self.is_in_time(peer) => self.admit(gates, socket, peer).await,
                // Too fast: hung up on.
                Ok((_, Some(_))) => {}
                // Gone already.
                Ok((_, None)) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_in_time(&self, peer: SocketAddr) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.allows(peer.ip()))
    }

    async fn admit(&mut self, gates: &[Gate], socket: Incoming, peer: SocketAddr) {
        let place = place(self.port, gates, self.turn + 1);
        let was_full = std::mem::replace(&mut self.is_full, place.is_none());
        if let Some((at, room)) = place {
            self.turn = at;
            gates[at].pass(self.port, socket, peer, room).await;
        } else if !was_full {
            tracing::error!(port = ?self.port, "too many connections for the limit of open descriptors");
        }
    }
}

/// Nothing is wrong but with that one connection, or a signal came.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// The shard whose turn it is, or the next one that has a place. CometQL sessions have what browsers leave.
fn place(port: Port, gates: &[Gate], turn: usize) -> Option<(usize, Option<Room>)> {
    let mut turns = (0..gates.len()).map(|step| (turn + step) % gates.len());
    match port {
        Port::Ws => turns.find_map(|at| Some((at, Some(gates[at].room.clone().try_acquire_owned().ok()?)))),
        Port::CometQl => Some((turns.next()?, None)),
    }
}

impl Gate {
    /// Waits while too many wait for the shard. What is handed to a shard that stops is closed.
    async fn pass(&self, port: Port, socket: Incoming, peer: SocketAddr, room: Option<Room>) {
        let socket = match &self.post {
            None => Handed::Along(socket),
            Some(post) => {
                if let Err(error) = post.send(&socket) {
                    return tracing::error!(?port, %error, "a connection could not be handed to its thread");
                }
                Handed::Posted
            }
        };
        let accepted = Accepted {
            port,
            socket,
            peer,
            room,
        };
        let _ = self.lane.send(accepted).await;
    }
}

impl Arrivals {
    /// The socket in the hands of the calling thread and its reactor.
    fn open(&self, socket: Handed) -> io::Result<rt::TcpStream> {
        let socket = match (socket, &self.letterbox) {
            (Handed::Along(socket), _) => socket,
            (Handed::Posted, Some(letterbox)) => letterbox.take()?,
            (Handed::Posted, None) => unreachable!("who has a post has a letterbox"),
        };
        rt::adopt(socket)
    }
}

/// Runs on the shard: starts a task for each socket it is given.
pub(crate) async fn adopt(shard: Rc<Shard>, mut arrivals: Arrivals) {
    while let Some(accepted) = arrivals.lane.recv().await {
        shard.shared.metrics.accepted.inc();
        let tcp = match arrivals.open(accepted.socket) {
            Ok(tcp) => tcp,
            Err(error) => {
                tracing::error!(port = ?accepted.port, %error, "a connection could not be adopted");
                continue;
            }
        };
        let (peer, room) = (accepted.peer, accepted.room);
        let unfinished = match accepted.port {
            Port::Ws => &shard.unfinished_ws,
            Port::CometQl => &shard.unfinished_cometql,
        };
        let start = |ticket| {
            let shard = shard.clone();
            match accepted.port {
                Port::Ws => task::spawn_local(crate::http::serve(shard, tcp, peer, room, ticket)),
                Port::CometQl => task::spawn_local(crate::sql::serve(shard, tcp, peer, ticket)),
            }
        };
        if unfinished.enter(peer.ip(), start) {
            shard.shared.metrics.limit_refused("handshakes");
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::Socket;

    use super::*;
    use crate::rt::listen;

    #[test]
    fn a_port_in_use_is_refused() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let error = listen(first.local_addr().unwrap(), 16).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    /// What the listener was told once, the kernel does for each connection.
    #[test]
    fn accepted_sockets_send_at_once_and_notice_dead_peers() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 16).unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = loop {
            match listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => break accepted.unwrap(),
            }
        };
        assert_eq!(peer, Some(client.local_addr().unwrap()));
        let socket = Socket::from(socket);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert!(socket.nonblocking().unwrap());
    }

    /// Round robin, but past tables that are full; CometQL sessions need no place of a browser.
    #[test]
    fn a_full_table_is_passed_over() {
        let gate = |places| Gate {
            lane: mpsc::channel(1).0,
            post: None,
            room: Arc::new(Semaphore::new(places)),
        };
        let gates = [gate(2), gate(0), gate(1)];
        let mut rooms = Vec::new();
        let mut turn = 0;
        let mut chosen = Vec::new();
        while let Some((at, room)) = place(Port::Ws, &gates, turn + 1) {
            chosen.push(at);
            rooms.extend(room);
            turn = at;
        }
        assert_eq!(chosen, [2, 0, 0]);
        assert_eq!(place(Port::CometQl, &gates, 1).map(|(at, _)| at), Some(1));
        rooms.pop();
        assert_eq!(place(Port::Ws, &gates, 1).map(|(at, _)| at), Some(0));
    }
}
