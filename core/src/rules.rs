//! What a tenant may use: how fast, how much, and from which pages. 0 means no limit everywhere.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::limit::Rate;

/// The rules of one tenant (protocol.md 8.6).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// How fast.
    pub rates: Rates,
    /// How much.
    pub quota: Quota,
    /// Origins that may connect to this tenant, instead of those of the server; `None` = those of the server.
    pub origins: Option<Vec<String>>,
}

/// How fast a connection, a user and a whole tenant may be, in turns per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rates {
    /// One browser connection.
    pub connection: Pace,
    /// All connections of one proven user.
    pub user: Pace,
    /// All connections of the tenant.
    pub tenant: Pace,
    /// CometQL statements of the tenant that read, store or send something.
    pub statements: u32,
    /// How many seconds' worth of turns can be saved up. At least 1.
    pub burst_s: u32,
}

/// Turns per second, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Commands of any kind but `ack`.
    pub commands: u32,
    /// Messages, `web_pipe2`.
    pub messages: u32,
    /// Channel names asked for in subscriptions.
    pub subscriptions: u32,
}

/// How much a tenant may have at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Browser connections.
    pub connections: u64,
    /// CometQL sessions.
    pub sessions: u64,
    /// Users online.
    pub users_online: u64,
    /// Subscriptions of all its connections.
    pub subscriptions: u64,
    /// Users with a key, data, a last-online time or a queue.
    pub users: u64,
    /// Channels with a setting or a history.
    pub channels: u64,
    /// Messages in queues and histories.
    pub messages: u64,
    /// Bytes of stored messages, user data and revoked tokens.
    pub bytes: u64,
}

/// A kind of thing that can be too fast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    Command,
    Message,
    Subscription,
    Statement,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            connection: Pace::default(),
            user: Pace::default(),
            tenant: Pace::default(),
            statements: 0,
            burst_s: 5,
        }
    }
}

impl Pace {
    /// Turns per second; 0 = no limit.
    pub(crate) const fn of(self, kind: Kind) -> u32 {
        match kind {
            Kind::Command => self.commands,
            Kind::Message => self.messages,
            Kind::Subscription => self.subscriptions,
            Kind::Statement => 0,
        }
    }
}

impl Rates {
    /// No browser is ever too fast.
    pub(crate) fn browsers_are_free(&self) -> bool {
        [self.connection, self.user, self.tenant] == [Pace::default(); 3]
    }

    /// The bucket of so many turns per second; `None` = no limit.
    pub(crate) fn bucket(&self, per_second: u32) -> Option<Rate> {
        (per_second > 0).then(|| Rate::per_second(per_second.into(), self.burst_s.max(1).into()))
    }
}

/// Whether `more` fit beside what there is.
pub(crate) const fn fits(max: u64, now: u64, more: u64) -> bool {
    max == 0 || now.saturating_add(more) <= max
}
