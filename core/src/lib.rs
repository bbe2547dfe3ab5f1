//! Every rule of comet-server as one synchronous, deterministic state machine.
//!
//! `Core::handle(now, event, &mut actions)` is the only door: everything that can happen is an [`Event`], everything
//! that must happen is an [`Action`]. Time, entropy and the results of writing to disk arrive in events. The crate
//! is `no_std`: it has no socket, clock, thread, file or random source, so the same events give the same actions
//! on any machine, which the simulator relies on.
//!
//! Decoding and encoding (`wire`, `cometql`) are pure functions that run in the connection's own task.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
pub mod cometql;
mod config;
mod engine;
mod error;
mod event;
mod id;
pub mod limit;
mod name;
mod record;
pub mod recording;
mod rules;
mod state;
mod time;
pub mod wire;

pub use action::{Action, Answer, Delivered, Done, Frame, Recipients, Reply, Room};
pub use config::{CheckedConfig, Config, ConfigError};
pub use engine::{CheckpointError, Core, Refused};
pub use error::{ErrorCode, QueryError};
pub use event::{ClientInfo, CloseCause, Event, Login, Outside};
pub use id::{ConnId, DevId, MessageId, OpId, RequestId, Seq, SessionId, UserId};
pub use name::{
    AuthHash, Body, ChannelKind, ChannelName, ClientUuid, EventName, Marker, NameError, Secret, SendKey,
    Token, is_name_byte, same_secret,
};
pub use record::{HistoryLength, HistoryMessage, QueuedMessage, Record, Removal};
pub use rules::{Pace, Quota, Rates, Rules};
pub use state::{
    Account, Category, Durable, DurableChannel, DurableTenant, DurableUser, LastSeen, Stored, Usage,
};
pub use time::{Mono, Now, UnixMillis, UnixSeconds};
