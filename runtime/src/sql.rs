//! CometQL sessions: MySQL clients on TCP, driven through `comet-mysql` (protocol.md 7.1, 7.2), and those of our own pages.

mod internal;
mod login;
mod mailbox;
mod params;
mod reply;
mod session;
mod statement;

pub(crate) use internal::{InternalSession, Unanswered, with_session};
pub(crate) use login::{NotLetIn, decide_plain};
pub(crate) use mailbox::Mailbox;
pub(crate) use session::serve;
pub(crate) use statement::info;
