//! Browsers on WebSockets (protocol.md 2.3 – 2.5): handshake, reading, writing, keep-alive.

pub(crate) mod accept;
pub(crate) mod conn;
pub(crate) mod connections;
pub(crate) mod decoder;
pub(crate) mod frame;
pub(crate) mod keepalive;
pub(crate) mod reader;
