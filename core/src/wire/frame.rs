//! Server frames F1 to F15 in both dialects (protocol.md 2.5.1, 2.5.2).
//!
//! Promises one JSON object on one line, whatever texts are in it, that both JavaScript clients read as it was meant.
//! Knows nothing of connections: who gets a frame, and when, is the engine's business.

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write as _};

use super::{BadReason, Dialect, ErrorExtra, RefusalReason, json};
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
    /// F2 and F3, live: never `history`, never a marker (S48, S50, S52). `sender`: `None` = sent by CometQL; `Some(None)` = a browser that is anonymous or used `@`.
    Message {
        channel: &'a str,
        event: &'a str,
        body: &'a str,
        sender: Option<Option<UserId>>,
    },
    /// F4 and F5. `pipe` is "msg" (S14), and the event is told so that pages can choose (S13).
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
    /// F9: what `#channel` subscribers see (S31), with the number of receivers (S45).
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
///
/// Keys come in the order of protocol.md Appendix A: `pipe`, `event`, what belongs to the answer, `data`, the rest,
/// `message_send_time`.
pub fn encode(content: &Content<'_>, dialect: Dialect) -> Frame {
    let mut writer = Writer {
        out: String::with_capacity(capacity(&content.body)),
        dialect,
    };
    writer.frame(&content.body);
    writer.number("message_send_time", content.time.0);
    writer.out.push('}');
    Frame::new(writer.out)
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
        | FrameBody::Fatal { .. } => 0,
    };
    256 + text + text / 4
}

/// The user id as the wire spells it: 0 for anonymous.
fn user_number(user: Option<UserId>) -> u32 {
    user.map_or(0, UserId::get)
}

/// A frame under construction.
struct Writer {
    out: String,
    dialect: Dialect,
}

impl Writer {
    fn frame(&mut self, body: &FrameBody<'_>) {
        match *body {
            FrameBody::ServerInfo {
                server,
                authorized,
                key,
            } => self.server_info(server, authorized, key),
            FrameBody::Message {
                channel,
                event,
                body,
                sender,
            } => self.message(channel, event, body, sender),
            FrameBody::Private {
                event,
                body,
                id,
                from_queue,
            } => self.private(event, body, id, from_queue),
            FrameBody::History {
                channel,
                event,
                body,
                sender,
                marker,
            } => self.history(channel, event, body, sender, marker),
            FrameBody::UserStatus { user, online } => self.user_status(user, online),
            FrameBody::Track {
                channel,
                joined,
                user,
                uuid,
            } => self.track(channel, joined, user, uuid),
            FrameBody::Report {
                channel,
                receivers,
                body,
                error,
            } => self.report(channel, receivers, body, error),
            FrameBody::Count { marker, users } => self.count(marker, users),
            FrameBody::TrackUsers {
                channel,
                marker,
                users,
            } => self.track_users(channel, marker, users),
            FrameBody::UserData { marker, user, data } => self.user_data(marker, user, data),
            FrameBody::LastOnline { user, seconds } => self.last_online(user, seconds),
            FrameBody::Error {
                reason,
                extra,
                detail,
            } => {
                self.begin("sys", "error");
                self.error_data(reason, extra, detail);
            }
            FrameBody::ErrorReport {
                channel,
                reason,
                extra,
            } => {
                self.begin(&format!("_answer_to_{channel}"), "error");
                self.error_data(reason, extra, "");
            }
            FrameBody::Fatal { reason } => self.fatal(reason),
        }
    }

    fn server_info(&mut self, server: &str, authorized: bool, key: &str) {
        self.begin("sys", "serverInfo");
        self.string("server", server);
        self.key("authorized");
        // 3.x compares with the string (Q17).
        self.out.push_str(match (self.dialect, authorized) {
            (Dialect::V3, true) => "\"true\"",
            (Dialect::V3, false) => "\"false\"",
            (Dialect::V4, true) => "true",
            (Dialect::V4, false) => "false",
        });
        self.string("data", key);
    }

    fn message(&mut self, channel: &str, event: &str, body: &str, sender: Option<Option<UserId>>) {
        self.begin(channel, event);
        self.body(body);
        if let Some(user) = sender {
            self.number("user_id", user_number(user));
        }
    }

    fn private(&mut self, event: &str, body: &str, id: MessageId, from_queue: bool) {
        self.begin("msg", event);
        self.body(body);
        self.key("uuid");
        push_display(&mut self.out, format_args!("\"{id}\""));
        if from_queue {
            self.key("fromQueue");
            self.out.push_str("true");
        }
    }

    fn history(&mut self, channel: &str, event: &str, body: &str, sender: Option<UserId>, marker: &Marker) {
        self.begin(channel, event);
        self.body(body);
        self.number("user_id", user_number(sender));
        self.key("history");
        self.out.push_str("true");
        self.key("fromQueue");
        self.out.push_str("true");
        // A marker would make history invisible in 4.x; 3.25 without callback sends `undefined` (2.6.3).
        if self.dialect == Dialect::V3 && marker.as_str() != "undefined" {
            self.string("marker", marker.as_str());
        }
    }

    fn user_status(&mut self, user: UserId, online: bool) {
        let word = if online { "online" } else { "offline" };
        self.begin(&format!("user_status_{}", user.get()), word);
        self.string("data", word);
    }

    fn track(&mut self, channel: &str, joined: bool, user: Option<UserId>, uuid: &ClientUuid) {
        self.begin(channel, if joined { "subscription" } else { "unsubscription" });
        self.json_data(|out| push_visitor(out, user, uuid));
        if self.dialect == Dialect::V3 {
            self.number("user_id", user_number(user));
        }
    }

    fn report(&mut self, channel: &str, receivers: u64, body: &str, error: &str) {
        self.begin(&format!("_answer_to_{channel}"), "answer");
        self.json_data(|out| {
            push_display(
                out,
                format_args!("{{\"number_messages\":{receivers},\"message\":"),
            );
            json::push_string(out, body);
            out.push_str(",\"error\":");
            json::push_string(out, error);
            out.push('}');
        });
    }

    fn count(&mut self, marker: &Marker, users: u64) {
        self.begin("_answer_pipe_count", "user_in_pipe");
        self.string("marker", marker.as_str());
        self.json_data(|out| push_display(out, format_args!("{{\"user_in_pipe\":{users}}}")));
    }

    fn track_users(&mut self, channel: &str, marker: &Marker, users: &[(Option<UserId>, ClientUuid)]) {
        // 3.x listens on the channel itself.
        let pipe = match self.dialect {
            Dialect::V3 => channel,
            Dialect::V4 => "_answer",
        };
        self.begin(pipe, "answer");
        self.string("marker", marker.as_str());
        self.json_data(|out| {
            out.push('[');
            for (at, (user, uuid)) in users.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_visitor(out, *user, uuid);
            }
            out.push(']');
        });
        self.string("_info", "");
    }

    fn user_data(&mut self, marker: &Marker, user: UserId, data: &str) {
        self.begin("_answer", "answer");
        self.string("marker", marker.as_str());
        self.json_data(|out| {
            push_display(out, format_args!("{{\"user_id\":{},\"user_data\":", user.get()));
            json::push_string(out, data);
            out.push('}');
        });
    }

    fn last_online(&mut self, user: UserId, seconds: i64) {
        self.begin("_answer_user_status", &format!("user_status_{}", user.get()));
        self.json_data(|out| {
            push_display(
                out,
                format_args!("{{\"data\":{seconds},\"last_online_time\":{seconds}}}"),
            );
        });
    }

    fn error_data(&mut self, reason: BadReason, extra: ErrorExtra, detail: &str) {
        self.json_data(|out| {
            out.push_str("{\"error\":");
            if detail.is_empty() {
                json::push_string(out, reason.text());
            } else {
                json::push_string(out, &format!("{}: {detail}", reason.text()));
            }
            out.push_str(match extra {
                ErrorExtra::Plain => "}",
                ErrorExtra::Code403 => ",\"code\":\"403\"}",
                ErrorExtra::NumberMessages => ",\"number_messages\":-1}",
                ErrorExtra::UserId => ",\"user_id\":-1}",
                ErrorExtra::UserData => ",\"user_id\":-1,\"user_data\":\"\"}",
            });
        });
    }

    fn fatal(&mut self, reason: RefusalReason) {
        self.begin("sys", "error");
        // The number at the top is what stops the clients from reconnecting (Q16).
        self.number("error", reason.number());
        self.json_data(|out| {
            out.push_str("{\"error\":");
            json::push_string(out, reason.text());
            out.push_str(",\"info\":\"connection closed\"");
            push_display(out, format_args!(",\"error_code\":{}}}", reason.number()));
        });
    }

    fn begin(&mut self, pipe: &str, event: &str) {
        self.out.push_str("{\"pipe\":");
        json::push_string(&mut self.out, pipe);
        self.string("event", event);
        if self.dialect == Dialect::V3 {
            // Without it 3.x decodes `data` as base64.
            self.string("event_name", event);
        }
    }

    /// `data` of a message: whatever the body is, the application sees the JSON value or the exact text (S28, S29),
    /// and no body can pose as a sender's id (S46).
    fn body(&mut self, body: &str) {
        self.key("data");
        if json::is_valid(body) {
            json::push_json_text(&mut self.out, body);
        } else if body.starts_with("A::") || body.as_bytes().contains(&b'\\') {
            json::push_literal(&mut self.out, body);
        } else {
            json::push_string(&mut self.out, body);
        }
    }

    /// `data` that is an object or array, which V3 gets as its JSON text. `fill` writes strings under E1, so the text
    /// has no apostrophe and E2 holds by itself.
    fn json_data(&mut self, fill: impl FnOnce(&mut String)) {
        self.key("data");
        match self.dialect {
            Dialect::V3 => {
                let mut text = String::new();
                fill(&mut text);
                json::push_string(&mut self.out, &text);
            }
            Dialect::V4 => fill(&mut self.out),
        }
    }

    fn string(&mut self, key: &'static str, value: &str) {
        self.key(key);
        json::push_string(&mut self.out, value);
    }

    fn number(&mut self, key: &'static str, value: impl fmt::Display) {
        self.key(key);
        push_display(&mut self.out, value);
    }

    fn key(&mut self, key: &'static str) {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

fn push_visitor(out: &mut String, user: Option<UserId>, uuid: &ClientUuid) {
    push_display(out, format_args!("{{\"user_id\":{},\"uuid\":", user_number(user)));
    json::push_string(out, uuid.as_str());
    out.push('}');
}

fn push_display(out: &mut String, value: impl fmt::Display) {
    write!(out, "{value}").expect("writing into memory cannot fail");
}

#[cfg(test)]
mod tests;
