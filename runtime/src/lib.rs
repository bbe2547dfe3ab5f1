//! The server around the core: it executes the core's actions and owns sockets, store, clock and entropy. It has no
//! opinion about users, channels or messages.
//!
//! [`server::start`] runs a whole server inside a process; the binary `comet-server` is a thin shell around it.
//! One thread owns the core (`driver`), one thread per CPU owns connections (`shard`), one accepts them (`accept`),
//! one writes to disk (`store`). Events and actions travel between them in bounded queues (`events`, `execute`).

#![forbid(unsafe_code)]

mod accept;
pub mod cli;
mod clock;
pub mod config;
pub mod console;
mod delivery;
#[cfg(not(madsim))]
mod descriptors;
mod driver;
mod entropy;
mod events;
mod execute;
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
mod http;
#[cfg(not(madsim))]
mod io_threads;
pub mod logging;
mod memory;
mod metrics;
mod outbox;
mod record;
#[cfg(not(madsim))]
mod rt;
#[cfg(madsim)]
pub mod rt;
pub mod server;
mod shard;
mod shared;
mod socket;
mod sql;
mod statistics;
pub mod store;
mod tls;
mod turns;
mod unfinished;
mod ws;

#[cfg(madsim)]
use rt::sim::{descriptors, io_threads};
