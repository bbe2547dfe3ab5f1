//! The browser side of protocol.md 2.2–2.6 as a load generator needs it: small, without a library that would cost
//! memory per connection. Also the few server-side pieces the reference loop shares.

pub(crate) mod conn;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod message;
