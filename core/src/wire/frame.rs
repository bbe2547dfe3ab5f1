//! Server frames F1 to F15 (protocol.md 2.5.1, 2.5.2) and the results of version 5 (protocol-v5.md 1, 2).
//!
//! Promises one JSON object per frame, whatever texts are in it, that the clients of its dialect read as it was meant.
//! Knows nothing of connections: who gets a frame, and when, is the engine's business.

mod writer;

use alloc::string::String;
use alloc::sync::Arc;

use super::{BadReason, CommandNumber, Dialect, ErrorExtra, RefusalReason};
use crate::action::Frame;
use crate::id::{MessageId, UserId};
use crate::name::{ClientUuid, Marker};
use crate::time::UnixSeconds;

use writer::Writer;

/// The content of one server frame. The numbers are those of protocol.md 2.5.2.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FrameBody<'a> {
    /// F1. `key` is what the client itself presented, if it was a hash and right; else empty (Q28).
    ServerInfo {
        server: &'a str,
        authorized: bool,
        key: &'a str,
    },
    /// F2 and F3, live: never `history`, never a marker (S48, S50, S52). `sender`: `None` = sent by CometQL; `Some(None)` = a browser that is anonymous or used `@`.
    Message {
        channel: &'a str,
        event: &'a str,
        body: &'a str,
        sender: Option<Option<UserId>>,
        /// Told to V5 only.
        id: Option<MessageId>,
    },
    /// F4 and F5. `pipe` is "msg" (S14), and the event is told so that pages can choose (S13).
    Private {
        event: &'a str,
        body: &'a str,
        id: MessageId,
        from_queue: bool,
    },
    /// F6. The marker is used by V3 only, and only if it is not `undefined`; the id by V5 only.
    History {
        channel: &'a str,
        event: &'a str,
        body: &'a str,
        sender: Option<UserId>,
        marker: &'a Marker,
        id: MessageId,
    },
    /// F7.
    UserStatus { user: UserId, online: bool },
    /// F8.
    Track {
        channel: &'a str,
        joined: bool,
        user: Option<UserId>,
        uuid: &'a ClientUuid,
    },
    /// F9: what `#channel` subscribers see (S31), with the number of receivers (S45). The body is not told to V5, that
    /// the message was accepted before is told to nobody else.
    Report {
        channel: &'a str,
        receivers: u64,
        body: &'a str,
        /// Told to V5 only.
        id: Option<MessageId>,
        error: Option<BadReason>,
        repeated: bool,
    },
    /// F10.
    Count { marker: &'a Marker, users: u64 },
    /// F11.
    TrackUsers {
        channel: &'a str,
        marker: &'a Marker,
        users: &'a [(Option<UserId>, ClientUuid)],
    },
    /// F12.
    UserData {
        marker: &'a Marker,
        user: UserId,
        data: &'a str,
    },
    /// F13. Seconds since last online, 0 = online now, -1 = unknown.
    LastOnline { user: UserId, seconds: i64 },
    /// F14. `detail` is added to the text for people, for instance the refused name.
    Error {
        reason: BadReason,
        extra: ErrorExtra,
        detail: &'a str,
    },
    /// The copy of an F14 on `_answer_to_<channel>`, event `error` (Q23).
    ErrorReport {
        channel: &'a str,
        reason: BadReason,
        extra: ErrorExtra,
    },
    /// F15.
    Fatal { reason: RefusalReason },
    /// V5: the result of `subscription`, `subscribe` and `unsubscribe`. An empty name stands for several.
    Subscribed {
        channels: usize,
        refused: &'a [(BadReason, Arc<str>)],
    },
    /// V5: the result of `pipe_log`, after its messages.
    HistoryEnd { messages: u64 },
    /// V5: the result of a command that has nothing to tell, with its word.
    Done { command: &'static str },
}

/// A frame's content with its `message_send_time`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Content<'a> {
    /// What is told.
    pub body: FrameBody<'a>,
    /// `re`: which command this answers. Told to V5 only.
    pub answers: Option<CommandNumber>,
    /// `message_send_time`.
    pub time: UnixSeconds,
}

/// Writes a frame in a dialect: one JSON object, for V3 and V4 on one line and under the rules E1 to E7.
///
/// Keys come in the order of protocol.md Appendix A: `pipe`, `event`, what belongs to the answer, `data`, the rest,
/// `message_send_time`.
pub fn encode(content: &Content<'_>, dialect: Dialect) -> Frame {
    let room = String::with_capacity(capacity(&content.body));
    Frame::new(Writer::new(room, dialect, content.answers).write(&content.body, content.time))
}

/// A guess that saves growing: room for the constant part, and for a quarter of the body being escapes.
fn capacity(body: &FrameBody<'_>) -> usize {
    let text = match body {
        FrameBody::Message { body, .. }
        | FrameBody::Private { body, .. }
        | FrameBody::History { body, .. }
        | FrameBody::Report { body, .. } => body.len(),
        FrameBody::UserData { data, .. } => data.len(),
        FrameBody::TrackUsers { users, .. } => users.len() * 64,
        FrameBody::ServerInfo { .. }
        | FrameBody::UserStatus { .. }
        | FrameBody::Track { .. }
        | FrameBody::Count { .. }
        | FrameBody::LastOnline { .. }
        | FrameBody::Error { .. }
        | FrameBody::ErrorReport { .. }
        | FrameBody::Fatal { .. }
        | FrameBody::Subscribed { .. }
        | FrameBody::HistoryEnd { .. }
        | FrameBody::Done { .. } => 0,
    };
    256 + text + text / 4
}

#[cfg(test)]
mod tests;
