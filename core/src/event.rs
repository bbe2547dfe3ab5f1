//! Everything that can happen to the core, in one closed list.

use alloc::sync::Arc;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::cometql::Statement;
use crate::error::QueryError;
use crate::id::{ConnId, DevId, MessageId, OpId, RequestId, SessionId};
use crate::wire::{Command, Hello, Refusal};

/// One thing that happened. Decoding runs in the connection's own task; its result, good or bad, is the event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A browser finished its WebSocket handshake. First event of its connection.
    Opened {
        /// The new connection; never used before.
        conn: ConnId,
        /// What the URL said.
        hello: Result<Hello, Refusal>,
        /// What the request headers said.
        client: Arc<ClientInfo>,
    },
    /// A browser sent a text message.
    Request {
        /// The sender.
        conn: ConnId,
        /// The decoded command.
        command: Command,
    },
    /// A probe came back: everything sent to the connection before it has arrived (protocol.md 5.1).
    ProbeAnswered {
        /// The answering connection.
        conn: ConnId,
        /// The payload that came back.
        probe: MessageId,
    },
    /// The connection is gone; nothing about it follows.
    Closed {
        /// The dead connection.
        conn: ConnId,
        /// Why, for the counters.
        cause: CloseCause,
    },
    /// A CometQL client logged in, or changed its user.
    SessionOpened {
        /// The session; a known one changes its tenant.
        session: SessionId,
        /// What the login allows.
        login: Login,
        /// The database the client named; empty if none. `SELECT DATABASE()` shows it.
        database: Arc<str>,
    },
    /// A CometQL session sent a statement. Answered by exactly one `Action::Reply`.
    Query {
        /// The sender.
        session: SessionId,
        /// The number the reply carries.
        req: RequestId,
        /// The parsed statement.
        statement: Result<Statement, QueryError>,
    },
    /// The CometQL session is gone; its unanswered requests are still answered, to nobody.
    SessionClosed {
        /// The dead session.
        session: SessionId,
    },
    /// Every record up to and including this one is on disk, also those of an earlier `PersistFailed`.
    Persisted {
        /// The newest safe record.
        upto: OpId,
    },
    /// Writing failed. The store keeps the records in order and tries again; `Persisted` ends the trouble.
    PersistFailed {
        /// The newest record of the failed attempt.
        upto: OpId,
    },
    /// What the caller uses of the memory budget for what the core does not see. Told whenever it has changed by a
    /// noticeable part of the limit.
    Memory(Outside),
    /// The server is told to stop. Answered by the last records; the runtime then waits for `Persisted`.
    Shutdown,
    /// Nothing happened but time.
    Tick,
}

/// Memory of the caller, bytes, each as close to the truth as can be known cheaply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Outside {
    /// Frames that were not written yet, each counted once however many receive it, and the queues they wait in.
    pub frames: u64,
    /// What browsers have sent of messages and requests that are not complete.
    pub input: u64,
    /// Sockets and the tasks that serve them.
    pub sockets: u64,
    /// CometQL sessions: input, results, prepared statements.
    pub sessions: u64,
    /// Events that wait for the core.
    pub events: u64,
    /// Records that wait for the disk.
    pub records: u64,
}

impl Outside {
    /// Names and figures, in the order of SHOW GLOBAL MEMORY.
    pub const fn parts(&self) -> [(&'static str, u64); 6] {
        [
            ("frames", self.frames),
            ("input", self.input),
            ("sockets", self.sockets),
            ("sql_buffers", self.sessions),
            ("events", self.events),
            ("records", self.records),
        ]
    }

    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.parts().iter().map(|(_, bytes)| bytes).sum()
    }
}

/// What a login allows (protocol.md 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Login {
    /// Full access to one tenant.
    Tenant(DevId),
    /// A load balancer's health check: every statement is answered 403.
    HealthCheck,
}

/// Facts about a browser that `users_in_pipes` shows (protocol.md 7.11).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClientInfo {
    /// `User-Agent`, at most 250 bytes.
    pub user_agent: Arc<str>,
    /// `Accept-Language`, at most 64 bytes.
    pub language: Arc<str>,
    /// `Origin`, at most 250 bytes; `None` if the request had none.
    pub origin: Option<Arc<str>>,
    /// Address of the browser, behind trusted proxies; `None` is shown as an empty text.
    pub ip: Option<IpAddr>,
}

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum CloseCause {
    /// The browser went away.
    Peer,
    /// Its socket failed.
    Io,
    /// It broke the WebSocket protocol.
    Protocol,
    /// Its send buffer was full.
    SlowConsumer,
    /// Nothing was heard of it for 2.5 ping intervals.
    Silent,
    /// It left a probe unanswered.
    AckTimeout,
    /// A fatal F15 was sent.
    Refused,
    /// Its user's key or token was deleted or revoked (protocol.md 4.3).
    Kicked,
    /// Too many wrong keys came from its address (protocol.md 4.7).
    Throttled,
    /// Its tenant has no room for another one (protocol.md 8.6).
    Quota,
    /// It was older than the allowed uptime.
    TooOld,
    /// The server stops.
    Shutdown,
    /// The memory limit is reached.
    NoMemory,
}

impl CloseCause {
    /// Every cause, for counters.
    pub const ALL: [Self; 13] = [
        Self::Peer,
        Self::Io,
        Self::Protocol,
        Self::SlowConsumer,
        Self::Silent,
        Self::AckTimeout,
        Self::Refused,
        Self::Kicked,
        Self::Throttled,
        Self::Quota,
        Self::TooOld,
        Self::Shutdown,
        Self::NoMemory,
    ];

    /// A short label for logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Io => "io",
            Self::Protocol => "protocol",
            Self::SlowConsumer => "slow_consumer",
            Self::Silent => "silent",
            Self::AckTimeout => "ack_timeout",
            Self::Refused => "refused",
            Self::Kicked => "kicked",
            Self::Throttled => "throttled",
            Self::Quota => "quota",
            Self::TooOld => "too_old",
            Self::Shutdown => "shutdown",
            Self::NoMemory => "no_memory",
        }
    }
}
