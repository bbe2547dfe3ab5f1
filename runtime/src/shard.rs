//! One I/O thread: a single-threaded runtime that owns its browsers and its CometQL sessions.
//!
//! Promise: what the core says reaches its connection or its session, or nobody if that is gone. How frames get to the
//! sockets: `delivery`.

#[cfg(test)]
pub(crate) mod testing;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comet_core::{CloseCause, ConnId, Mono, Reply, RequestId, SessionId};
use tokio::sync::mpsc;

use crate::accept::Arrivals;
use crate::delivery::Delivery;
use crate::execute::ShardAction;
use crate::memory::Use;
#[cfg(madsim)]
use crate::rt;
use crate::rt::{task, time};
use crate::shared::Shared;
use crate::sql::Mailbox;
use crate::unfinished::Unfinished;
use crate::ws::conn::{Conn, End};
use crate::ws::connections::{BySerial, Connections};

/// One system call reads at most this much; shared by all connections of a shard, as only one is read at a time.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How long open connections may take to receive their last bytes when the server stops.
const STOP_MAX: Duration = Duration::from_secs(3);

/// State of one shard, used on its own thread only.
pub(crate) struct Shard {
    index: u16,
    pub(crate) shared: Arc<Shared>,
    /// Where bytes land when they are read.
    pub(crate) scratch: RefCell<Vec<u8>>,
    conns: RefCell<Connections>,
    sessions: RefCell<HashMap<SessionId, Rc<Mailbox>, BySerial>>,
    /// Browsers and MySQL clients that are not through the door yet.
    pub(crate) unfinished_ws: Rc<Unfinished>,
    pub(crate) unfinished_cometql: Rc<Unfinished>,
    serial: Cell<u64>,
    session_serial: Cell<u64>,
    /// Time as its browsers had it: see `keepalive`.
    lived: Cell<Mono>,
    /// Nobody stays any more.
    stopping: Cell<bool>,
    /// How many `Serving` there are.
    serving: Cell<usize>,
}

/// Held by every task that serves somebody, until it has said its last words: the shard does not end before, for a while.
pub(crate) struct Serving(Rc<Shard>);

impl Deref for Serving {
    type Target = Rc<Shard>;

    fn deref(&self) -> &Rc<Shard> {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.set(self.0.serving.get() - 1);
    }
}

/// The two ways into a shard.
pub(crate) struct Inbox {
    /// From the core; ends when the core has stopped.
    pub(crate) actions: mpsc::Receiver<Vec<ShardAction>>,
    /// From the acceptor; ends when the server begins to stop.
    pub(crate) accepted: Arrivals,
}

/// Serves until the core has stopped.
pub(crate) async fn serve(shard: Rc<Shard>, inbox: Inbox) {
    let Inbox { actions, accepted } = inbox;
    task::spawn_local(crate::accept::adopt(shard.clone(), accepted));
    task::spawn_local(crate::ws::keepalive::sweep(shard.clone()));
    task::spawn_local(crate::memory::shed(shard.clone()));
    Delivery::new(shard.clone(), actions).run().await;
    shard.close_all();
    let gone = async {
        while shard.serving.get() > 0 {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Whoever does not take his last bytes loses them.
    let _ = time::timeout(STOP_MAX, gone).await;
}

impl Shard {
    pub(crate) fn new(index: u16, shared: Arc<Shared>) -> Self {
        let share = |max| Unfinished::new(crate::unfinished::share(max, shared.shards, index.into()));
        let unfinished_ws = share(shared.ws.handshakes_max);
        let unfinished_cometql = share(shared.cometql.as_ref().map_or(0, |port| port.handshakes_max));
        Self {
            index,
            shared,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES]),
            conns: RefCell::default(),
            sessions: RefCell::default(),
            unfinished_ws,
            unfinished_cometql,
            serial: Cell::new(0),
            session_serial: Cell::new(0),
            lived: Cell::default(),
            stopping: Cell::default(),
            serving: Cell::new(0),
        }
    }

    /// Numbers a new connection and makes it reachable for the core's actions.
    pub(crate) fn register(&self, new: impl FnOnce(ConnId) -> Conn) -> Rc<Conn> {
        let serial = self.serial.get() + 1;
        self.serial.set(serial);
        let id = ConnId::new(self.index, serial);
        let conn = Rc::new(new(id));
        self.shared.metrics.memory.take(Use::Sockets, conn.socket.room());
        if self.stopping.get() {
            conn.close(End::Now(CloseCause::Shutdown));
        }
        self.conns.borrow_mut().insert(conn.clone());
        self.shared.metrics.connections.inc();
        self.shared.metrics.connections_opened.inc();
        conn
    }

    /// The time to note when something is heard of a browser.
    pub(crate) fn lived(&self) -> Mono {
        self.lived.get()
    }

    pub(crate) fn live(&self, micros: u64) {
        self.lived
            .set(Mono::from_micros(self.lived.get().micros() + micros));
    }

    pub(crate) fn serving(self: &Rc<Self>) -> Serving {
        self.serving.set(self.serving.get() + 1);
        Serving(self.clone())
    }

    /// Drops actions for a connection from here on.
    pub(crate) fn forget(&self, conn: &Conn, cause: CloseCause) {
        if self.conns.borrow_mut().remove(conn.id) {
            self.shared.metrics.connections.dec();
            self.shared.metrics.closed(cause);
            tracing::debug!(target: "comet_server::ws", conn = conn.id.0, cause = cause.label(), "closed");
        }
    }

    /// Numbers a new session so that its replies find this shard. Shown to users, who expect no zero.
    pub(crate) fn next_session(&self) -> SessionId {
        let serial = self.session_serial.get() + 1;
        self.session_serial.set(serial);
        SessionId(serial * self.shared.shards as u64 + u64::from(self.index))
    }

    pub(crate) fn register_session(&self, session: SessionId, mailbox: Rc<Mailbox>) {
        self.sessions.borrow_mut().insert(session, mailbox);
    }

    pub(crate) fn forget_session(&self, session: SessionId) {
        self.sessions.borrow_mut().remove(&session);
    }

    /// Hands a reply to its session, if it is still there.
    pub(crate) fn reply(&self, session: SessionId, req: RequestId, reply: Reply) {
        if let Some(mailbox) = self.sessions.borrow().get(&session) {
            mailbox.put(req, reply);
        }
    }

    /// The connections of one slice.
    pub(crate) fn connections(&self, slice: usize) -> Vec<Rc<Conn>> {
        self.conns.borrow().slice(slice).cloned().collect()
    }

    /// Queues a frame to one connection without writing it yet.
    pub(crate) fn queue(&self, conn: &Conn, frame: Bytes) {
        self.shared.metrics.frames.inc();
        conn.push(frame, self.shared.ws.send_buffer_bytes, &self.shared.metrics);
    }

    /// Those of an ascending list that are still there.
    pub(crate) fn for_each(&self, receivers: &[ConnId], except: Option<ConnId>, then: impl FnMut(&Rc<Conn>)) {
        let conns = self.conns.borrow();
        let receivers = receivers.iter().filter(|id| Some(**id) != except);
        receivers.filter_map(|id| conns.get(id)).for_each(then);
    }

    /// A mistake on purpose.
    #[cfg(madsim)]
    pub(crate) fn misdirected(&self, conn: ConnId, frame: &[u8]) -> ConnId {
        let private = br#""pipe":"msg""#;
        let is_private = frame.windows(private.len()).any(|part| part == private);
        let neighbour = ConnId(conn.0 ^ 1);
        let is_there = self.conns.borrow().get(&neighbour).is_some();
        if is_private && is_there && rt::makes(rt::Mistake::SendsToNeighbours) {
            neighbour
        } else {
            conn
        }
    }

    pub(crate) fn close(&self, conn: ConnId, end: End) {
        if let Some(conn) = self.conns.borrow().get(&conn) {
            conn.close(end);
        }
    }

    pub(crate) fn close_session(&self, session: SessionId) {
        if let Some(mailbox) = self.sessions.borrow().get(&session) {
            mailbox.close();
        }
    }

    /// Closes those connections that have more than half as much waiting as the one with most, and at least `min` bytes.
    /// Who has not been written to since something came for him waits for us, not we for him: he is not closed, but with
    /// most waiting he is the measure all the same, or somebody small would go in his place.
    pub(crate) fn cut_largest(&self, min: usize) {
        let conns = self.conns.borrow();
        let open = || conns.iter().filter(|conn| conn.end().is_none());
        let most = open().map(|conn| conn.waiting()).max().unwrap_or(0);
        let bound = min.max(most / 2);
        for conn in open().filter(|conn| !conn.is_marked() && conn.waiting() >= bound) {
            self.shared.metrics.turned_away("slow_connection");
            conn.close(End::Now(CloseCause::SlowConsumer));
        }
    }

    fn close_all(&self) {
        self.stopping.set(true);
        for conn in self.conns.borrow().iter() {
            conn.close(End::Flush(CloseCause::Shutdown));
        }
        for mailbox in self.sessions.borrow().values() {
            mailbox.close();
        }
    }
}
