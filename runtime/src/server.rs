//! Assembles the threads of a server, and takes them apart again in the right order.
//!
//! Start: ports first, so that a port in use changes nothing; then the store; then the core; then those who talk to
//! it. Stop: no new connections; the core writes its last records; what is on disk is acknowledged; sockets close
//! without a Close frame (protocol.md 2.4), so that browsers come back.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use comet_core::cometql::Limits;
use comet_core::{ConfigError, Core, Event};
use tokio::net::TcpListener as TokioListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::accept::{self, Accepted, Port, listen};
use crate::clock::{Clock, LivedTime};
use crate::config::Settings;
use crate::driver::{Driver, Progress};
use crate::entropy::Entropy;
use crate::events::{self, EventSender};
use crate::execute::{Executor, SHARD_BATCHES_MAX};
use crate::http::{Site, monitor};
use crate::metrics::Metrics;
use crate::shard::{self, Inbox};
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
    /// Dropped: the acceptor stops.
    accepting: Option<oneshot::Sender<()>>,
    acceptor: Option<JoinHandle<()>>,
    core: Option<JoinHandle<Result<(), StoreError>>>,
    shards: Vec<JoinHandle<()>>,
}

struct Listeners {
    ws: TcpListener,
    cometql: Option<TcpListener>,
    metrics: Option<TcpListener>,
    addresses: Addresses,
}

/// Starts a server; when this returns it serves.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn start(settings: Settings) -> Result<Running, StartError> {
    let config = settings.core.clone().check().map_err(StartError::Config)?;
    let listeners = Listeners::open(&settings)?;
    let clock = Clock::start();
    let system = |what| move |cause| StartError::System { what, cause };
    let entropy = Entropy::open().map_err(system("random numbers"))?;
    let seed = entropy.number().map_err(system("random numbers"))?;
    let (sender, events) = events::queue();
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
    let writer = store.spawn(report).map_err(system("a thread"))?;
    let mut actions = Vec::new();
    let core = Core::start(config, durable, seed, clock.now(), &mut actions);

    let (to_shards, inboxes): (Vec<_>, Vec<_>) = (0..shared.shards).map(|_| lanes()).unzip();
    let (action_lanes, accept_lanes): (Vec<_>, Vec<_>) = to_shards.into_iter().unzip();
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
        time: LivedTime::starting(clock.mono()),
    };

    let mut running = Running {
        addresses: listeners.addresses,
        shared: shared.clone(),
        accepting: None,
        acceptor: None,
        core: None,
        shards: Vec::new(),
    };
    let rest = shared.events.rest();
    running.core = Some(thread("core", move || driver.run(&rest))?);
    for (index, inbox) in (0..).zip(inboxes) {
        let shared = shared.clone();
        running
            .shards
            .push(thread("shard", move || shard::run(index, shared, inbox))?);
    }
    let (accepting, stop) = oneshot::channel();
    running.accepting = Some(accepting);
    running.acceptor = Some(thread("accept", move || {
        accept_all(listeners, &shared, &accept_lanes, stop)
    })?);
    Ok(running)
}

type Lanes = (
    mpsc::Sender<Vec<crate::execute::ShardAction>>,
    mpsc::Sender<Accepted>,
);

fn lanes() -> (Lanes, Inbox) {
    let (actions_to, actions) = mpsc::channel(SHARD_BATCHES_MAX);
    let (accepted_to, accepted) = mpsc::channel(accept::WAITING_MAX);
    ((actions_to, accepted_to), Inbox { actions, accepted })
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
    let metrics = Arc::new(Metrics::new());
    metrics.ready.set(1);
    let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Shared {
        core: config.clone(),
        limits: Limits::of(config),
        ws: settings.ws.clone(),
        ws_tls: settings.ws.tls.clone().map(TlsPort::load).transpose()?,
        cometql: settings.cometql.clone(),
        cometql_tls: cometql_tls.map(TlsPort::load).transpose()?,
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
        shards: settings
            .ws
            .shards
            .unwrap_or_else(cpus)
            .clamp(1, usize::from(u16::MAX)),
    })
}

fn thread<T: Send + 'static>(
    name: &'static str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|cause| StartError::System {
            what: "a thread",
            cause,
        })
}

fn accept_all(
    listeners: Listeners,
    shared: &Arc<Shared>,
    shards: &[mpsc::Sender<Accepted>],
    stop: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives each thread an epoll descriptor");
    LocalSet::new().block_on(&runtime, async {
        let ports = [
            (Port::Ws, Some(listeners.ws), Some(accept::room_for_browsers())),
            (Port::CometQl, listeners.cometql, None),
        ];
        for (port, listener, room) in ports {
            let Some(listener) = listener else { continue };
            match TokioListener::from_std(listener) {
                Ok(listener) => drop(tokio::task::spawn_local(accept::accept(
                    port,
                    listener,
                    room,
                    shards.to_vec(),
                ))),
                Err(error) => tracing::error!(?port, %error, "the port cannot be served"),
            }
        }
        if let Some(listener) = listeners.metrics {
            tokio::task::spawn_local(monitor(listener, shared.clone()));
        }
        if let Some(interval) = shared.statistics_interval {
            tokio::task::spawn_local(statistics::log(shared.clone(), interval));
        }
        // Resolves when the server is told to stop; the listeners close with this block.
        let _ = stop.await;
    });
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
        let listener = |bound: Option<(SocketAddr, TcpListener)>| bound.map(|(_, listener)| listener);
        Ok(Self {
            ws,
            cometql: listener(cometql),
            metrics: listener(metrics),
            addresses,
        })
    }
}

impl Running {
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
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), StoreError> {
        drop(self.accepting.take());
        join(self.acceptor.take());
        let result = match self.core.take() {
            Some(core) => {
                let events = self.shared.events.clone();
                // On a thread of its own, as the caller may be a task that must not block.
                join(std::thread::spawn(move || drop(events.blocking_send(vec![Event::Shutdown]))).into());
                core.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            None => Ok(()),
        };
        for shard in self.shards.drain(..) {
            join(Some(shard));
        }
        result
    }
}

/// A thread that panicked has said so itself.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::error!(%error, "stopped with losses");
        }
    }
}
