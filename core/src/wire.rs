//! The browser protocol (protocol.md 2): text in, typed requests out; typed frames in, JSON out. Pure functions.
//!
//! Decoding runs in the connection's own task, so it never sees the state of the core. What a request *means* is
//! decided in `engine`.

mod decode;
mod frame;
pub mod json;
mod url;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU64;

pub use decode::{NAMES_MAX, decode};
pub use frame::{Content, FrameBody, encode};
pub use url::{hello, hello_to, is_ws_route, normalise_path, origin_allowed};

use serde::{Deserialize, Serialize};

use crate::id::{DevId, MessageId, UserId};
use crate::name::{Body, ChannelName, ClientUuid, EventName, Marker, SendKey, Token};

/// How frames are written for a client version (protocol.md 2.5.2), so that old client files keep working (S63).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Dialect {
    /// `v` < 4, and when the version is not known.
    V3,
    /// `v` = 4.
    V4,
    /// `v` ≥ 5: exact encoding, numbered commands (protocol-v5.md).
    V5,
}

/// The number a page of version 5 gives to a command; comes back with its result (protocol-v5.md 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommandNumber(NonZeroU64);

impl CommandNumber {
    /// The largest integer that every JavaScript number tells apart from its neighbours.
    pub const MAX: u64 = (1 << 53) - 1;

    /// A number from 1 to `MAX`, decimal digits only.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 16 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = text.parse().ok().and_then(NonZeroU64::new)?;
        (number.get() <= Self::MAX).then_some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

/// A text message of a browser, decoded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Command {
    /// Version 5: the number its result carries.
    pub number: Option<CommandNumber>,
    /// What it asks for, or what is wrong with it.
    pub request: Result<ClientRequest, BadRequest>,
}

/// What the URL of a good connection said (protocol.md 2.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Tenant, already 0 if the number was bad or beyond `dev_index_size`.
    pub dev: DevId,
    /// The claimed user, `None` = anonymous.
    pub user: Option<UserId>,
    /// The key or JWT, `None` if empty, `undefined`, `null` or longer than 600 bytes (Q6).
    pub key: Option<Token>,
    /// Frame dialect.
    pub dialect: Dialect,
    /// Chosen by the browser.
    pub uuid: ClientUuid,
}

/// A connection that gets F15 and is closed (protocol.md 2.2, 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Dialect for the F15; `V3` when the version is not known.
    pub dialect: Dialect,
    /// What was wrong.
    pub reason: RefusalReason,
}

/// The fatal errors of protocol.md 2.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum RefusalReason {
    /// `sesion` or `myid` is absent: 401.
    NoCredentials,
    /// `devid` is absent: 406.
    NoDevId,
    /// `v` is absent or malformed: 418.
    BadVersion,
    /// The Origin is not on the allow-list: 423.
    OriginRefused,
}

impl RefusalReason {
    /// The number in the frame.
    pub const fn number(self) -> u16 {
        match self {
            Self::NoCredentials => 401,
            Self::NoDevId => 406,
            Self::BadVersion => 418,
            Self::OriginRefused => 423,
        }
    }

    /// A text for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoCredentials => "sesion and myid are required",
            Self::NoDevId => "devid is required",
            Self::BadVersion => "the client version is missing or malformed",
            Self::OriginRefused => "this origin is not allowed",
        }
    }

    /// The reason in one word, for V5.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::NoDevId => "no_dev_id",
            Self::BadVersion => "bad_version",
            Self::OriginRefused => "origin_refused",
        }
    }
}

/// A command of a browser, checked (protocol.md 2.6, protocol-v5.md 1).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ClientRequest {
    /// `subscription`, `subscribe`, `unsubscribe`.
    Subscribe(Subscribe),
    /// `web_pipe2`: send into a channel.
    Send(SendRequest),
    /// `pipe_log`: ask for history.
    History { channel: ChannelName, marker: Marker },
    /// `pipe_count`: ask for the number of subscribers. The name begins `web_` or `track_`.
    Count { channel: ChannelName, marker: Marker },
    /// `track_pipe_users`: ask who is subscribed. The name begins `track_`.
    TrackUsers { channel: ChannelName, marker: Marker },
    /// `user_data`: ask for a user's public text.
    UserData { marker: Marker, user: UserId },
    /// `user_status`: ask when a user was last online.
    UserStatus { user: UserId },
    /// `statistics`: counted, otherwise ignored.
    Statistics,
    /// `ack`: the page has handled this private message and everything sent before it. V5 only.
    Ack(MessageId),
}

/// What the names of a [`Subscribe`] do to the set of channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SubscribeMode {
    /// `subscription`: they are the new set.
    #[default]
    Replace,
    /// `subscribe`, V5 only.
    Add,
    /// `unsubscribe`, V5 only.
    Remove,
}

/// A change of a connection's channels.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Subscribe {
    /// What to do with the names.
    pub mode: SubscribeMode,
    /// In the order given, without duplicates (Q19). Without `msg`, which is implicit (protocol.md 3).
    /// Not yet looked at: the number of names and `private_*`, which depend on the connection.
    pub names: Vec<ChannelName>,
    /// Names of a wrong length, cut to at most 64 bytes for the report; one F14 each.
    pub refused: Vec<Arc<str>>,
    /// How many more names were dropped without being kept: those of a wrong length beyond the 32 in `refused`, and
    /// any name beyond [`NAMES_MAX`] in `names`. One F14 for all.
    pub refused_more: usize,
}

/// A `web_pipe2` command whose texts are well-formed; whether the channel may be written is decided by its kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SendRequest {
    /// The channel, without `@`.
    pub channel: ChannelName,
    /// `@` was given: send as user 0.
    pub anonymous: bool,
    /// Event, may be empty.
    pub event: EventName,
    /// The text, verbatim.
    pub body: Body,
    /// What makes the message the same on every attempt (protocol-v5.md 3). Means nothing for V3 and V4.
    pub key: Option<SendKey>,
}

/// A command that is answered by F14 and otherwise ignored. The connection stays open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BadRequest {
    /// What was wrong.
    pub reason: BadReason,
    /// Which extra keys the F14 carries.
    pub extra: ErrorExtra,
    /// `Some` for a refused `web_pipe2` with a syntactically valid channel name: gets the report copy (Q23).
    pub report_to: Option<ChannelName>,
}

/// What was wrong with a command.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum BadReason {
    /// The first line is no command.
    UnknownCommand,
    /// `web_pipe`, `CometQL_call`, `cgi_call` (Q26).
    NotSupported,
    /// A channel name is malformed.
    BadChannel,
    /// The channel's kind does not allow the command.
    ChannelRefused,
    /// The event is malformed.
    BadEvent,
    /// The marker is malformed.
    BadMarker,
    /// The user id is malformed.
    BadUser,
    /// A line is missing.
    Incomplete,
    /// The body is longer than `body_bytes_max`.
    BodyTooLong,
    /// Only authorized connections may do this.
    NotAuthorized,
    /// More names than `subscriptions_max`.
    TooManySubscriptions,
    /// More commands per second than allowed (Q63).
    TooManyCommands,
    /// The store does not accept writes at present.
    StoreUnavailable,
    /// The id of an `ack` is malformed.
    BadMessageId,
    /// Too many wrong keys came from this address; the connection is closed.
    TooManyFailures,
    /// The tenant has no room for more of this.
    QuotaExceeded,
    /// Too many connections of this address; the connection is closed.
    TooManyConnections,
    /// The memory limit is reached (protocol.md 8.7).
    ServerFull,
}

impl BadReason {
    /// A text for people; not part of the contract.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownCommand => "unknown command",
            Self::NotSupported => "command not supported",
            Self::BadChannel => "invalid channel name",
            Self::ChannelRefused => "this channel does not allow this command",
            Self::BadEvent => "invalid event name",
            Self::BadMarker => "invalid marker",
            Self::BadUser => "invalid user id",
            Self::Incomplete => "incomplete command",
            Self::BodyTooLong => "message too long",
            Self::NotAuthorized => "authorization required",
            Self::TooManySubscriptions => "too many subscriptions",
            Self::TooManyCommands => "too many commands",
            Self::StoreUnavailable => "the server cannot store messages at present",
            Self::BadMessageId => "invalid message id",
            Self::TooManyFailures => "too many wrong keys, try again later",
            Self::QuotaExceeded => "the quota of this dev_id is used up",
            Self::TooManyConnections => "too many connections from this address",
            Self::ServerFull => "the server is full",
        }
    }

    /// The reason in one word, for V5.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownCommand => "unknown_command",
            Self::NotSupported => "not_supported",
            Self::BadChannel => "bad_channel",
            Self::ChannelRefused => "channel_refused",
            Self::BadEvent => "bad_event",
            Self::BadMarker => "bad_marker",
            Self::BadUser => "bad_user",
            Self::Incomplete => "incomplete",
            Self::BodyTooLong => "message_too_long",
            Self::NotAuthorized => "not_authorized",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::TooManyCommands => "too_many_commands",
            Self::StoreUnavailable => "store_unavailable",
            Self::BadMessageId => "bad_message_id",
            Self::TooManyFailures => "too_many_failures",
            Self::QuotaExceeded => "quota_exceeded",
            Self::TooManyConnections => "too_many_connections",
            Self::ServerFull => "server_full",
        }
    }
}

/// Keys an F14 carries beside `error`, so that the page can tell which of its calls failed (protocol.md 2.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ErrorExtra {
    /// None.
    Plain,
    /// `code`: "403" (refused subscription).
    Code403,
    /// `number_messages`: -1 (`web_pipe2`, `pipe_count`).
    NumberMessages,
    /// `user_id`: -1 (`track_pipe_users`).
    UserId,
    /// `user_id`: -1, `user_data`: "" (`user_data`).
    UserData,
}

/// Raw header values of an upgrade request, as bytes from the network.
#[derive(Clone, Copy, Default, Debug)]
pub struct RequestHeaders<'a> {
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// `Accept-Language`.
    pub language: &'a [u8],
    /// `Origin`, if there was one.
    pub origin: Option<&'a [u8]>,
}

impl RequestHeaders<'_> {
    /// Cuts to the lengths of protocol.md 2.2, between characters; bytes that are no UTF-8 become U+FFFD.
    pub fn client_info(&self, ip: IpAddr) -> crate::event::ClientInfo {
        crate::event::ClientInfo {
            user_agent: cut(self.user_agent, 250),
            language: cut(self.language, 64),
            origin: self.origin.map(|origin| cut(origin, 250)),
            ip: Some(ip),
        }
    }
}

fn cut(bytes: &[u8], max: usize) -> Arc<str> {
    let text = String::from_utf8_lossy(bytes);
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}
