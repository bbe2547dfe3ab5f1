//! One thing that is known of a message, and how it is said.

use alloc::format;
use alloc::string::{String, ToString as _};

use crate::cometql::{Cell, Row};
use crate::id::{ConnId, SessionId, UserId};
use crate::name::ClientUuid;
use crate::state::{Address, Author, Device, What};
use crate::time::UnixMillis;

/// The channel that stands for private messages, as in frames.
pub(in crate::engine) const PRIVATE: &str = "msg";

/// One thing that is known of a message.
#[derive(Debug)]
pub(in crate::engine) struct Line {
    pub(in crate::engine) at: UnixMillis,
    pub(in crate::engine) what: &'static str,
    /// The user it is about.
    pub(in crate::engine) user: Option<UserId>,
    /// The session that did it.
    pub(in crate::engine) session: Option<SessionId>,
    /// The connection it is about.
    pub(in crate::engine) conn: Option<ConnId>,
    /// What the browser calls itself.
    pub(in crate::engine) uuid: ClientUuid,
    pub(in crate::engine) detail: String,
}

impl Line {
    pub(super) fn new(at: UnixMillis, what: &'static str, detail: impl Into<String>) -> Self {
        Self {
            at,
            what,
            user: None,
            session: None,
            conn: None,
            uuid: ClientUuid::default(),
            detail: detail.into(),
        }
    }

    pub(super) fn by_session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    pub(super) fn of_browser(mut self, uuid: &ClientUuid) -> Self {
        self.uuid = uuid.clone();
        self
    }

    pub(super) fn about(mut self, device: &Device) -> Self {
        self.user = device.user;
        self.conn = Some(device.conn);
        self.of_browser(&device.uuid)
    }

    /// What happened to a message.
    pub(super) fn of(at: UnixMillis, what: &What, to: &Address) -> Self {
        let line = |word, detail: &str| Self::new(at, word, detail);
        match what {
            What::Accepted { by, connections, .. } => {
                let line = Self::new(at, "accepted", acceptance(to, *connections));
                match by {
                    Author::Session(session) => line.by_session(*session),
                    Author::Page(device) => line.about(device),
                }
            }
            What::Repeated { by } => line("repeated", "sent again, and not published again").about(by),
            What::Sent { to } => line("sent", "").about(to),
            What::Acknowledged { by } => line("acknowledged", "").about(by),
            What::Unacknowledged { by, cause } => {
                let detail = format!("the connection ended: {}", cause.label());
                Self::new(at, "unacknowledged", detail).about(by)
            }
            What::Paid => line("delivered", "no device is left that was sent it and may want it"),
            What::Expired => line("expired", "older than main.queue_ttl"),
            What::Overwritten => line("overwritten", "newer messages took its place in the history"),
            What::Deleted { by } => line("deleted", "by a statement").by_session(*by),
            What::Shortened { by } => line("overwritten", "the history was made shorter").by_session(*by),
        }
    }

    /// As a row of EXPLAIN DELIVERY.
    pub(super) fn told(&self) -> Row {
        let who = match (self.session, self.user) {
            (Some(session), _) => format!("session {}", session.0),
            (None, Some(user)) => format!("user {}", user.get()),
            (None, None) if self.conn.is_some() => "anonymous".into(),
            (None, None) => String::new(),
        };
        let device = match self.conn {
            Some(conn) if self.uuid.is_empty() => format!("connection {}", conn.0),
            Some(conn) => format!("connection {} of {}", conn.0, self.uuid.as_str()),
            None => self.uuid.as_str().into(),
        };
        let time = self.at.to_string();
        let texts = [&time, self.what, &who, &device, &self.detail];
        texts.map(Cell::text).to_vec()
    }
}

fn acceptance(to: &Address, connections: u64) -> String {
    match to {
        Address::User(_) if connections == 0 => {
            format!("for {}, who had no authorized connection", destination(to))
        }
        Address::User(_) => format!(
            "for {}, to be sent to connections: {connections}",
            destination(to)
        ),
        Address::Channel(_) => format!("for {}, sent to connections: {connections}", destination(to)),
    }
}

/// Whom a message is for.
pub(super) fn destination(to: &Address) -> String {
    match to {
        Address::User(user) => format!("user {}", user.get()),
        Address::Channel(channel) => format!("channel {}", channel.as_str()),
    }
}
