//! What every thread of a running server may look at: settings that do not change, switches that do, counters.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use comet_core::CheckedConfig;
use comet_core::cometql::Limits;
use comet_core::limit::Throttle;

use crate::clock::Clock;
use crate::config::{CometQlSettings, WsSettings};
use crate::entropy::Entropy;
use crate::events::EventSender;
use crate::http::Site;
use crate::metrics::Metrics;
use crate::tls::TlsPort;

/// One per server, shared by its threads.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the core obeys; decoding and parsing need some of it.
    pub(crate) core: CheckedConfig,
    /// What the parser needs of it.
    pub(crate) limits: Limits,
    /// The browser port.
    pub(crate) ws: WsSettings,
    /// TLS of the browser port.
    pub(crate) ws_tls: Option<TlsPort>,
    /// The CometQL port, if it is on.
    pub(crate) cometql: Option<CometQlSettings>,
    /// TLS of the CometQL port.
    pub(crate) cometql_tls: Option<TlsPort>,
    /// Failed logins on the CometQL port and in the console.
    pub(crate) logins: Mutex<Throttle>,
    /// Pages and files.
    pub(crate) site: Site,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) metrics: Arc<Metrics>,
    /// The way into the core.
    pub(crate) events: EventSender,
    /// What the core said last about writing to disk.
    pub(crate) ready: Arc<AtomicBool>,
    /// How often the log tells rates.
    pub(crate) statistics_interval: Option<Duration>,
    /// Number of I/O threads.
    pub(crate) shards: usize,
}

impl Shared {
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

/// Where the two ports of a running server really are; port 0 in the settings means any.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// Browsers.
    pub ws: SocketAddr,
    /// MySQL clients; `None` if that port is off.
    pub cometql: Option<SocketAddr>,
    /// `/metrics` and `/ready`; `None` if they are off.
    pub metrics: Option<SocketAddr>,
}
