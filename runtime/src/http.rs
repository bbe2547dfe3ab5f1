//! HTTP on the browser port (protocol.md 2.1) up to the point where a request becomes a WebSocket.
//!
//! hyper reads requests and writes answers; what a path means is in `routes`. Every connection serves one request,
//! because every answer says `Connection: close`.

mod access;
mod answer;
mod assets;
mod connection;
mod console;
mod demo;
mod endpoint;
pub(crate) mod fuzzing;
mod json;
mod monitor;
mod pages;
mod proxies;
mod routes;
mod site;
mod static_files;

pub(crate) use connection::serve;
pub(crate) use monitor::monitor;
pub(crate) use site::Site;
