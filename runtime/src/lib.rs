//! The server around the core: it executes the core's actions and owns sockets, store, clock and entropy. It has no
//! opinion about users, channels or messages.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod host;
pub mod logging;
pub mod store;
