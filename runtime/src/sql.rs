//! CometQL sessions: MySQL clients on TCP, driven through `comet-mysql` (protocol.md 7.1, 7.2).

mod login;
mod mailbox;
mod params;
mod reply;
mod session;

pub(crate) use mailbox::Mailbox;
pub(crate) use session::serve;
