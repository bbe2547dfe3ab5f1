//! Assembles the threads of a server, and takes them apart again in the right order.
//!
//! Start: I/O threads first, which may want to part with the descriptor table while it is empty; then ports, so that a
//! port in use changes nothing; then the store; then the core; then the threads begin, and connections come. Stop: no new connections; the core writes its last records; what is on disk is acknowledged; sockets close
//! without a Close frame (protocol.md 2.4), so that browsers come back.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use comet_core::cometql::Limits;
use comet_core::limit::Throttle;
use comet_core::{ConfigError, Core, Event};
use tokio::sync::{mpsc, oneshot};

use crate::accept::{self, Accepted, Entrance, Gate, Pace, Port};
use crate::clock::{Clock, LivedTime};
use crate::config::Settings;
use crate::driver::{Driver, Progress};
use crate::entropy::Entropy;
use crate::events::{self, EventSender};
use crate::execute::{Executor, SHARD_BATCHES_MAX, ShardAction};
use crate::http::{Site, monitor};
use crate::io_threads::{IoThread, IoThreads, Work};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::record::Recorder;
use crate::rt::{self, Listener, Stopper, Thread, listen, task};
pub use crate::shared::Addresses;
use crate::shared::Shared;
use crate::statistics;
use crate::store::{self, StoreError};
pub use crate::tls::TlsError;
use crate::tls::TlsPort;

/// Connections that may wait for the metrics port.
const METRICS_BACKLOG: u32 = 64;

/// Why a server does not start: one line for whoever started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{}", .0.text())]
    Config(ConfigError),
    /// A port is in use, or the address is not ours.
    #[error("cannot listen on {address} ({setting}): {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets it.
        setting: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine refuses something every program needs.
    #[error("the system refuses {what}: {cause}")]
    System {
        /// What it is.
        what: &'static str,
        /// What it said.
        cause: io::Error,
    },
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    shared: Arc<Shared>,
    /// Written to: the acceptor stops.
    accepting: Option<Stopper>,
    acceptor: Option<Thread<()>>,
    /// Dropped: the watcher stops.
    watching: Option<oneshot::Sender<()>>,
    watcher: Option<Thread<()>>,
    core: Option<Thread<Result<(), StoreError>>>,
    shards: Vec<IoThread>,
}

struct Listeners {
    ws: Listener,
    cometql: Option<Listener>,
    metrics: Option<Listener>,
    addresses: Addresses,
}

/// Starts a server; when this returns it serves.
///
/// With `ws.shard_descriptors`, a tokio runtime of the caller that receives signals has to be made before: tokio lets any
/// of its runtimes announce a signal, and what a thread with a descriptor table of its own can wake is what it inherited.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let config = settings.core.clone().check().map_err(StartError::Config)?;
    let io = IoThreads::start(shards(&settings), settings.ws.shard_descriptors)?;
    let listeners = Listeners::open(&settings)?;
    let clock = Clock::start();
    let system = |what| move |cause| StartError::System { what, cause };
    let entropy = Entropy::open().map_err(system("random numbers"))?;
    let seed = entropy.number().map_err(system("random numbers"))?;
    let (sender, events) = events::queue(Arc::new(Memory::new(config.memory_limit_bytes)));
    let shared = Arc::new(shared(
        &settings,
        &config,
        listeners.addresses,
        sender,
        clock,
        entropy,
    )?);

    let (store, durable) = store::open(&settings.data_dir, settings.durability)?;
    let (store_sender, store_events) = mpsc::unbounded_channel();
    let report = move |event| {
        // The core's thread is gone only when nobody waits for the disk any more.
        let _ = store_sender.send(event);
    };
    let writer = store.spawn(report).map_err(StartError::no_thread)?;
    tell_memory(config.memory_limit_bytes, durable.memory().bytes());
    let mut actions = Vec::new();
    let now = clock.now();
    let core = Core::start(config, durable, seed, now, &mut actions);
    let recorder = match &settings.record {
        Some(record) => {
            let key = shared.entropy.bytes().map_err(system("random numbers"))?;
            Recorder::start(record, &core, now, key, shared.metrics.clone()).map(Box::new)
        }
        None => None,
    };

    let lanes = || mpsc::channel(SHARD_BATCHES_MAX);
    let (action_lanes, actions_of): (Vec<_>, Vec<_>) = io.threads.iter().map(|_| lanes()).unzip();
    let (gates, accepted_of) = accept::gates(io.posts);
    let executor = Executor::new(action_lanes, shared.ready.clone(), shared.metrics.clone());
    let metrics = shared.metrics.clone();
    let progress = Progress::default();
    let driver = Driver {
        core,
        clock,
        events,
        store_events,
        writer,
        executor,
        metrics,
        actions,
        progress,
        records_told: 0,
        time: LivedTime::starting(clock.mono()),
        recorder,
    };

    let mut running = Running {
        addresses: listeners.addresses,
        shared,
        accepting: None,
        acceptor: None,
        watching: None,
        watcher: None,
        core: None,
        shards: io.threads,
    };
    let rest = running.shared.events.rest();
    let core = rt::thread("core", move || driver.run(rest)).map_err(StartError::no_thread)?;
    running.core = Some(core);
    running.begin(actions_of, accepted_of);
    running.open(listeners, gates)?;
    Ok(running)
}

/// Says how the stored data stand to the memory budget.
fn tell_memory(limit: u64, stored: u64) {
    if limit == 0 {
        tracing::info!(stored_bytes = stored, "no memory limit");
    } else if stored >= limit - limit / 8 {
        tracing::warn!(
            limit_bytes = limit,
            stored_bytes = stored,
            "what is stored takes more of the memory limit than it may: nothing more is stored until something is \
             fetched or deleted; main.memory_limit sets another limit"
        );
    } else {
        tracing::info!(limit_bytes = limit, stored_bytes = stored, "memory limit");
    }
}

/// The number of I/O threads.
fn shards(settings: &Settings) -> usize {
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    settings
        .ws
        .shards
        .unwrap_or_else(cpus)
        .clamp(1, usize::from(u16::MAX))
}

pub(crate) fn shared(
    settings: &Settings,
    config: &comet_core::CheckedConfig,
    addresses: Addresses,
    events: EventSender,
    clock: Clock,
    entropy: Entropy,
) -> Result<Shared, TlsError> {
    let cometql_tls = settings.cometql.as_ref().and_then(|cometql| cometql.tls.clone());
    let metrics = Arc::new(Metrics::of(events.memory()));
    metrics.ready.set(1);
    Ok(Shared {
        core: config.clone(),
        limits: Limits::of(config),
        ws: settings.ws.clone(),
        ws_tls: settings.ws.tls.clone().map(TlsPort::load).transpose()?,
        cometql: settings.cometql.clone(),
        cometql_tls: cometql_tls.map(TlsPort::load).transpose()?,
        logins: Mutex::new(Throttle::new(settings.login_failures_max, true)),
        site: Site::new(settings, addresses),
        clock,
        entropy,
        metrics,
        events,
        ready: Arc::new(AtomicBool::new(true)),
        statistics_interval: statistics::interval(
            settings.log.statistics,
            [config.ws_statistics_ms, config.cometql_statistics_ms],
        ),
        shards: shards(settings),
    })
}

/// Serves whoever watches the server, and writes rates to the log.
async fn watch(listener: Option<Listener>, shared: Arc<Shared>, stop: oneshot::Receiver<()>) {
    let monitor = listener.map(|listener| task::spawn_local(monitor(listener, shared.clone())));
    let interval = shared.statistics_interval;
    let log = interval.map(|interval| task::spawn_local(statistics::log(shared, interval)));
    // Resolves when the server is told to stop.
    let _ = stop.await;
    for task in [monitor, log].into_iter().flatten() {
        task.abort();
    }
}

impl StartError {
    pub(crate) fn no_thread(cause: io::Error) -> Self {
        Self::System {
            what: "a thread",
            cause,
        }
    }
}

impl Listeners {
    fn open(settings: &Settings) -> Result<Self, StartError> {
        let open = |address, backlog, setting| {
            let listener = listen(address, backlog);
            let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
            bound.map_err(|cause| StartError::Listen {
                address,
                setting,
                cause,
            })
        };
        let (ws_address, ws) = open(settings.ws.listen, settings.ws.backlog, "--ws-listen")?;
        let cometql = settings
            .cometql
            .as_ref()
            .map(|cometql| open(cometql.listen, cometql.backlog, "--cometql-listen"))
            .transpose()?;
        let metrics = settings
            .metrics_listen
            .map(|address| open(address, METRICS_BACKLOG, "--metrics-listen"))
            .transpose()?;
        let addresses = Addresses {
            ws: ws_address,
            cometql: cometql.as_ref().map(|(address, _)| *address),
            metrics: metrics.as_ref().map(|(address, _)| *address),
        };
        let listener = |bound: Option<(SocketAddr, Listener)>| bound.map(|(_, listener)| listener);
        Ok(Self {
            ws,
            cometql: listener(cometql),
            metrics: listener(metrics),
            addresses,
        })
    }
}

impl Running {
    /// Gives each I/O thread its work.
    fn begin(
        &mut self,
        actions: Vec<mpsc::Receiver<Vec<ShardAction>>>,
        accepted: Vec<mpsc::Receiver<Accepted>>,
    ) {
        let lanes = actions.into_iter().zip(accepted);
        for (index, (thread, (actions, accepted))) in (0..).zip(self.shards.iter_mut().zip(lanes)) {
            thread.begin(Work {
                index,
                shared: self.shared.clone(),
                actions,
                accepted,
            });
        }
    }

    /// Lets connections in.
    fn open(&mut self, listeners: Listeners, gates: Vec<Gate>) -> Result<(), StartError> {
        let ws = Entrance::new(Port::Ws, listeners.ws, Pace::of_browsers(&self.shared));
        let cometql = listeners
            .cometql
            .map(|listener| Entrance::new(Port::CometQl, listener, None));
        let entrances = std::iter::once(ws).chain(cometql).collect();
        let (accepting, stop) = rt::stop_pair().map_err(|cause| StartError::System {
            what: "a pair of sockets",
            cause,
        })?;
        self.accepting = Some(accepting);
        let acceptor = rt::thread("accept", move || accept::accept(entrances, gates, stop));
        self.acceptor = Some(acceptor.map_err(StartError::no_thread)?);
        if listeners.metrics.is_some() || self.shared.statistics_interval.is_some() {
            let (watching, stop) = oneshot::channel();
            let shared = self.shared.clone();
            self.watching = Some(watching);
            let watcher = rt::thread_with_sockets("watch", move || watch(listeners.metrics, shared, stop));
            self.watcher = Some(watcher.map_err(StartError::no_thread)?);
        }
        Ok(())
    }

    /// Where the server listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Reads the certificates again, and says how many there are; connections that are open keep theirs.
    ///
    /// # Errors
    /// A file cannot be used; the old certificate stays in force.
    pub fn reload_tls(&self) -> Result<usize, TlsError> {
        let ports = [&self.shared.ws_tls, &self.shared.cometql_tls];
        let ports: Vec<&TlsPort> = ports.into_iter().flatten().collect();
        ports.iter().try_for_each(|port| port.reload())?;
        Ok(ports.len())
    }

    /// Stops in order and returns when everything is on disk and every socket is closed.
    ///
    /// # Errors
    /// The disk did not take the last records; they are lost.
    #[cfg(not(madsim))]
    pub fn stop(mut self) -> Result<(), StoreError> {
        rt::finish(self.shut_down())
    }

    /// Stops in order and returns when everything is on disk and every socket is closed.
    ///
    /// # Errors
    /// The disk did not take the last records; they are lost.
    #[cfg(madsim)]
    pub async fn stop(mut self) -> Result<(), StoreError> {
        self.shut_down().await
    }

    async fn shut_down(&mut self) -> Result<(), StoreError> {
        if let Some(accepting) = self.accepting.take() {
            accepting.stop();
        }
        join(self.acceptor.take()).await;
        drop(self.watching.take());
        join(self.watcher.take()).await;
        let result = match self.core.take() {
            Some(core) => {
                let events = self.shared.events.clone();
                // On a thread of its own, as the caller may be a task that must not block.
                let tell = async move || drop(events.send(vec![Event::Shutdown], |_| {}).await);
                join(rt::thread("stop", tell).ok()).await;
                core.join()
                    .await
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            None => Ok(()),
        };
        for shard in self.shards.drain(..) {
            shard.end().await;
        }
        result
    }
}

/// A thread that panicked has said so itself.
async fn join(thread: Option<Thread<()>>) {
    if let Some(thread) = thread {
        let _ = thread.join().await;
    }
}

/// In a simulated world a server that is dropped was killed.
#[cfg(not(madsim))]
impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = rt::finish(self.shut_down()) {
            tracing::error!(%error, "stopped with losses");
        }
    }
}
