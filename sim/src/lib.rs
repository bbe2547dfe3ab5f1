//! Deterministic simulation of comet-server: the shipped core among simulated browsers, back ends, networks, disks
//! and clocks, against a reference model that knows what must, may and must not happen (protocol.md, above all 5.1).
//!
//! A run is a pure function of its script, a script one of its seed. Nothing here reads a clock, opens a file (but for
//! `recording::files`, which reads those of real servers) or
//! asks for a random number but the binary's own front end.

#![forbid(unsafe_code)]

pub mod address;
pub mod backend;
pub mod browser;
pub mod console;
pub mod disk;
pub mod fault;
pub mod generate;
pub mod law;
pub mod linear;
pub mod model;
pub mod names;
pub mod network;
pub mod planted;
mod planted_actions;
mod planted_delivery;
mod planted_early;
mod planted_exact;
mod planted_limits;
pub mod prng;
pub mod profile;
pub mod recording;
pub mod seen;
pub mod shrink;
pub mod step;
pub mod world;

pub use fault::{Fault, Faults};
pub use generate::generate;
pub use planted::{Bug, Planted};
pub use step::Script;
pub use world::{Outcome, run, run_recording, run_restoring};
