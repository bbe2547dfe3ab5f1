//! Whole-system tests: golden transcripts of the core, the real server on real sockets, the repository's own rules.
//!
//! The library is the harness those tests share; it knows the protocol and the server's command line, never the
//! server's insides. The rules of the repository (`tidy`, `promises`) are unit tests of this crate.

#![forbid(unsafe_code)]

pub mod page;
pub mod server;
pub mod sql;
pub mod tls;

#[cfg(test)]
mod promises;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod tidy;

use std::time::Duration;

/// How long a test waits for something that has to happen. Generous: a busy machine is not a bug.
pub const DEADLINE: Duration = Duration::from_secs(30);
