//! The real runtime in simulated worlds: every seed is a server with browsers and back ends, a network, a disk, and bad
//! luck (docs/testing.md, "The runtime in a simulated world").
//!
//! A crate of its own because it is built with `--cfg madsim`, which the rest of the tests cannot be.

#![forbid(unsafe_code)]

#[cfg(madsim)]
mod backend;
#[cfg(madsim)]
mod frames;
#[cfg(madsim)]
mod host;
#[cfg(madsim)]
mod ledger;
#[cfg(madsim)]
mod mysql;
#[cfg(madsim)]
mod page;
#[cfg(madsim)]
mod seeds;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    seeds::main()
}

#[cfg(not(madsim))]
fn main() {
    println!("built for real sockets; `cargo xtask madsim` builds and runs it for simulated ones");
}
