//! The world below this crate: threads, timers, sockets, the delays of a disk.
//!
//! There are two of it. `real` is tokio, the kernel and the machine, and adds nothing to them. `sim` exists in builds with
//! `--cfg madsim` only: threads are tasks there, time is virtual, sockets and their network are simulated, and one
//! seed decides about all of it (docs/testing.md, "The runtime in a simulated world"). Everything else in this crate is
//! the same code in both, and takes from here whatever could tell it which world it is in.
//! The two have the same names; what they promise is said in `real`.

#[cfg(not(madsim))]
mod real;
#[cfg(madsim)]
pub mod sim;

#[cfg(not(madsim))]
pub(crate) use real::*;
#[cfg(madsim)]
pub(crate) use sim::*;
