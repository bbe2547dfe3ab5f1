//! A machine, a network and a disk that exist in the head of one thread, and are decided by one seed.
//!
//! madsim lends the executor, the clock and the generator; sockets are our own (`net`, `pipe`), as madsim's have no
//! readiness, no partial writes, no buffers that fill up, and no way to end a stream. Promise: the same seed on a
//! fresh thread gives the same log; every byte that arrives anywhere, and every answer of the disk, is in it with its
//! time in nanoseconds, which in turn depends on every turn of every task before.

pub(crate) mod descriptors;
pub(crate) mod io_threads;
mod net;
mod pipe;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::time::Duration;

use madsim::rand::Rng;
use madsim::task::JoinHandle;
use tokio::sync::{Notify, mpsc};

pub(crate) use madsim::time;
pub(crate) use net::{Incoming, Listener, Stop, Stopper, adopt, end_of_stream, listen, stop_pair};
pub use net::{TcpStream, connect};
use pipe::Pipe;

/// What the code may use of tokio's tasks.
pub(crate) mod task {
    pub(crate) use madsim::task::{JoinHandle, spawn_local, yield_now};
    pub(crate) use tokio::task::unconstrained;

    /// There is one thread only, so it blocks everybody; for what takes no simulated time.
    pub(crate) fn spawn_blocking<T: 'static>(run: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
        spawn_local(async move { run() })
    }
}

/// What network and disk are like. Ranges are drawn from anew for each segment and each transaction.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Time of a segment from one host to another, milliseconds.
    pub latency_ms: Range<u64>,
    /// Bytes of a segment.
    pub segment_bytes: Range<usize>,
    /// What a kernel takes from a sender before anything has arrived, bytes.
    pub send_buffer_bytes: usize,
    /// What a kernel keeps for a receiver who does not read, bytes.
    pub receive_buffer_bytes: usize,
    /// Time of the disk before and again after a transaction, milliseconds.
    pub disk_ms: Range<u64>,
    /// How many of a hundred transactions the disk refuses.
    pub disk_refuses_percent: u32,
}

impl Weather {
    /// Nothing goes wrong, and everything is quick.
    pub const CALM: Self = Self {
        latency_ms: 1..2,
        segment_bytes: 1400..1401,
        send_buffer_bytes: 64 * 1024,
        receive_buffer_bytes: 64 * 1024,
        disk_ms: 0..1,
        disk_refuses_percent: 0,
    };
}

/// A mistake that is made on purpose, to see whether it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// Records are reported as stored before they are.
    AcknowledgesBeforeCommit,
    /// A batch for a shard that is behind is dropped.
    DropsUnderPressure,
    /// Connections are closed at the end without what waits for them.
    EndsWithoutFlush,
    /// A frame that a slow reader has no room for is left out, instead of ending the connection.
    LeavesFramesOut,
    /// A private message goes to the connection that came next to the right one, if that is still there.
    SendsToNeighbours,
}

/// Everything that is shared by the hosts of one simulated world.
struct World {
    weather: RefCell<Weather>,
    mistake: Cell<Option<Mistake>>,
    listeners: RefCell<BTreeMap<SocketAddr, Weak<net::Backlog>>>,
    ends: RefCell<Vec<Weak<net::End>>>,
    cut_off: RefCell<BTreeSet<IpAddr>>,
    /// Somebody may be reachable again.
    healed: Notify,
    courier: mpsc::UnboundedSender<(Rc<Pipe>, Rc<Pipe>)>,
    ports: Cell<u16>,
    connections: Cell<u64>,
    log: Cell<Log>,
    verbose: bool,
}

/// What has happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    /// Of everything, with its time.
    pub digest: u64,
    /// How much that was.
    pub entries: u64,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

fn world() -> Rc<World> {
    let world = WORLD.with_borrow(Clone::clone);
    world.expect("`begin` was called on this thread")
}

/// Makes the world of this thread. To be called once, from a task that ends last. `verbose` writes the log to stderr.
pub fn begin(weather: Weather, mistake: Option<Mistake>, verbose: bool) {
    let (courier, mut pipes) = mpsc::unbounded_channel::<(Rc<Pipe>, Rc<Pipe>)>();
    let world = World {
        weather: RefCell::new(weather),
        mistake: Cell::new(mistake),
        listeners: RefCell::default(),
        ends: RefCell::default(),
        cut_off: RefCell::default(),
        healed: Notify::new(),
        courier,
        ports: Cell::new(40_000),
        connections: Cell::new(0),
        log: Cell::new(Log {
            digest: 0xcbf2_9ce4_8422_2325,
            entries: 0,
        }),
        verbose,
    };
    WORLD.set(Some(Rc::new(world)));
    // Packets travel on, whichever host is killed.
    task::spawn_local(async move {
        while let Some((pipe, back)) = pipes.recv().await {
            task::spawn_local(pipe::carry(pipe, back));
        }
    });
}

/// Changes the weather for everything that happens from now on.
pub fn set_weather(weather: Weather) {
    world().weather.replace(weather);
}

/// Nothing reaches this host or leaves it, until it is healed; what was sent meanwhile arrives then.
pub fn cut_off(host: IpAddr) {
    world().cut_off.borrow_mut().insert(host);
}

/// The host is reachable again.
pub fn heal(host: IpAddr) {
    let world = world();
    world.cut_off.borrow_mut().remove(&host);
    world.healed.notify_waiters();
}

/// The host loses power: its connections are forgotten without a word. Whoever sends to them later is told so.
pub fn lose_power(host: IpAddr) {
    world().each_end(host, net::End::fall_silent);
}

/// Everything that has happened.
#[must_use]
pub fn log() -> Log {
    world().log.get()
}

/// Adds to the log.
pub fn note(what: &str, number: u64, bytes: &[u8]) {
    world().note(what, number, bytes);
}

/// A number that the seed decides about.
#[must_use]
pub fn draw(range: Range<u64>) -> u64 {
    madsim::rand::thread_rng().gen_range(range)
}

/// Virtual time since the world began.
#[must_use]
pub fn elapsed() -> Duration {
    time::TimeHandle::current().elapsed()
}

/// Random bytes that the seed decides about.
pub(crate) fn fill(bytes: &mut [u8]) {
    madsim::rand::thread_rng().fill(bytes);
}

/// This mistake is to be made.
pub(crate) fn makes(mistake: Mistake) -> bool {
    let made = WORLD.with_borrow(|world| world.as_ref().and_then(|world| world.mistake.get()));
    made == Some(mistake)
}

impl World {
    fn note(&self, what: &str, number: u64, bytes: &[u8]) {
        let now = elapsed();
        let Log { mut digest, entries } = self.log.get();
        let nanos = now.as_nanos().to_le_bytes();
        let number_bytes = number.to_le_bytes();
        for byte in [&nanos, what.as_bytes(), &number_bytes, bytes].concat() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let entries = entries + 1;
        self.log.set(Log { digest, entries });
        if self.verbose {
            eprintln!("{now:?} {what} {number} {}", bytes.escape_ascii());
        }
    }

    /// The way of a segment from one host to another.
    async fn travel(&self, from: IpAddr, to: IpAddr) {
        let latency = self.weather.borrow().latency_ms.clone();
        time::sleep(Duration::from_millis(draw(latency))).await;
        while self.is_cut_off(from) || self.is_cut_off(to) {
            self.healed.notified().await;
        }
    }

    fn is_cut_off(&self, host: IpAddr) -> bool {
        self.cut_off.borrow().contains(&host)
    }

    fn each_end(&self, host: IpAddr, then: impl Fn(&net::End)) {
        let mut ends = self.ends.borrow_mut();
        ends.retain(|end| end.strong_count() > 0);
        let of_host = ends
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|end| end.local.ip() == host);
        of_host.for_each(|end| then(&end));
    }
}

/// A task that stands for a thread.
#[derive(Debug)]
pub(crate) struct Thread<T>(JoinHandle<T>);

impl<T> Thread<T> {
    pub(crate) async fn join(self) -> Result<T, Box<dyn Any + Send>> {
        self.0.await.map_err(|error| Box::new(error) as _)
    }
}

pub(crate) fn thread<F: Future + 'static>(
    _: &'static str,
    start: impl FnOnce() -> F,
) -> io::Result<Thread<F::Output>> {
    Ok(Thread(task::spawn_local(start())))
}

pub(crate) fn thread_with_sockets<F: Future + 'static>(
    name: &'static str,
    start: impl FnOnce() -> F,
) -> io::Result<Thread<F::Output>> {
    thread(name, start)
}

pub(crate) async fn disk() -> rusqlite::Result<()> {
    let Weather {
        disk_ms,
        disk_refuses_percent,
        ..
    } = world().weather.borrow().clone();
    let pause = draw(disk_ms);
    if pause > 0 {
        time::sleep(Duration::from_millis(pause)).await;
    }
    let refuses = draw(0..100) < u64::from(disk_refuses_percent);
    note("disk", u64::from(refuses), &[]);
    if refuses {
        let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        return Err(rusqlite::Error::SqliteFailure(full, None));
    }
    Ok(())
}
