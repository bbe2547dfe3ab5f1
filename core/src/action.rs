//! Everything the core can want from the world, as plain data.
//!
//! The core promises: exactly one `Reply` per `Query`; `OpId`s ascend without gaps; nothing is sent to a connection
//! before its `Opened` or after its `Close`. The runtime promises: actions are executed in order; per connection,
//! frames and probes keep their order; an action for a connection that is gone is dropped; the replies of one
//! session leave in the order of its queries; every `OpId` is eventually covered by `Persisted`.

use alloc::string::String;
use alloc::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::cometql::Rows;
use crate::error::QueryError;
use crate::event::CloseCause;
use crate::id::{ConnId, MessageId, OpId, RequestId, SessionId};
use crate::record::Record;

/// One thing to do.
#[derive(Clone, PartialEq, Debug, Hash)]
pub enum Action {
    /// Send one text frame. Never waits for the store.
    Send {
        /// To whom.
        to: Recipients,
        /// The same bytes for everybody.
        frame: Frame,
    },
    /// Send a WebSocket Ping whose payload is `probe` in 16 big-endian bytes, behind the frames sent before.
    Probe {
        /// To whom.
        conn: ConnId,
        /// The newest private message before it.
        probe: MessageId,
    },
    /// Flush what was sent, then close the TCP connection without a Close frame (Q9). Nothing follows.
    Close {
        /// Whom.
        conn: ConnId,
        /// Why, for log and counters.
        cause: CloseCause,
    },
    /// Answer a statement.
    Reply {
        /// Whose statement.
        session: SessionId,
        /// Which statement.
        req: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Close a CometQL session's TCP connection.
    CloseSession {
        /// Whose.
        session: SessionId,
    },
    /// Write a record. The records are numbered in order and must reach the disk in order.
    Persist {
        /// Its number.
        op: OpId,
        /// The change.
        record: Record,
    },
    /// `ready` changed: false while writes fail (design: write first, then acknowledge).
    Ready(bool),
    /// How much room the memory limit leaves has changed. While there is `Room::None`, the caller refuses connections
    /// and sessions before they cost anything, and cuts those who let most wait.
    Room(Room),
}

/// What there is room for (protocol.md 8.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash, Serialize, Deserialize)]
pub enum Room {
    /// Everything.
    #[default]
    Enough,
    /// Not for what would be stored; who comes is welcome.
    ToCome,
    /// For nothing new.
    None,
}

impl Room {
    /// Its name in SHOW GLOBAL MEMORY.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enough => "normal",
            Self::ToCome => "nothing_is_stored",
            Self::None => "full",
        }
    }
}

/// Who gets a frame.
#[derive(Clone, PartialEq, Debug, Hash)]
pub enum Recipients {
    /// One connection.
    One(ConnId),
    /// Everybody in an ascending list, which is shared between the messages of a channel.
    Many {
        /// Ascending, without duplicates.
        list: Arc<[ConnId]>,
        /// The sender, if it is in the list: does not get its own message (Q58).
        except: Option<ConnId>,
    },
}

/// One encoded text frame: JSON on one line. UTF-8 by construction.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Frame(Bytes);

impl Frame {
    /// Wraps encoded text.
    pub fn new(text: String) -> Self {
        Self(Bytes::from(text.into_bytes()))
    }

    /// The payload of the text frame.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The payload as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl core::fmt::Debug for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to a statement.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct Reply {
    /// What came out.
    pub result: Result<Answer, QueryError>,
    /// The session is between BEGIN and COMMIT: status flag 0001 (protocol.md 7.1).
    pub in_transaction: bool,
}

/// A statement that worked.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// An OK packet.
    Done(Done),
    /// A result set.
    Rows(Rows),
}

/// Contents of an OK packet (protocol.md 7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Done {
    /// Rows stored, replaced or deleted.
    pub affected: u64,
    /// Insert id.
    pub insert_id: u64,
    /// Present for message INSERTs.
    pub delivered: Option<Delivered>,
}

/// The info text of a message INSERT: `delivered=<connections> queued=<messages>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
pub struct Delivered {
    /// Connections the messages were sent to.
    pub connections: u64,
    /// Private messages that wait in a queue.
    pub queued: u64,
}
