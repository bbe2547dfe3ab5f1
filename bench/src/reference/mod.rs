//! The yardstick: a bare epoll loop that holds subscribers after a trivial WebSocket handshake and does one `send` of a
//! ready-made frame per subscriber per publish. No queue, no users, no rules; what a server could do if it did nothing
//! else. It takes publishes over the same statements as the real server, so that one client measures both.

mod front;
pub(crate) mod opensrv;
mod peer;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use socket2::{Domain, Socket, Type};

use crate::failure::Failure;
use crate::proc;
use crate::ws::frame::{self, Opcode};
use peer::{Command, Peer};

const BROWSERS: Token = Token(usize::MAX - 1);
const PUBLISHERS: Token = Token(usize::MAX - 2);
/// A batch that does not fill up within this time leaves as it is.
const LINGER: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Channel {
    subscribers: Vec<usize>,
    /// Frames that wait until there are `coalesce` of them.
    batch: Vec<u8>,
    waiting: usize,
}

struct Loop {
    poll: Poll,
    browsers: TcpListener,
    publishers: TcpListener,
    peers: Slab<Peer>,
    channels: BTreeMap<String, Channel>,
    coalesce: usize,
    read: Vec<u8>,
}

/// Runs until standard input ends. Prints the two addresses it listens on.
pub(crate) fn serve(coalesce: usize) -> Result<(), Failure> {
    proc::allowed_connections();
    end_with_stdin();
    let mut browsers = listen()?;
    let mut publishers = listen()?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut browsers, BROWSERS, Interest::READABLE)?;
    poll.registry()
        .register(&mut publishers, PUBLISHERS, Interest::READABLE)?;
    println!("{} {}", browsers.local_addr()?, publishers.local_addr()?);
    io::stdout().flush()?;
    let read = vec![0; 64 * 1024];
    let peers = Slab::new();
    Loop {
        poll,
        browsers,
        publishers,
        peers,
        channels: BTreeMap::new(),
        coalesce,
        read,
    }
    .run()
}

/// A listener with a long backlog: the standard library's 128 drops connections of a storm for a second each.
fn listen() -> Result<TcpListener, Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // However it ends, the parent is gone.
        let _ended = io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
}

impl Loop {
    fn run(&mut self) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1024);
        loop {
            let waiting = self.channels.values().any(|channel| channel.waiting > 0);
            match self.poll.poll(&mut events, waiting.then_some(LINGER)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            if events.is_empty() {
                self.deliver_all();
            }
            for event in &events {
                match event.token() {
                    BROWSERS => self.accept_browsers()?,
                    PUBLISHERS => self.accept_publishers()?,
                    Token(key) => self.ready(key, event.is_read_closed()),
                }
            }
        }
    }

    fn accept_browsers(&mut self) -> Result<(), Failure> {
        while let Ok((stream, _)) = self.browsers.accept() {
            stream.set_nodelay(true)?;
            self.insert(Peer::browser(stream))?;
        }
        Ok(())
    }

    fn accept_publishers(&mut self) -> Result<(), Failure> {
        while let Ok((stream, _)) = self.publishers.accept() {
            stream.set_nodelay(true)?;
            self.insert(Peer::publisher(stream))?;
        }
        Ok(())
    }

    fn insert(&mut self, mut peer: Peer) -> Result<(), Failure> {
        let entry = self.peers.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut peer.stream, Token(entry.key()), interest)?;
        entry.insert(peer);
        Ok(())
    }

    fn ready(&mut self, key: usize, ended: bool) {
        let mut commands = Vec::new();
        let Some(peer) = self.peers.get_mut(key) else {
            return;
        };
        let alive = peer.ready(ended, &mut self.read, &mut commands);
        for command in commands {
            self.execute(key, command);
        }
        if let Some(peer) = self.peers.get_mut(key)
            && (!alive || peer.flush().is_err())
        {
            self.peers.remove(key);
            for channel in self.channels.values_mut() {
                channel.subscribers.retain(|subscriber| *subscriber != key);
            }
        }
    }

    fn execute(&mut self, key: usize, command: Command) {
        match command {
            Command::Subscribe(name) => self.channels.entry(name).or_default().subscribers.push(key),
            Command::Publish { name, json } => {
                let Some(channel) = self.channels.get_mut(&name) else {
                    return;
                };
                frame::put_server_frame(&mut channel.batch, Opcode::Text, json.as_bytes());
                channel.waiting += 1;
                if channel.waiting >= self.coalesce {
                    deliver(channel, &mut self.peers);
                }
            }
            Command::Count => {
                let rows: Vec<_> = self
                    .channels
                    .iter()
                    .map(|(name, channel)| (name.as_str(), channel.subscribers.len()))
                    .collect();
                if let Some(peer) = self.peers.get_mut(key) {
                    front::put_counts(&mut peer.out, &rows);
                }
            }
        }
    }

    fn deliver_all(&mut self) {
        for channel in self.channels.values_mut().filter(|channel| channel.waiting > 0) {
            deliver(channel, &mut self.peers);
        }
    }
}

/// The measured act: one `send` per subscriber.
fn deliver(channel: &mut Channel, peers: &mut Slab<Peer>) {
    for subscriber in &channel.subscribers {
        if let Some(peer) = peers.get_mut(*subscriber) {
            peer.send(&channel.batch);
        }
    }
    channel.batch.clear();
    channel.waiting = 0;
}
