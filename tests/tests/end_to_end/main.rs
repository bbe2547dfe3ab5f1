//! The real binary on real sockets, as browsers, back ends, attackers and careless administrators see it.

mod crash;
mod hostile_browsers;
mod hostile_sql;
mod pages;
mod recording;
mod restart;
mod startup;
mod tls;
