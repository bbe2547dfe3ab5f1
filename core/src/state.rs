//! The data the engine works on. These modules keep their own invariants, know no rules and never make actions.

mod accepted;
mod clients;
mod connections;
mod conns;
mod debts;
mod durable;
mod journal;
mod memory;
mod stored;
mod subscribers;
mod tenant;
mod timers;

pub(crate) use accepted::{Accepted, Published};
pub(crate) use clients::{Client, Clients};
pub(crate) use connections::Connections;
pub(crate) use conns::{Conn, Conns, Probe, Reading, Sent};
pub(crate) use debts::{Debts, GoneId, Held, Party};
pub(crate) use durable::effective_length;
pub use durable::{Durable, DurableChannel, DurableTenant, DurableUser, LastSeen};
pub(crate) use journal::{Address, Author, Device, Entry, Fact, Journal, Message, What};
pub use memory::{Account, Category, Usage};
pub(crate) use memory::{cost, shrink, text};
pub use stored::Stored;
pub(crate) use subscribers::{Audience, Subscribers};
pub(crate) use tenant::{LiveTenant, LiveUser, Tenants};
pub(crate) use timers::{Timer, Timers};
